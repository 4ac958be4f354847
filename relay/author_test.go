package relay

import (
	"slices"
	"strings"
	"testing"
)

const mended = "Date: x\r\nMessage-ID: <1@x.example>\r\n"

// TestAuthorsThatNoProviderTakes: who is null, has no domain or one that cannot exist becomes the mailbox, and keeps
// the name by which people know the device.
func TestAuthorsThatNoProviderTakes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"From: <>":                            "From: m@example.test",
		"From: < >":                           "From: m@example.test",
		"From: \"Scanner\" <>":                "From: \"Scanner\" <m@example.test>",
		"From: Scanner <>":                    "From: \"Scanner\" <m@example.test>",
		"From: Scanner":                       "From: \"Scanner\" <m@example.test>",
		"From: \"Scanner\"":                   "From: \"Scanner\" <m@example.test>",
		"From: (Cron Daemon)":                 "From: \"Cron Daemon\" <m@example.test>",
		"From: =?utf-8?q?B=C3=BCro?=":         "From: =?utf-8?q?B=C3=BCro?= <m@example.test>",
		"From: =?utf-8?q?B=C3=BCro?= <>":      "From: =?utf-8?q?B=C3=BCro?= <m@example.test>",
		"From: B\xfcro <>":                    "From: =?utf-8?q?B=C3=BCro?= <m@example.test>",
		"From: @":                             "From: \"@\" <m@example.test>",
		"From: @a.example":                    "From: \"@a.example\" <m@example.test>",
		"From: root@":                         "From: \"root@\" <m@example.test>",
		"From: ,;":                            "From: m@example.test",
		"From: undisclosed-recipients:;":      "From: m@example.test",
		"From: Scanner Two scan@printer.lan":  "From: \"Scanner Two\" <m@example.test>",
		"From: scan@printer.lan <scan@local>": "From: \"scan@printer.lan\" <m@example.test>",
		"From: scanner@printer.local, real@example.com":                "From: \"scanner@printer.local\" <m@example.test>, real@example.com",
		"From: real@example.com, Scanner <scanner@printer.local>":      "From: real@example.com, \"Scanner\" <m@example.test>",
		"From: root; Real <real@example.com>":                          "From: \"root; Real\" <real@example.com>",
		"From: Scanner, Two <>":                                        "From: \"Scanner, Two\" <m@example.test>",
		"From: <>, real@example.com":                                   "From: m@example.test, real@example.com",
		"From: a@x.local, B <b@x.local>, \"c d\"@example.com":          "From: \"a@x.local, B\" <m@example.test>, \"c d\"@example.com",
		"From: scanner@printer.local, M <M@example.test>":              "From: \"M\" <M@example.test>",
		"From: real@example.com\r\nSender: root@localhost":             "From: real@example.com\r\nSender: \"root@localhost\" <m@example.test>",
		"From: real@example.com\r\nSender: \"Scanner\" <>":             "From: real@example.com\r\nSender: \"Scanner\" <m@example.test>",
		"From: real@example.com\r\nSender: a@x.local, b@example.com":   "From: real@example.com\r\nSender: \"a@x.local\" <m@example.test>, b@example.com",
		"From: real@example.com\r\nSender:":                            "From: real@example.com\r\nSender: m@example.test",
		"From: root\r\nSender: root@x.lan\r\nSubject: \"s\" <>":        "From: \"root\" <m@example.test>\r\nSender: \"root@x.lan\" <m@example.test>\r\nSubject: \"s\" <>",
		"From: real@example.com, \"x y\"@example.com\r\nSender: a@b.c": "From: real@example.com, \"x y\"@example.com\r\nSender: a@b.c",
	} {
		m := testMender(false)
		got, err := mendText(t, mended+in+"\r\n\r\nbody\r\n", m)
		if want := mended + want + "\r\n\r\nbody\r\n"; got != want || err != nil {
			t.Errorf("%q became\n%q (%v), want\n%q", in, got, err, want)
		}
		if (len(m.done) > 0) != (in != want) {
			t.Errorf("%q: repairs %q", in, m.done)
		}
	}
}

