package relay

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

const multi = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a=1\"\r\n\r\n"

// TestLongLineOfAPart: what is changed is the part, and everything around it stays octet for octet.
func TestLongLineOfAPart(t *testing.T) {
	t.Parallel()
	const cte = "Content-Transfer-Encoding: "
	qp := strings.Repeat("x", 75) + "=\r\n"
	encoded := strings.Repeat(qp, 13) + strings.Repeat("x", 999-13*75)
	for _, c := range []struct{ name, in, out string }{ // out is "" for what is left
		{"a part", multi + "pre\r\n--a=1\r\nX: y\r\n\r\n" + long + "--a=1 \t\r\n\r\nshort=\r\n--a=1--\r\nepi",
			multi + "pre\r\n--a=1\r\nX: y\r\n" + cte + "quoted-printable\r\n\r\n" + encoded + "\r\n--a=1 \t\r\n\r\nshort=\r\n--a=1--\r\nepi"},
		{"no header", multi + "--a=1\r\n\r\n" + long + "\r\n--a=1--",
			multi + "--a=1\r\n" + cte + "quoted-printable\r\n\r\n" + encoded + "\r\n\r\n--a=1--"},
		{"no closing delimiter", multi + "--a=1\r\n\r\n" + long, multi + "--a=1\r\n" + cte + "quoted-printable\r\n\r\n" + encoded + "\r\n"},
		{"boundary unquoted, no MIME-Version", "Content-Type: multipart/mixed; boundary=b=1\r\n\r\n--b=1\r\n" + cte + "8bit\r\nX: y\r\n\r\n" + long + "--b=1--\r\n",
			"Content-Type: multipart/mixed; boundary=b=1\r\nMIME-Version: 1.0\r\n\r\n--b=1\r\n" + cte + "quoted-printable\r\nX: y\r\n\r\n" + encoded + "\r\n--b=1--\r\n"},
		{"nested, its end missing", multi + "--a=1\r\nContent-Type: multipart/alternative; boundary=a=10\r\n\r\n--a=10\r\n\r\n" + long + "--a=1\r\n\r\nx\r\n--a=1--\r\n",
			multi + "--a=1\r\nContent-Type: multipart/alternative; boundary=a=10\r\n\r\n--a=10\r\n" + cte + "quoted-printable\r\n\r\n" + encoded + "\r\n--a=1\r\n\r\nx\r\n--a=1--\r\n"},
		{"enclosed message", multi + "--a=1\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n" + long + "--a=1--\r\n",
			multi + "--a=1\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n" + cte + "quoted-printable\r\nMIME-Version: 1.0\r\n\r\n" + encoded + "\r\n--a=1--\r\n"},
		{"long field of a part", multi + "--a=1\r\nX: " + strings.Repeat("y", 991) + " z zz\r\n\r\nb\r\n--a=1--\r\n",
			multi + "--a=1\r\nX: " + strings.Repeat("y", 991) + " z\r\n zz\r\n\r\nb\r\n--a=1--\r\n"},
		{"file name of a part", multi + "--a=1\r\nContent-Disposition: attachment; filename=\"\xc3\xbc.pdf\"\r\n\r\nb\r\n--a=1--\r\n",
			multi + "--a=1\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.pdf\r\n\r\nb\r\n--a=1--\r\n"},

		{"base64", multi + "--a=1\r\n" + cte + "base64\r\n\r\n" + long + "--a=1--\r\n", ""},
		{"signed", strings.Replace(multi, "mixed", "signed", 1) + "--a=1\r\n\r\n" + long + "--a=1--\r\n", ""},
		{"signed within", multi + "--a=1\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\n" + long + "--c--\r\n--a=1--\r\n", ""},
		{"signed message within", multi + "--a=1\r\nContent-Type: message/rfc822\r\n\r\nDKIM-Signature: x\r\n\r\n" + long + "--a=1--\r\n", ""},
		{"detached signature", multi + "--a=1\r\n\r\n" + long + "--a=1\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--a=1--\r\n", ""},
		{"PGP in a part", multi + "--a=1\r\n\r\n" + long + "-----BEGIN PGP MESSAGE-----\r\n--a=1--\r\n", ""},
		{"preamble", multi + long + "--a=1\r\n\r\nx\r\n--a=1--\r\n", ""},
		{"epilogue", multi + "--a=1\r\n\r\nx\r\n--a=1--\r\n" + long, ""},
		{"like a delimiter", multi + "--a=1\r\n\r\n" + long + "--a=1x\r\n--a=1--\r\n", ""},
		{"no header section", multi + "--a=1\r\nhello\r\n\r\n" + long + "--a=1--\r\n", ""},
		{"header section cut", multi + "--a=1\r\n\r\n" + long + "--a=1\r\nX: y\r\n--a=1--\r\n", ""},
		{"long field without a blank", multi + "--a=1\r\nX:" + long + "\r\nb\r\n--a=1--\r\n", ""},
	} {
		want, note := c.out, "long lines encoded"
		if want == "" {
			want, note = c.in, "long line left"
		} else if strings.HasPrefix(c.name, "long field") {
			note = "long header line folded"
		} else if strings.HasPrefix(c.name, "file name") {
			note = headerEncoded
		}
		for _, piece := range []int{1, 7, 32 << 10} {
			if out, notes := encodeLines(t, c.in, piece); out != want || !slices.Equal(notes, []string{note}) {
				t.Errorf("%s in pieces of %d became\n%q, want\n%q, %v", c.name, piece, out, want, notes)
			}
		}
	}
}

