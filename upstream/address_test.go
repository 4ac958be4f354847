package upstream

import (
	"strings"
	"testing"
)

func TestWire(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a@example.test":                     "a@example.test",
		"o'brien+x=y@sub.example.test":       "o'brien+x=y@sub.example.test",
		"john smith@example.test":            `"john smith"@example.test`,
		`"john smith"@example.test`:          `"john smith"@example.test`,
		`"plain"@example.test`:               "plain@example.test",
		`"a\"b\\c"@example.test`:             `"a\"b\\c"@example.test`,
		`"a@b"@example.test`:                 `"a@b"@example.test`,
		"a@b@example.test":                   `"a@b"@example.test`,
		".a@example.test":                    `".a"@example.test`,
		"a..b@example.test":                  `"a..b"@example.test`,
		"v@evil.test> @example.test":         `"v@evil.test> "@example.test`,
		"jürgen@bücher.test":                 "jürgen@bücher.test",
		"a@[192.0.2.1]":                      "a@[192.0.2.1]",
		"a@[IPv6:2001:db8::1]":               "a@[IPv6:2001:db8::1]",
		"a@host_1":                           "a@host_1",
		"":                                   "",
		"a":                                  "",
		"@example.test":                      "",
		"a@":                                 "",
		"a@example.test>":                    "",
		"a@example.test NOTIFY=NEVER":        "",
		"a@example..test":                    "",
		"a@example.test.":                    "",
		"a@[192.0.2.1":                       "",
		"a@[]":                               "",
		"a\r\nDATA@example.test":             "",
		"a@example.test\r\n":                 "",
		"a\x00@example.test":                 "",
		"a\u0085@example.test":               "",
		"a\xff@example.test":                 "",
		"a@exa\xffmple.test":                 "",
		`"a"b"@example.test`:                 "",
		`"a\"@example.test`:                  "",
		`"a@example.test`:                    "",
		strings.Repeat("a", 320) + "@b.test": "",
	} {
		got, err := wire(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

// Whatever comes in, what goes out is one path: nothing after it, no second one, and it reads back the same.
func FuzzWire(f *testing.F) {
	for _, s := range []string{"a@b.test", `"a b"@c.test`, `a>b@c`, "a\r\n@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := wire(s)
		if err != nil {
			return
		}
		if again, err := wire(w); err != nil || again != w {
			t.Errorf("%q became %q became %q %v", s, w, again, err)
		}
		in := false
		for i := 0; i < len(w); i++ {
			switch c := w[i]; {
			case in && c == '\\':
				i++
			case c == '"':
				in = !in
			case c < ' ' || c == 0x7f || !in && (c == ' ' || c == '<' || c == '>'):
				t.Fatalf("%q became %q", s, w)
			}
		}
		if in {
			t.Errorf("%q became %q, whose quotes do not end", s, w)
		}
	})
}

func TestHelloName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"relay.contoso.test":              "relay.contoso.test",
		"[192.0.2.1]":                     "[192.0.2.1]",
		"[IPv6:2001:db8::1]":              "[IPv6:2001:db8::1]",
		"":                                anonymous,
		"DESKTOP-1":                       anonymous,
		"a_b.contoso.test":                anonymous,
		"-a.contoso.test":                 anonymous,
		"a.contoso.test.":                 anonymous,
		"büro.contoso.test":               anonymous,
		"a.b\r\nMAIL":                     anonymous,
		"[192.0.2.1":                      anonymous,
		"[2001:db8::1]":                   anonymous,
		"[IPv6:192.0.2.1]":                anonymous,
		"[IPv6:fe80::1%eth0]":             anonymous,
		strings.Repeat("a", 64) + ".test": anonymous,
	} {
		if got := helloName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