// TestUnquotedNames: where a field has one <address>, all that stands before it is a name, whatever it holds.
func TestUnquotedNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Doe, John <a@b.example>":                        "\"Doe, John\" <a@b.example>",
		"Doe; John,<a@b.example>":                        "\"Doe; John,\" <a@b.example>",
		"Müller, Hans <a@b.example>":                     "=?utf-8?b?TcO8bGxlciwgSGFucw==?= <a@b.example>",
		"M\xfcller, Hans <a@b.example>":                  "=?utf-8?b?TcO8bGxlciwgSGFucw==?= <a@b.example>",
		"=?utf-8?q?M=C3=BCller?=, Hans <a@b.example>":    "=?utf-8?b?TcO8bGxlciwgSGFucw==?= <a@b.example>",
		"\"Doe\", John <a@b.example>":                    "\"Doe, John\" <a@b.example>",
		"Doe, John (x <y>) <a@b.example>":                "\"Doe, John (x <y>)\" <a@b.example>",
		"Doe, John <a@b.example> (office);":              "\"Doe, John (office)\" <a@b.example>",
		"Re: Doe, John <@x.y:a@b.example>":               "\"Re: Doe, John\" <a@b.example>",
		"Müller (Büro) <a@b.example>":                    "=?utf-8?q?M=C3=BCller?= (=?utf-8?q?B=C3=BCro?=) <a@b.example>",
		"Müller (x) Hans <a@b.example>, \"é\"(x)<c@d.e>": "=?utf-8?q?M=C3=BCller?= (x) Hans <a@b.example>, =?utf-8?q?=C3=A9?=\r\n (x)<c@d.e>",
		"M\xfcller (B\xfcro) <a@b.example>":              "=?utf-8?b?TcO8bGxlciAoQsO8cm8p?= <a@b.example>",
		"c@d.example, John <a@b.example>":                "", // two authors
		"Doe, <c@d.example>, John <a@b.example>":         "\"Doe\" <m@example.test>, c@d.example, \"John\" <a@b.example>",
		"Doe, John <a@b.example":                         "\"Doe\" <m@example.test>, \"John\" <a@b.example>",
	} {
		for _, field := range []string{"From: ", "From: x@y.example\r\nSender: "} {
			got, err := mendText(t, mended+field+in+"\r\n\r\nbody\r\n", testMender(false))
			if want == "" {
				want = in
			}
			if want := mended + field + want + "\r\n\r\nbody\r\n"; got != want || err != nil {
				t.Errorf("%q became\n%q (%v), want\n%q", in, got, err, want)
			}
		}
	}
}

// TestEmptyFrom is a message without an author: it gets the envelope's, as one without the field does.
func TestEmptyFrom(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"From:", "From: \t ", "From:\r\n "} {
		m := testMender(false)
		m.missing.From.Address = "scanner@example.test"
		got, err := mendText(t, mended+in+"\r\n\r\nbody\r\n", m)
		if want := "From: scanner@example.test\r\n" + mended + "\r\nbody\r\n"; got != want || err != nil || !slices.Equal(m.done, []string{"From added"}) {
			t.Errorf("%q became %q (%v, %q)", in, got, err, m.done)
		}
	}
}

// TestRewriteKeepsName: from = "rewrite" knows the same names.
func TestRewriteKeepsName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"From: \"Scanner\" <>":      "From: \"Scanner\" <m@example.test>",
		"From: Scanner":             "From: \"Scanner\" <m@example.test>",
		"From: \"Scanner\"":         "From: \"Scanner\" <m@example.test>",
		"From: <>":                  "From: m@example.test",
		"From:":                     "From: m@example.test",
		"From: <>\r\nSender: x@y.z": "From: m@example.test",
		"From: S <s@x.local>":       "From: \"S\" <m@example.test>\r\nReply-To: S <s@x.local>",
		"From: A <a@b.c>, d@e.f":    "From: \"A\" <m@example.test>\r\nReply-To: A <a@b.c>, d@e.f",
		"From: Doe, J <a@b.c>":      "From: \"Doe, J\" <m@example.test>\r\nReply-To: \"Doe, J\" <a@b.c>",
		"From: B\xfc, J <a@b.c>":    "From: =?utf-8?b?QsO8LCBK?= <m@example.test>\r\nReply-To: =?utf-8?b?QsO8LCBK?= <a@b.c>",
		"From: m@example.test":      "From: m@example.test",
		"From: M m@example.test":    "From: \"M\" <m@example.test>",
		"From: \"a@b\" <root@lan>":  "From: \"a@b\" <m@example.test>\r\nReply-To: \"a@b\" <root@lan>",
	} {
		got, err := mendText(t, mended+in+"\r\n\r\nbody\r\n", testMender(true))
		if want := mended + want + "\r\n\r\nbody\r\n"; got != want || err != nil {
			t.Errorf("%q became\n%q (%v), want\n%q", in, got, err, want)
		}
	}
}

// TestRewriteWithoutFrom: nobody else is left as the Sender of what the mailbox writes.
func TestRewriteWithoutFrom(t *testing.T) {
	t.Parallel()
	got, err := mendText(t, mended+"Sender: x@y.z\r\n\r\nbody\r\n", testMender(true))
	if want := "From: m@example.test\r\n" + mended + "\r\nbody\r\n"; got != want || err != nil {
		t.Errorf("%q (%v)", got, err)
	}
}

