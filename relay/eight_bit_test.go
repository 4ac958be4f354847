package relay

import (
	"math/rand/v2"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestEncodeField(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Subject: über\r\n":                      "Subject: =?utf-8?q?=C3=BCber?=\r\n",
		"SUBJECT :\t\xfcber  alles\r\n":          "SUBJECT : =?iso-8859-1?q?=FCber?=  alles\r\n",
		"Comments: a\r\n\té ü\r\n b\r\n":         "Comments: a\t=?utf-8?q?=C3=A9_=C3=BC?= b\r\n",
		"X-Odd: =?utf-8?q?a?= ü =?utf-8?q?b?=":   "X-Odd: =?utf-8?q?a?= =?utf-8?q?_=C3=BC_?= =?utf-8?q?b?=\r\n",
		"From: Jürgen <a@b.example>\r\n":         "From: =?utf-8?q?J=C3=BCrgen?= <a@b.example>\r\n",
		"To: x@y.example, \"Ü, \\\"Ö\"<a@b>\r\n": "To: x@y.example, =?utf-8?q?=C3=9C=2C_=22=C3=96?= <a@b>\r\n",
		"Cc: M\xfcller H <a@b>,c@d\r\n":          "Cc: =?iso-8859-1?q?M=FCller_H?= <a@b>,c@d\r\n",
		"Reply-To: a@b (ein Gerät)\r\n":          "Reply-To: a@b (ein =?utf-8?q?Ger=C3=A4t?=)\r\n",
		"Resent-To: G: é <a@b>, c@d;\r\n":        "Resent-To: G: =?utf-8?q?=C3=A9?= <a@b>, c@d;\r\n",
		"Subject: " + strings.Repeat("ü", 18) + "\r\n": "Subject: =?utf-8?q?" + strings.Repeat("=C3=BC", 8) + "?=\r\n =?utf-8?q?" +
			strings.Repeat("=C3=BC", 8) + "?=\r\n =?utf-8?q?=C3=BC=C3=BC?=\r\n",

		"To: Gerät: a@b;\r\n":                                                      "To: =?utf-8?q?Ger=C3=A4t?=: a@b;\r\n",
		"Content-Type: text/plain; name=\"ü;.txt\"\r\n":                            "Content-Type: text/plain; name=\"=?utf-8?q?=C3=BC=3B=2Etxt?=\"\r\n",
		"Content-Disposition: attachment;\r\n\tFileName=Gru\xdf 1.pdf; size=3\r\n": "Content-Disposition: attachment; filename*=iso-8859-1''Gru%DF%201.pdf;\r\n size=3\r\n",

		"To: Müller, Hans <a@b.example>\r\n":                "To: =?utf-8?b?TcO8bGxlciwgSGFucw==?= <a@b.example>\r\n",
		"Reply-To: M\xfcller, Hans <a@b.example>\r\n":       "Reply-To: =?utf-8?b?TcO8bGxlciwgSGFucw==?= <a@b.example>\r\n",
		"Reply-To: Müller (Büro) <a@b>, Dr (ü) Ö <c@d>\r\n": "Reply-To: =?utf-8?q?M=C3=BCller?= (=?utf-8?q?B=C3=BCro?=) <a@b>, Dr\r\n (=?utf-8?q?=C3=BC?=) =?utf-8?q?=C3=96?= <c@d>\r\n",
		"To: ü@b.example (x), y <a@b>\r\n":                  "",
		"From: ü@b.example\r\n":                             "", // an address
		"From: é <ü@b.example>\r\n":                         "",
		"To: \"ü\"@b.example\r\n":                           "",
		"To: =?utf-8?q?x?= ü <a@b>\r\n":                     "",
		"To: \"ü\" y <a@b>\r\n":                             "",
		"To: a@b (x (ü))\r\n":                               "",
		"Content-Type: text/ü; name=x\r\n":                  "",
		"Content-Type: text/plain; charset=ü\r\n":           "",
		"Message-ID: <ü@b>\r\n":                             "",
		"Received: from ü ([10.0.0.1]) by x; some date\r\n": "",
	} {
		got, ok := encodeField(rawField(in))
		if !ok {
			got = nil
		}
		if string(got) != want {
			t.Errorf("%q became\n%q, want\n%q", in, got, want)
		}
	}
}

// TestHeaderEncoded: when it is done, and that it is said.
func TestHeaderEncoded(t *testing.T) {
	t.Parallel()
	const head = "Date: x\r\nMessage-ID: <1@a>\r\nFrom: a@b.example\r\n"
	for _, c := range []struct {
		field string
		utf8  bool
		want  string // "" for as it was
	}{
		{"X-A: b\r\nSubject: \xe9\r\nTo: é@b\r\nX-B:\tq\r\n", false, "X-A: b\r\nSubject: =?iso-8859-1?q?=E9?=\r\nTo: é@b\r\nX-B:\tq\r\n"},
		{"Subject: é\r\nX-C: ü\r\n", true, ""},
		{"Subject: é\r\nDKIM-Signature: x\r\n", false, ""},
		{"Subject: é\r\nContent-Type: multipart/signed\r\n", false, ""},
		{"Subject:   plain\r\n\t =?utf-8?q?a?=\r\n", false, ""},
		{"To: é@b\r\nContent-Description: text\r\n", false, ""},
	} {
		const body = "\r\nbödy\r\n"
		m := testMender(false)
		m.utf8 = c.utf8
		got, err := mendText(t, head+c.field+body, m)
		want, notes := head+c.want+body, []string{"8-bit header encoded"}
		if c.want == "" {
			want, notes = head+c.field+body, nil
		}
		if err != nil || got != want || !slices.Equal(m.done, notes) {
			t.Errorf("%q (SMTPUTF8 %v) became %q, %v, %v", c.field, c.utf8, got, m.done, err)
		}
	}
}