// TestPartsSayTheSame: random messages hold the same parts afterwards, as the standard library reads them, and no line
// that is too long.
func TestPartsSayTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		in := "MIME-Version: 1.0\r\n" + randomEntity(r, 3)
		out, notes := encodeLines(t, in, 1+r.IntN(3000))
		if slices.Contains(notes, "long line left") {
			t.Fatalf("%v: %.400q", notes, in)
		}
		if len(notes) == 0 && in != out {
			t.Fatalf("%q became %q", in, out)
		}
		sameParts(t, in, out)
		for line := range strings.SplitSeq(out, "\r\n") {
			if len(line) > lineLimit {
				t.Fatalf("%.400q has a line of %d octets", out, len(line))
			}
		}
	}
}

func randomEntity(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return "Content-Type: text/plain; charset=utf-8\r\nX-Blanks: " + strings.Repeat("word ", r.IntN(400)) + "end\r\n\r\n" + randomLines(r, 1500)
	}
	if r.IntN(5) == 0 {
		return "Content-Type: message/rfc822\r\n\r\nSubject: within\r\n" + randomEntity(r, depth-1)
	}
	b := fmt.Sprintf("=_%d_%d", depth, r.IntN(1000))
	s := "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\npreamble"
	for range 1 + r.IntN(3) {
		s += "\r\n--" + b + "\r\n" + randomEntity(r, depth-1)
	}
	return s + "\r\n--" + b + "--\r\nepilogue"
}

func sameParts(t testing.TB, in, out string) {
	t.Helper()
	if a, b := flat(in), flat(out); a != b && a != "unreadable" {
		t.Fatalf("%.2000q says\n%.2000q, and it said\n%.2000q", out, b, a)
	}
}

// flat is what the standard library finds in a message: every content decoded, every field but the encodings.
func flat(message string) string {
	m, err := mail.ReadMessage(strings.NewReader(message))
	if err != nil {
		return "unreadable"
	}
	var b strings.Builder
	flatten(&b, m.Header, m.Body, "text/plain")
	return b.String()
}

func flatten(b *strings.Builder, header map[string][]string, body io.Reader, standard string) {
	h := mail.Header(header)
	for _, name := range []string{"Content-Type", "Subject", "X-Blanks", "X"} {
		fmt.Fprintf(b, "%s: %q\n", name, h.Get(name))
	}
	kind, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind == "" {
		kind = standard
	}
	within := "text/plain"
	if kind == "multipart/digest" {
		within = "message/rfc822"
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && params["boundary"] != "":
		for r := multipart.NewReader(body, params["boundary"]); ; {
			part, err := r.NextRawPart()
			if err != nil {
				fmt.Fprintf(b, "end: %v\n", err == io.EOF)
				return
			}
			b.WriteString("part\n")
			flatten(b, part.Header, part, within)
		}
	case kind == "message/rfc822":
		all, _ := io.ReadAll(body)
		b.WriteString(flat(string(all)))
	default:
		switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		all, err := io.ReadAll(body)
		fmt.Fprintf(b, "%q %v\n", all, err)
	}
}

func TestFoldLong(t *testing.T) {
	t.Parallel()
	y := strings.Repeat("y", 600)
	for in, want := range map[string]string{
		"X: " + y + " " + y + "\r\n":                "X: " + y + "\r\n " + y + "\r\n",
		"X : " + y + y + "  z\r\n":                  "X :\r\n " + y + y + "\r\n  z\r\n",
		"X:" + y + y + "\r\n":                       "X:" + y + y + "\r\n",
		"X: a\r\n " + y + "\t" + y + " \r\n b\r\n":  "X: a\r\n " + y + "\r\n\t" + y + " \r\n b\r\n",
		"X: " + y + "\r\n " + y + "\r\n":            "X: " + y + "\r\n " + y + "\r\n",
		"X: " + strings.Repeat("a ", 800) + "b\r\n": "X: " + strings.TrimSuffix(strings.Repeat("a ", 498), " ") + "\r\n" + strings.Repeat(" a", 302) + " b\r\n",
		"X: " + strings.Repeat(" ", 1200) + "b\r\n": "X:\r\n" + strings.Repeat(" ", 1201) + "b\r\n",
	} {
		got := foldLong(rawField(in))
		if string(got) != want {
			t.Errorf("%q became\n%q, want\n%q", in, got, want)
		}
		if got.value() != rawField(in).value() {
			t.Errorf("%q unfolds to another field", got)
		}
	}
}