// signatures are fields that vouch for a message as it is.
var signatures = []string{
	"DKIM-Signature: v=1; h=from:message-id",
	"ARC-Seal: i=1",
	"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b",
	"Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b",
	"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b",
	"Content-Type: application/pkcs7-mime; smime-type=signed-data",
}

// TestSignedStays: line ends apart, nothing of a signed message is changed, also where its author will be refused.
func TestSignedStays(t *testing.T) {
	t.Parallel()
	for _, signature := range signatures {
		for _, c := range []struct {
			from string
			left bool // its author will be refused
		}{
			{"", false},
			{"From:\r\n", false},
			{"From: <>\r\n", true},
			{"From: root\r\n", true},
			{"From: \"S\" <s@printer.local>\r\n", true},
			{"From: s@printer.local, a@b.c\r\n", true},
			{"From: a@b.c\r\nSender: root\r\n", true},
			{"From: a@b.c <a@b.c>\r\n", false},
			{"From: B\xfcro <a@b.c>\r\nSubject: gr\xfc\xdfe\r\n", false},
			{"From: a@b.c\r\nX: " + strings.Repeat("long ", 300) + "\r\n", false},
		} {
			in := c.from + signature + "\r\n\r\none\r\ntwo\r\n"
			m := testMender(false)
			got, err := mendText(t, strings.ReplaceAll(in, "\r\n", "\n"), m)
			if got != in || err != nil || slices.Contains(m.done, "signed From left") != c.left {
				t.Errorf("%q became %q (%v, %q)", in, got, err, m.done)
			}
		}
	}
}

// TestSignedIsRewritten: from = "rewrite" is the administrator's word, and nobody else's mail would be taken.
func TestSignedIsRewritten(t *testing.T) {
	t.Parallel()
	for _, signature := range signatures {
		got, err := mendText(t, "From: S <s@printer.local>\r\n"+signature+"\r\n\r\nx\r\n", testMender(true))
		if want := "From: \"S\" <m@example.test>\r\nReply-To: S <s@printer.local>\r\n" + signature + "\r\n\r\nx\r\n"; got != want || err != nil {
			t.Errorf("%q became %q (%v)", signature, got, err)
		}
	}
}

// FuzzAuthors: whatever stands in From and Sender, nobody whom no provider takes leaves in them, every receiver can
// read what was written in their place, and a mended message needs no mending.
func FuzzAuthors(f *testing.F) {
	for _, s := range []string{
		"", "<>", "\"S\" <>", "root, a@b.c", "a b@c.d, <>", "x:;", "(c)", "\"a\\", "@", "\"a@b\"@x.lan, m@example.test", "=?utf-8?q?a=2C?= <r>", "a@b@c.d, root",
		"<@x:root>", "\xff <>", "a@[1.2.3.4]; root", "\"a\rb\" <root>", "a@b.c <a@b.c>, root",
		"Doe, J <a@b.c>", "\xfc, (x<y) \"z\" <a@b.c> (w);", "\"a\\\x01\" <a@b.c>, \"b\" <r@c.d>", "a\x00@b.c", "a@b@c.d <a@b@c.d>",
		"\x1b$B;3ED\x1b(B <a@b.c>", "\"\x1b$B;3ED\x1b(J\" <r>, \x1b(B, =?gbk?q?x?= <a@b.c>", "\x1b$B<a@b.c>\x1b(B (\x1b(I1\x1b(B), =?koi8-r?b?x?=@",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\r\n") {
			return
		}
		m := testMender(false)
		out, err := mendText(t, mended+"From: "+value+"\r\nSender: "+value+"\r\n\r\nbody\r\n", m)
		if err != nil {
			return
		}
		h := ParseHeader([]byte(out))
		for _, f := range h.fields {
			if len(withoutControls(f)) < len(f) {
				t.Errorf("%q: control characters are left in %q", value, out)
			}
		}
		for _, name := range []string{"From", "Sender"} {
			for _, field := range h.Values(name) {
				if slices.ContainsFunc(readAuthors(field), unsendable) {
					t.Errorf("%q: %s is %q", value, name, field)
				}
				if _, err := parseList(field); err != nil && slices.Contains(m.done, name+" replaced") {
					t.Errorf("%q: %s is %q (%v)", value, name, field, err)
				}
			}
		}
		if again, err := mendText(t, out, testMender(false)); err != nil || again != out {
			t.Errorf("%q: %q is mended to %q (%v)", value, out, again, err)
		}
	})
}
