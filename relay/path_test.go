package relay

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<a@b.c>": "a@b.c", " <a@b.c>": "a@b.c", "a@b.c": "a@b.c", "<a@b.c": "a@b.c", "a@b.c>": "a@b.c", "<<a@b.c>>": "a@b.c",
		"< a@b.c >": "a@b.c", "<Joe <a@b.c>>": "a@b.c", "Joe Blow <a@b.c>": "a@b.c", `"Joe, B" <a@b.c>`: "a@b.c",
		"<>": "", "< >": "", "": "", "<root>": "root", "root": "root", "<postmaster>": "postmaster", `<"root">`: "root",
		"<@x.y,@z:a@b.c>": "a@b.c", "<a@b.c> SIZE=1 BODY=8BITMIME": "a@b.c|SIZE=1 BODY=8BITMIME", "<a@b.c>SIZE=1": "a@b.c|SIZE=1",
		"a@b.c AUTH=<>": "a@b.c|AUTH=<>", "root AUTH=<>": "root|AUTH=<>", "<a@b.c SIZE=1": "a@b.c|SIZE=1", "<> AUTH=<>": "|AUTH=<>",
		`<"a b"@c.d>`: `"a b"@c.d`, `<"a\"b"@c.d>`: `"a\"b"@c.d`, `<"plain"@c.d>`: "plain@c.d", `<"v@evil.test> "@c.d>`: `"v@evil.test> "@c.d`,
		"<dot.@docomo.test>": `"dot."@docomo.test`, "<a@[192.0.2.1]>": "a@[192.0.2.1]", "<a@[IPv6:2001:db8::1]>": "a@[IPv6:2001:db8::1]",
		"<jörg@bücher.test>": "jörg@bücher.test", "<a_b@my_host>": "a_b@my_host",
		"<a b@c.d>": "error", "<a@b@c.d>": "error", "<a@>": "error", "<@b.c>": "error", `<"a@b.c">`: "error", `<"a>`: "error", `<a"b@c.d>`: "error",
		"<a@b..c>": "error", "<a@b.c,d@e.f>": "error", "<a,b@c.d>": "error", "<a@b c.d>": "error", "<a\x80@b.c>": "error", "<a@b.c;d>": "error",
		"<a<b@c.d>": "error", "a<b@c.d": "error", "a<b@c.d>": "error", "<a@b.c<d@e.f>": "error", "<a@b.c<d@e.f>>": "error", "<<a@b.c>": "error", "<<a@b.c": "error",
		"a@b.c<d@e.f>": "error", "a@b.c <d@e.f>": "a@b.c|<d@e.f>", "<a@b.c> <d@e.f>": "a@b.c|<d@e.f>", "<a@b.c><d@e.f>": "a@b.c|<d@e.f>", "<a@b.c>d@e.f": "a@b.c|d@e.f", "<a@b.c>x": "a@b.c|x",
		"<a@b.c>,<d@e.f>": "a@b.c|,<d@e.f>", "Joe<a@b.c>": "error", "<Joe <a@b.c>": "error", "<Joe<a@b.c>>": "error", "Doe, J <a@b.c>": "error", "<a@b.c <d@e.f>>": "error",
		`<"a<b" <c@d.e>>`: "c@d.e", `<a"<"b@c.d>`: "error", "<>x@y.z": "|x@y.z", "<<>>": "", "<<": "error", ">": "error", "<a>b@c.d>": "a|b@c.d>", "<< a@b.c >> X=1": "a@b.c|X=1",
		"M\xfcller <a@b.c>": "a@b.c", "<a@b.c>>>": "a@b.c|>>", "a@b.c>x": "a@b.c|x", "<@x.y:a<b@c.d>": "error", "<\\<a@b.c>": "error", "a: <b@c.d>": "error",
		`<"">`: "error", `<""@b.c>`: "error", "<(x)a@b.c>": "error", `<"a"b@c.d>`: "error",
	} {
		p, params, err := parsePath(in)
		got := p.String()
		if params = strings.TrimSpace(params); params != "" {
			got += "|" + params
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q (%v), want %q", in, got, err, want)
		}
	}
}

// FuzzParsePath: an address that passes may stand on the wire, and means the same when it is read again.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"<a@b.c>", `<"a> b"@c.d>`, "root", "<@a:b@c> X=<y>", `"<"@a <b>`, "<a@b.c> <d@e.f>", "<a<b@c.d>", "<Joe <a@b.c>>", "<<a@b>>", "a@b<c@d>", "<a@b.c>X=1", `<"\` + "\x00" + `"@b>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, _, err := parsePath(in)
		if err != nil {
			return
		}
		s := p.String()
		if bare := unquoted(in); strings.Count(bare, "<") == 1 && p.domain != "" && p.local[0] != '"' {
			if name, _, _ := strings.Cut(bare, "<"); strings.Contains(name, "@") && !strings.HasPrefix(strings.Trim(name, " "), s) {
				t.Fatalf("%q passes as %q", in, s)
			}
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q passes with control characters: %q", in, s)
		}
		again, rest, err := parsePath("<" + s + ">")
		if err != nil || again != p || rest != "" {
			t.Fatalf("%q became %q, and that %q with %q after it (%v)", in, s, again, rest, err)
		}
	})
}
