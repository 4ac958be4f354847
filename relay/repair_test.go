package relay

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// through passes a text through an edit, in pieces.
func through(t *testing.T, in string, piece int, edit func(*Header) error) (string, error) {
	t.Helper()
	var out bytes.Buffer
	x := NewText(&out, 1<<20, edit)
	_, err := io.CopyBuffer(struct{ io.Writer }{x}, struct{ io.Reader }{strings.NewReader(in)}, make([]byte, piece))
	if err == nil {
		err = x.Close()
	}
	return out.String(), err
}

func untouched(*Header) error { return nil }

// TestTextKeepsEverything: an edit that changes nothing changes nothing but line ends.
func TestTextKeepsEverything(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"A: 1\r\nb:2\r\n\tfolded \r\nC :3\r\n\r\nbody\r\n.\r\n": "A: 1\r\nb:2\r\n\tfolded \r\nC :3\r\n\r\nbody\r\n.\r\n",
		"A: 1\n\nbody\n":                      "A: 1\r\n\r\nbody\r\n",
		"A: 1\n\n":                            "A: 1\r\n\r\n",
		"A: 1\n":                              "A: 1\r\n\r\n",
		"A: 1":                                "A: 1\r\n\r\n",
		"":                                    "\r\n",
		"\nbody":                              "\r\nbody",
		"hello\nworld\n":                      "\r\nhello\r\nworld\r\n",
		"hello":                               "\r\nhello",
		"Subject: x\nno field here\n\nmore\n": "Subject: x\r\n\r\nno field here\r\n\r\nmore\r\n",
		"From root Thu Dec 31\nSubject: x\n\nb\n": "Subject: x\r\n\r\nb\r\n",
		" leading blank: x\n\nb":                  "\r\n leading blank: x\r\n\r\nb",
		"X:\xff\xfe\n\n\x80\x00\n":                "X:\xff\xfe\r\n\r\n\x80\x00\r\n",
	} {
		for _, piece := range []int{1, 3, 4096} {
			if got, err := through(t, in, piece, untouched); got != want || err != nil {
				t.Errorf("%q in pieces of %d became %q (%v), want %q", in, piece, got, err, want)
			}
		}
	}
}

func TestTextLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("X-Field: "+strings.Repeat("x", 70)+"\n", headerLimit/80+100)
	for name, test := range map[string]struct {
		in   string
		want error
	}{
		"size":            {"A: b\n\n" + strings.Repeat("x", 1<<20), ErrTooBig},
		"header":          {long + "\nbody", ErrHeaderTooLong},
		"header, no body": {long, ErrHeaderTooLong},
		"body only":       {strings.Repeat("just a line of a log\n", headerLimit/20+100), nil},
		"loop":            {strings.Repeat("Received: by x\n", hopLimit+1) + "\nbody", ErrLoop},
		"edit":            {"A: b\n\n", io.ErrNoProgress},
	} {
		_, err := through(t, test.in, 4096, func(*Header) error {
			if name == "edit" {
				return io.ErrNoProgress
			}
			return nil
		})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	m := Missing{
		Date: time.Date(2026, 12, 31, 23, 59, 58, 0, time.FixedZone("", 3600)), MessageID: "1@contoso.example",
		From: mail.Address{Name: "Jörg", Address: `"j d"@contoso.example`},
	}
	const date, id = "Date: Thu, 31 Dec 2026 23:59:58 +0100\r\n", "Message-ID: <1@contoso.example>\r\n"
	const from = `From: =?utf-8?q?J=C3=B6rg?= <"j d"@contoso.example>` + "\r\n"
	for in, want := range map[string]string{
		"":     date + id + from + "\r\n",
		"hi\n": date + id + from + "\r\nhi\r\n",
		"Subject: x\nFROM: a\ndate: whenever\nmessage-id:\n\t<2@b>\n\nhi\n": "Subject: x\r\nFROM: a\r\ndate: whenever\r\nmessage-id:\r\n\t<2@b>\r\n\r\nhi\r\n",
		"From:\nSubject: x\n\nhi": "Subject: x\r\n" + date + id + from + "\r\nhi",
		"Subject: x":              "Subject: x\r\n" + date + id + from + "\r\n",
	} {
		got, err := through(t, in, 7, func(h *Header) error { h.Complete(m); return nil })
		if got != want || err != nil {
			t.Errorf("%q became\n%q (%v), want\n%q", in, got, err, want)
		}
	}
}

