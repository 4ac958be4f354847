package relay

import (
	"bytes"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
)

// encodeLines passes a text in pieces of the given size to longLines as a session does, its header left alone.
func encodeLines(t testing.TB, in string, piece int) (out string, notes []string) {
	t.Helper()
	var b bytes.Buffer
	lines := &longLines{out: &b, note: func(s string) { notes = append(notes, s) }}
	x := &text{body: lines, limit: 1 << 24, edit: func(h []byte) ([]byte, error) { return nil, lines.begin(h) }}
	for p := range slices.Chunk([]byte(in), piece) {
		if _, err := x.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.finish(); err != nil {
		t.Fatal(err)
	}
	rewrite, err := lines.finish()
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != in {
		t.Fatalf("%.300q was changed on its way: %.300q", in, b.String())
	}
	if rewrite {
		b.Reset()
		if err := lines.rewrite(&b, strings.NewReader(in)); err != nil {
			t.Fatal(err)
		}
	}
	return b.String(), notes
}

var long = strings.Repeat("x", lineLimit+1) + "\r\n"

func TestLongLineOfAText(t *testing.T) {
	t.Parallel()
	const mime = "MIME-Version: 1.0\r\n"
	const cte = "Content-Transfer-Encoding: "
	for _, c := range []struct{ name, in, head string }{ // the header of what is encoded; "" for what is left
		{"no MIME", "S: x\r\n\r\n" + long, "S: x\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"in place", mime + "content-transfer-encoding:\r\n 8BIT\r\nContent-Type: TEXT/html\r\n\r\n" + long, mime + cte + "quoted-printable\r\nContent-Type: TEXT/html\r\n\r\n"},
		{"7bit", cte + "7bit\r\n" + mime + "\r\na\r\n" + long + "b", cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"no header", "\r\n" + long, cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"no empty line", "S: x\r\nhello, " + long + "\r\nb", "S: x\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"no end", "S: x\r\n\r\n" + strings.Repeat("é", 500), "S: x\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"more than is held", "S: x\r\n\r\n" + long + strings.Repeat("b = \r\n.\r\n", (32<<10)), "S: x\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},

		{"not text", "Content-Type: application/json\r\n\r\n" + long, "Content-Type: application/json\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"nothing said", "Content-Type:\r\n\r\n" + long, "Content-Type:\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"binary", cte + "binary\r\n\r\n" + long, cte + "quoted-printable\r\n" + mime + "\r\n"},
		{"beyond", "S: x\r\n\r\n" + strings.Repeat("a\r\n", 64<<10) + long, "S: x\r\n" + cte + "quoted-printable\r\n" + mime + "\r\n"},

		{"multipart without boundary", "Content-Type: multipart/mixed\r\n\r\n--a\r\n\r\n" + long, ""},
		{"delivery status", "Content-Type: message/delivery-status\r\n\r\n" + long, ""},
		{"unclear", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n" + long, ""},
		{"base64", cte + "base64\r\n\r\n" + long, ""},
		{"quoted-printable", cte + "quoted-printable\r\n\r\n" + long, ""},
		{"two encodings", cte + "7bit\r\n" + cte + "8bit\r\n\r\n" + long, ""},
		{"DKIM", "DKIM-Signature: v=1\r\n\r\n" + long, ""},
		{"S/MIME", "Content-Type: application/pkcs7-mime\r\n\r\n" + long, ""},
		{"multipart/signed", "Content-Type: multipart/signed\r\n\r\n" + long, ""},
		{"PGP", "S: x\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n" + long, ""},
		{"PGP behind", "S: x\r\n\r\n" + long + "-----BEGIN PGP MESSAGE-----\r\n", ""},
	} {
		for _, piece := range []int{1, 5, 32 << 10} {
			out, notes := encodeLines(t, c.in, piece)
			switch {
			case c.head == "" && (out != c.in || !slices.Equal(notes, []string{"long line left"})):
				t.Errorf("%s in pieces of %d was changed: %.200q, %v", c.name, piece, out, notes)
			case c.head != "" && (!strings.HasPrefix(out, c.head) || !slices.Equal(notes, []string{"long lines encoded"})):
				t.Errorf("%s in pieces of %d became %.200q, %v", c.name, piece, out, notes)
			case c.head != "":
				sameText(t, c.in, out)
			}
		}
	}
}

// sameText holds the decoded text of what was encoded against the one that came in.
func sameText(t testing.TB, in, out string) {
	t.Helper()
	end := headerEnd([]byte(out), 0)
	decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(out[end:])))
	if want := bodyOf(in); err != nil || string(decoded) != want {
		t.Errorf("the text is %.300q (%v), want %.300q", decoded, err, want)
	}
	for line := range strings.SplitSeq(out[end:], "\r\n") {
		if len(line) > 76 || hasEight([]byte(line)) {
			t.Errorf("the encoded text has the line %q", line)
		}
	}
}

// bodyOf is everything behind the header section, which need not end with an empty line.
func bodyOf(in string) string { return string(ParseHeader([]byte(in)).rest[len(crlf):]) }

// TestLinesThatFit: without a long line not an octet changes, wherever the limits of the pieces are.
func TestLinesThatFit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, in := range []string{"", "S: x", "S: x\r\n", "S: x\r\n\r\n", "\r\n", "S: x\r\nhello\r\n\r\nb", long[:10], "S: x\r\n\r\n" + long[1:], "S: x\r\n\r\n" + long[1:lineLimit+1]} {
		for piece := 1; piece < 5; piece++ {
			if out, notes := encodeLines(t, in, piece); out != in || notes != nil {
				t.Errorf("%q became %q, %v", in, out, notes)
			}
		}
	}
	for range 50 {
		in := "S: x\r\n\r\n" + randomLines(r, lineLimit)
		if out, notes := encodeLines(t, in, 1+r.IntN(2000)); out != in || notes != nil {
			t.Fatalf("%q became %q, %v", in, out, notes)
		}
	}
}

// TestEncodedTextIsTheSame: with long lines among others the text that a receiver decodes is the one that came.
func TestEncodedTextIsTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		in := "S: x\r\n\r\n" + randomLines(r, lineLimit) + long + randomLines(r, 5000)
		out, notes := encodeLines(t, in, 1+r.IntN(5000))
		if len(notes) != 1 {
			t.Fatal(notes)
		}
		if notes[0] == "long lines encoded" {
			sameText(t, in, out)
		}
	}
}

