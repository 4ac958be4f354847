package relay

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestParseProxy(t *testing.T) {
	t.Parallel()
	sig := string(proxySignature)
	v4 := "\x21\x11\x00\x0c\xc0\x00\x02\x09\x0a\x00\x00\x02\x03\xe8\x00\x19"
	for in, want := range map[string]string{
		"PROXY TCP4 192.0.2.9 10.0.0.2 1000 25\r\n": "192.0.2.9:1000", "PROXY TCP6 2001:db8::9 ::1 1000 25\r\n": "[2001:db8::9]:1000",
		"PROXY UNKNOWN\r\n": "none", "PROXY UNKNOWN x y z\r\n": "none",
		sig + v4: "192.0.2.9:1000", sig + "\x20\x00\x00\x00": "none", sig + "\x21\x00\x00\x00": "none", sig + "\x21\x31\x00\x02ab": "none",
		sig + "\x21\x21\x00\x24" + strings.Repeat("\x20", 32) + "\x03\xe8\x00\x19": "[2020:2020:2020:2020:2020:2020:2020:2020]:1000",
		sig + "\x21\x11\x00\x0f" + v4[4:] + "\x04\x00\x00":                         "192.0.2.9:1000",
		"PROXY TCP4 2001:db8::9 ::1 1000 25\r\n":                                   "error", "PROXY TCP4 192.0.2.9 10.0.0.2 70000 25\r\n": "error", "PROXY TCP4 192.0.2.9 x 1 25\r\n": "error",
		"PROXY TCP4 192.0.2.09 10.0.0.2 1000 25\r\n": "error", "PROXY  TCP4 192.0.2.9 10.0.0.2 1000 25\r\n": "error", "PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n": "error",
		"PROXY TCP4 192.0.2.9 10.0.0.2 1000 25\nMAIL FROM:<a@b.c>\r\n": "error", "EHLO x\r\n": "error", "PROXY " + strings.Repeat("x", 200): "error", "P\r\n": "error",
		sig + "\x11\x11\x00\x0c": "error", sig + "\x22\x11\x00\x00": "error", sig + "\x21\x11\x00\x04abcd": "error", sig + "\x21\x11\xff\xff": "error", sig[:5] + "x": "error",
		sig + v4[:8]: "error", "": "error",
	} {
		r := strings.NewReader(in + "EHLO rest\r\n")
		if want == "error" {
			r = strings.NewReader(in)
		}
		source, err := parseProxy(r)
		got := source.String()
		switch {
		case err != nil:
			got = "error"
		case !source.IsValid():
			got = "none"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", in, got, err, want)
		}
		if rest, _ := io.ReadAll(r); err == nil && string(rest) != "EHLO rest\r\n" {
			t.Errorf("%q leaves %q", in, rest)
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.9 10.0.0.2 1000 25\r\n"))
	f.Add(append(bytes.Clone(proxySignature), "\x21\x11\x00\x0c\xc0\x00\x02\x09\x0a\x00\x00\x02\x03\xe8\x00\x19"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		source, err := parseProxy(r)
		if err == nil && source.IsValid() && source.Addr().Zone() != "" {
			t.Errorf("%q: %v", in, source)
		}
		if used := len(in) - r.Len(); used > 16+proxyExtrasLimit {
			t.Errorf("%d octets read", used)
		}
	})
}