func TestAddressees(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"To: root": {"root"},
		"To: a@b.c, \"Doe, J.\" <d@e.f>\nCc: g@h.i":    {"a@b.c", "d@e.f", "g@h.i"},
		"To: a@b.c,\n\td@e.f,\n g@h.i":                 {"a@b.c", "d@e.f", "g@h.i"},
		"To: undisclosed-recipients:;\nBcc: x@y.z":     {"x@y.z"},
		"To: Team: a@b.c, d@e.f;, g@h.i":               {"a@b.c", "d@e.f", "g@h.i"},
		"To: a@b.c; d@e.f":                             {"a@b.c", "d@e.f"},
		"To: ,, a@b.c,,":                               {"a@b.c"},
		"To:\nCc: a@b.c":                               {"a@b.c"},
		"To: a@b.c (Doe, J. (jr))":                     {"a@b.c"},
		"To: <@x.y,@z.q:a@b.c>":                        {"a@b.c"},
		`To: "a,b \" c"@d.e, "x@y"@z.q`:                {`"a,b \" c"@d.e`, `"x@y"@z.q`},
		"To: =?utf-8?q?J=C3=B6rg=2C_x?= <a@b.c>":       {"a@b.c"},
		"to : a@b.c\nTO: d@e.f\nbcc:g@h.i":             {"a@b.c", "d@e.f", "g@h.i"},
		"To: root@[IPv6:2001:db8::1]":                  {"root@[IPv6:2001:db8::1]"},
		"To: a@b.c\nResent-To: d@e.f\nResent-Bcc: g@h": {"d@e.f", "g@h"},
		"Subject: To: a@b.c\nX-To: d@e.f":              nil,
		"To: ":                                         nil,
		"":                                             nil,
	} {
		h := ParseHeader([]byte(strings.ReplaceAll(in, "\n", "\r\n") + "\r\n\r\n"))
		if diff := cmp.Diff(want, h.Addressees()); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"root": "root", " a@b.c ": "a@b.c", "<a@b.c>": "a@b.c", "<@x.y:a@b.c>": "a@b.c", `"a b"@c.d`: `"a b"@c.d`,
		`"simple"@c.d`: "simple@c.d", "a+b=c@d.e": "a+b=c@d.e", "jörg@bücher.example": "jörg@bücher.example", "dot.@docomo.example": `"dot."@docomo.example`,
		"": "", "<>": "", "@": "", "a@": "", "a b@c.d": "", "a@b c": "", "a@b.c\r\nRCPT TO:<x@y.z>": "", "a,b@c.d": "", "a@b.c>": "",
		`"a"b@c.d`: "", `"a`: "", "a\x00@b.c": "", "a@b@c.d": "", `"a@b"`: "", "(c)a@b.c": "", "a@[1.2.3.4]": "a@[1.2.3.4]",
	} {
		got, err := Address(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	aliases := map[string][]string{"root": {"it@example.com", "boss@example.com"}, "*": {"rest@example.com"}}
	for _, test := range []struct {
		to      []string
		aliases map[string][]string
		want    []string
	}{
		{[]string{"a@b.c"}, aliases, []string{"a@b.c"}},
		{[]string{"root"}, aliases, []string{"it@example.com", "boss@example.com"}},
		{[]string{"Root", "IT@example.com", "cron"}, aliases, []string{"it@example.com", "boss@example.com", "rest@example.com"}},
		{[]string{"root", "cron"}, nil, []string{"root@contoso.example", "cron@contoso.example"}},
		{[]string{"root@localhost"}, aliases, []string{"root@localhost"}},
		{[]string{`"a@b"@c.d`, "x", "x"}, nil, []string{`"a@b"@c.d`, "x@contoso.example"}},
	} {
		if diff := cmp.Diff(test.want, Expand(test.to, test.aliases, "contoso.example")); diff != "" {
			t.Errorf("%q: %s", test.to, diff)
		}
	}
}

func TestReplaceUnsendable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"From: a@b.example\r\n":                         "From: a@b.example\r\n",
		"From: \"(Cron Daemon)\" <root>\r\n":            "From: \"(Cron Daemon)\" <m@contoso.example>\r\n",
		"From: root (Cron Daemon)\r\n":                  "From: \"Cron Daemon\" <m@contoso.example>\r\n",
		"From: root\r\n":                                "From: \"root\" <m@contoso.example>\r\n",
		"From:\r\n root@box.local\r\n":                  "From: \"root@box.local\" <m@contoso.example>\r\n",
		"From: =?utf-8?q?J=C3=B6rg?= <x@localhost>\r\n": "From: =?utf-8?q?J=C3=B6rg?= <m@contoso.example>\r\n",
		"From: Nagios Alerts\r\n":                       "From: \"Nagios Alerts\" <m@contoso.example>\r\n",
		"From: a@b.example, root\r\n":                   "From: a@b.example, \"root\" <m@contoso.example>\r\n",
	} {
		h := ParseHeader([]byte(in + "\r\n"))
		changed := h.ReplaceUnsendable("m@contoso.example")
		if got := string(h.Bytes()); got != want+"\r\n" || (len(changed) > 0) != (in != want) {
			t.Errorf("%q became %q (%q), want %q", in, got, changed, want)
		}
	}
}