// asUTF8 is what a field with octets above 127 says.
func asUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i, b := range []byte(s) {
		runes[i] = rune(b)
	}
	return string(runes)
}

// TestEncodedFieldSaysTheSame: free text and names decode to what stood there, and no line is too long.
func TestEncodedFieldSaysTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	alphabets := []string{"ab üé€😀?=_", "ab \xfc\xe9\x80?=_\t(\",", "x ü"}
	for range 2000 {
		letters := alphabets[r.IntN(len(alphabets))]
		var b strings.Builder
		for range 1 + r.IntN(120) {
			if pieces := strings.Split(letters, ""); true {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
		}
		text := strings.TrimSpace(b.String())
		if strings.Contains(text, "=?") || !hasEight([]byte(text)) {
			continue
		}
		checkFreeText(t, "Subject: "+text+"\r\n")
		checkName(t, text)
	}
}

func checkFreeText(t testing.TB, in string) {
	t.Helper()
	f, ok := encodeField(rawField(in))
	if !ok {
		t.Fatalf("%q cannot be encoded", in)
	}
	got, err := wordDecoder.DecodeHeader(f.value())
	if want := strings.Trim(asUTF8(rawField(in).value()), " \t"); err != nil || got != want {
		t.Errorf("%q became %q, which says %q (%v)", in, f, got, err)
	}
	for line := range strings.SplitSeq(string(f), "\r\n") {
		if len(line) > foldAt && strings.Contains(line, "=?") && strings.Count(line, " ") > 1 {
			t.Errorf("%q has the line %q", f, line)
		}
	}
}

func checkName(t testing.TB, name string) {
	t.Helper()
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
	in := "To: x@y.example, \"" + quoted + "\" <a@b.example>\r\n"
	f, ok := encodeField(rawField(in))
	if !ok {
		t.Fatalf("%q cannot be encoded", in)
	}
	list, err := mail.ParseAddressList(f.value())
	if err != nil || len(list) != 2 || list[1].Name != asUTF8(name) || list[1].Address != "a@b.example" {
		t.Errorf("%q became %q, which is %v (%v)", in, f, list, err)
	}
}

// TestManyComments: a field of nothing but comments costs no more than others.
func TestManyComments(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, comment := range []string{"()", "(\xff)", "\"(", "<(", "@("} {
		f := rawField("To: \xff " + strings.Repeat(comment, headerLimit/len(comment)) + "\r\n")
		encodeField(f)
		loneAuthor(f.value())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// FuzzEncodeField: whatever a field holds, what comes out is one field of that name in ASCII, with the same addresses.
func FuzzEncodeField(f *testing.F) {
	for _, s := range []string{"ü", "\"ü\" <a@b>, c", "(ü) a@b <\xff", "ü (x) <a@b>;:,", "a\r\n ü\t \r\n  b", "=?x?q?=?= ü", "\"\\\xc3\" <\"ü\">", "[ü] <x>", "ü<a>ü<b>"} {
		f.Add("To", s)
		f.Add("X-A", s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		in, _, err := mend(name+":"+value, 1<<20)
		if h := ParseHeader([]byte(in + "\r\n")); err != nil || len(h.fields) != 1 || len(h.rest) > len(crlf) || !hasEight(h.fields[0]) {
			return
		}
		field := rawField(in + "\r\n")
		got, ok := encodeField(field)
		if !ok {
			return
		}
		h := ParseHeader(got)
		if len(h.fields) != 1 || h.rest == nil || len(h.rest) > len(crlf) || hasEight(got) || fieldName(got) != fieldName(field) {
			t.Fatalf("%q became %q", field, got)
		}
		if kindOf(fieldName(field)) == addresses {
			sameAddresses(t, field, got)
		} else if !strings.Contains(field.value(), "=?") && !strings.ContainsAny(field.value(), "\x0b\x0c\u0085\u00a0") {
			checkFreeText(t, string(field))
		}
	})
}

func sameAddresses(t testing.TB, old, got rawField) {
	t.Helper()
	a, b := AddressList(old.value()), AddressList(got.value())
	if lone, ok := loneAuthor(old.value()); ok && len(a) > 1 && len(b) == 1 { // its name has commas
		lone.Address, _ = Address(lone.Address)
		a = []mail.Address{lone}
	}
	if !slices.EqualFunc(a, b, func(x, y mail.Address) bool { return x.Address == y.Address }) {
		t.Errorf("%q became %q: %q, %q", old, got, a, b)
	}
}
