package relay

import (
	"slices"
	"strings"
	"testing"
)

// TestEmptyFromBesideAnother: a filled From stays the only one.
func TestEmptyFromBesideAnother(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"From:\r\nFrom: a@b.example\r\n", "From: a@b.example\r\nFrom: \t\r\n", "From:\r\nFrom : \r\n \r\nfrom:\r\nFrom: a@b.example\r\n",
	} {
		m := testMender(false)
		got, err := mendText(t, mended+in+"\r\nbody\r\n", m)
		if want := mended + "From: a@b.example\r\n\r\nbody\r\n"; got != want || err != nil || !slices.Equal(m.done, []string{"empty From removed"}) {
			t.Errorf("%q became %q (%v, %q)", in, got, err, m.done)
		}
		got, err = mendText(t, mended+in+"\r\nbody\r\n", testMender(true))
		if want := mended + "From: m@example.test\r\nReply-To: a@b.example\r\n\r\nbody\r\n"; got != want || err != nil {
			t.Errorf("%q is rewritten to %q (%v)", in, got, err)
		}
		in = "DKIM-Signature: x\r\n" + in + "\r\nbody\r\n"
		if got, err := mendText(t, in, testMender(false)); got != in || err != nil {
			t.Errorf("%q became %q (%v)", in, got, err)
		}
	}
}

// only is a list of one sender.
type only string

func (o only) Match(address string) bool { return strings.EqualFold(address, string(o)) }

// checkedHeader has a header section held against a limited `senders`, as a session does, and says why it was refused.
func checkedHeader(t testing.TB, header string, rewrite bool) string {
	t.Helper()
	s := &session{server: &server{policy: &Listener{Senders: only("a@b.example")}}}
	m := testMender(rewrite)
	section, err := m.clean([]byte(header + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.checkHeader(section, m); err != nil {
		return err.Error()
	}
	return ""
}

// TestEmptyFromInSigned: nothing can fill it there, so it is nobody's who may send.
func TestEmptyFromInSigned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header  string
		rewrite bool
		want    string
	}{
		{"From:\r\n", false, ""},
		{"From:\r\nFrom: a@b.example\r\n", false, ""},
		{"DKIM-Signature: x\r\nFrom: a@b.example\r\n", false, ""},
		{"DKIM-Signature: x\r\nFrom:\r\n", true, ""},
		{"DKIM-Signature: x\r\nFrom:\r\n", false, "the From field cannot be read"},
		{"From: \t\r\n \r\nDKIM-Signature: x\r\n", false, "the From field cannot be read"},
		{"DKIM-Signature: x\r\nFrom: a@b.example\r\nFrom:\r\n", false, "two From fields"},
	} {
		if got := checkedHeader(t, c.header, c.rewrite); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q (rewrite %v): %q, want %q", c.header, c.rewrite, got, c.want)
		}
	}
}