func TestUnsendable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"": true, "root": true, "root@localhost": true, "root@box.LOCAL": true, "a@x.localdomain": true, "a@pc.lan": true, "a@x.internal": true,
		"a@b.example": false, "a@local.example": false, "a@[192.0.2.1]": false, `"a@b"`: true,
	} {
		if got := Unsendable(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestBccLeaves(t *testing.T) {
	t.Parallel()
	const in = "To: a@b.c\nBcc: secret@x.y,\n\tother@x.y\nSubject: s\nBCC:z@x.y\nResent-Bcc: q@x.y\nX-Bcc: stays\n\nBcc: body\n"
	got, err := through(t, in, 5, func(h *Header) error { h.Delete("Bcc", "Resent-Bcc"); return nil })
	if want := "To: a@b.c\r\nSubject: s\r\nX-Bcc: stays\r\n\r\nBcc: body\r\n"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzRepair: whatever comes, what leaves is a header section, an empty line and a body, with CRLF alone, and going
// through once more changes nothing.
func FuzzRepair(f *testing.F) {
	for _, s := range []string{"", "a", "To: \"x\\", "From: (((", "From: <\"", "To: a:b;<[", "From x\nTo: y\n\nz", "A: b\r\r\n\r\nc", "Bcc\n: x", "From: \xff <"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		edit := func(h *Header) error {
			for _, a := range h.Addressees() {
				if wire, err := Address(a); err == nil {
					if again, err := Address(wire); err != nil || again != wire {
						t.Errorf("%q became %q, and that %q (%v)", a, wire, again, err)
					}
				}
			}
			h.Author()
			h.Delete("Bcc")
			h.ReplaceUnsendable("m@contoso.example")
			h.Complete(Missing{MessageID: "1@x", From: mail.Address{Name: in, Address: "a@b.c"}})
			return nil
		}
		once, err := through(t, in, 1000, edit)
		if err != nil {
			return
		}
		if i := strings.Index(once, "\r\n\r\n"); i < 0 || strings.Contains(strings.ReplaceAll(once, "\r\n", ""), "\n") || strings.Contains(strings.ReplaceAll(once, "\r\n", ""), "\r") {
			t.Fatalf("%q became %q", in, once)
		}
		if twice, err := through(t, once, 1000, edit); err != nil || twice != once {
			t.Errorf("%q became %q, and that %q (%v)", in, once, twice, err)
		}
	})
}
