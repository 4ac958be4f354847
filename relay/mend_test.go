package relay

import (
	"bytes"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// mendText passes a text through a mender as a session does.
func mendText(t testing.TB, in string, m *mender) (string, error) {
	t.Helper()
	var out bytes.Buffer
	x := &text{body: &out, limit: 1 << 20, strict: true, edit: m.mend}
	_, err := io.CopyBuffer(struct{ io.Writer }{x}, struct{ io.Reader }{strings.NewReader(in)}, make([]byte, 7))
	if err == nil {
		err = x.finish()
	}
	return out.String(), err
}

func testMender(rewrite bool) *mender {
	return &mender{mailbox: "m@example.test", rewrite: rewrite, missing: Missing{
		Date: time.Unix(0, 0).UTC(), MessageID: "1@example.test", From: mail.Address{Address: "m@example.test"},
	}}
}

// TestWholeMessageStays: where nothing is missing and nothing is odd, not an octet changes.
func TestWholeMessageStays(t *testing.T) {
	t.Parallel()
	const head = "Date: x\r\nmessage-id : <1>\r\nX-Odd:\tfolded\r\n\tagain \r\n"
	for _, in := range []string{
		head + "From: a@b.example\r\n\r\nbody", head + "FROM: \"a\" <a@b.example>, c@d.example\r\n\r\n", head + "From: a@b.example",
		head + "From: =?utf-8?q?=C3=BC?= <a@b.example> (x)\r\n\r\nb\r\n", head + "From: a@b.example\r\nno field\r\n\r\nb",
	} {
		m := testMender(false)
		if got, err := mendText(t, in, m); got != in || err != nil || len(m.done) != 0 {
			t.Errorf("%q became %q (%v, %v)", in, got, m.done, err)
		}
	}
}

// FuzzMend: with from = "rewrite" whatever a device writes leaves with one From, which is the mailbox, and the body is
// never touched.
func FuzzMend(f *testing.F) {
	for _, s := range []string{
		"From: a@b.c\r\n", "From: x <a@b>\r\nfrom: y\r\nSender: z@q\r\n", "From: \"a\\\r\n", "From:\r\n \r\n", "From: a\r\n\tb: c\r\nFrom : d@e\r\n",
		"From: =?utf-8?q?=0D=0ABcc:_x@y?= <a@b>\r\n", "Subject: x\r\njunk\r\nFrom: a@b\r\n", "From root Thu\r\nFrom: a@b\r\n", "From: <\"\x00>\r\n", ":\r\nFrom: \x80\xff\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, head string) {
		if strings.Contains(strings.ReplaceAll(head, "\r", "\n"), "\n\n") || strings.HasPrefix(head, "\n") || strings.HasPrefix(head, "\r") {
			return
		}
		const end = "\r\n\r\nthe body\r\n"
		out, err := mendText(t, head+end, testMender(true))
		if err != nil {
			return
		}
		if !strings.HasSuffix(out, "the body\r\n") {
			t.Fatalf("%q: %q", head, out)
		}
		h := ParseHeader([]byte(out))
		if h.Has("DKIM-Signature") || signed(h) && len(h.Values("From")) == 0 {
			return
		}
		from := h.Values("From")
		if len(from) != 1 || h.Has("Sender") {
			t.Fatalf("%q: From %q in %q", head, from, out)
		}
		a, err := mail.ParseAddress(from[0])
		if err != nil || a.Address != "m@example.test" {
			t.Fatalf("%q: From is %q (%v)", head, from[0], err)
		}
	})
}