func randomLines(r *rand.Rand, limit int) string {
	var b strings.Builder
	for range r.IntN(40) {
		line := make([]byte, r.IntN(limit+1))
		for i := range line {
			for line[i] = byte(r.IntN(256)); line[i] == '\r' || line[i] == '\n'; {
				line[i]++
			}
			if r.IntN(4) == 0 {
				line[i] = " \t=."[r.IntN(4)]
			}
		}
		b.Write(append(line, crlf...))
	}
	return b.String()
}

// TestMemoryIsBounded: a line without an end and one part after the other are looked at, and not kept.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{strings.Repeat("y", 4096), "--a\r\n\r\n" + long, "--a\r\nX: y\r\n", "\r"} {
		l := &longLines{out: io.Discard, note: func(string) {}}
		if err := l.begin([]byte("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n")); err != nil {
			t.Fatal(err)
		}
		for range 5000 {
			if _, err := l.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
			if len(l.lines.held) > pieceSize+len(piece) || len(l.parts.header) > partHeaderLimit+pieceSize+len(piece) || len(l.survey.changes) > changeLimit || len(l.parts.open) > 2 {
				t.Fatalf("%.20q: too much is kept", piece)
			}
		}
	}
}

func FuzzLongLines(f *testing.F) {
	f.Add("S: x\r\n", "a", 999, "b\r\n", 7)
	f.Add("Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit", "é=\t", 998, " \r\n.\r\n", 1)
	f.Add("DKIM-Signature: x", "", 1000, "", 1000)
	f.Add("hello", "\r\n", 2000, " ", 3)
	f.Add("Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\n", 1000, "\r\n--b\r\nX: y\r\n\r\nz\r\n--b--", 5)
	f.Add("Content-Type: multipart/digest; boundary=b", "--b\r\n\r\nSubject: x\r\n\r\n", 1000, "\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb--\r\n--b--", 9)
	f.Add("X: a b", "\r\n", 1000, "-----BEGIN PGP MESSAGE-----", 3)
	f.Fuzz(func(t *testing.T, head, before string, n int, after string, piece int) {
		if n < 0 || n > 1<<18 || piece < 1 || piece > 1<<16 || len(head)+len(before)+n+len(after) > headerLimit {
			return
		}
		in, _, err := mend(head+"\r\n\r\n"+before+strings.Repeat("z", n)+after, 1<<20)
		if err != nil {
			return
		}
		out, notes := encodeLines(t, in, piece)
		switch {
		case len(ParseHeader([]byte(head+"\r\n\r\n")).rest) == len(crlf) && strings.HasPrefix(mediaType(ParseHeader([]byte(in)), ""), "m"):
			sameParts(t, in, out) // multipart/ and message/
		case slices.Contains(notes, "long header line folded"):
			sameParts(t, in, out)
		case slices.Equal(notes, []string{"long lines encoded"}):
			sameText(t, in, out)
			if h := ParseHeader([]byte(out)); signed(h) || len(h.Values("Content-Transfer-Encoding")) != 1 || !h.Has("MIME-Version") {
				t.Errorf("%q has the header %.300q", in, out)
			}
		case out != in:
			t.Errorf("%q became %q, %v", in, out, notes)
		}
	})
}
