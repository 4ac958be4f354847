package relay

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// readBody reads a text that arrives in pieces of n octets, and says what is left after its end.
func readBody(t testing.TB, in string, n int) (text, rest string, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := policy()
	c := newConn(ours, newListener(nil, &p, "x", zerolog.Nop()))
	go func() {
		for b := []byte(in); len(b) > 0; b = b[min(n, len(b)):] {
			theirs.Write(b[:min(n, len(b))])
		}
		theirs.Close()
	}()
	c.inData.Store(true)
	all, err := io.ReadAll(&body{conn: c, start: true})
	c.inData.Store(false)
	left := bytes.Clone(c.in.unread())
	more, _ := io.ReadAll(ours)
	return string(all), string(left) + string(more), err
}

// reference is RFC 5321 §4.5.2 in its plainest form.
func reference(in string) (text, rest string, ended bool) {
	start := true
	for i := 0; i < len(in); i++ {
		if start && in[i] == '.' {
			if strings.HasPrefix(in[i:], ".\r\n") {
				return text, in[i+3:], true
			}
			start = false
			continue
		}
		text += in[i : i+1]
		start = strings.HasSuffix(text, "\r\n") && in[i] == '\n' && in[i-1] == '\r'
	}
	return text, "", false
}

// TestEndOfData: none of the ways that other servers take for the end of a text is one.
func TestEndOfData(t *testing.T) {
	t.Parallel()
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n\n.\r\n", "\n.\r", "\r.\n", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n",
		"\r\n..\r\n", "\r\n . \r\n", "\r\n.\t\r\n", "\n\r.\r\n", "\r\n\r.\r\n", ".\r\n", "\r\n. \r\n", "\r\n.\v\r\n", "\r\n.\x85\r\n", "\r\n.\r.\r\n", "\r\n\t.\r\n", "\x00\r\x00\n.\r\n",
	} {
		in := "Subject: x\r\n\r\nhello" + end + "MAIL FROM:<evil@example.test>\r\nRSET\r\n.\r\nNOOP\r\n"
		for _, n := range []int{1, 2, 3, 5, 4096} {
			text, rest, err := readBody(t, in, n)
			if err != nil || rest != "NOOP\r\n" || !strings.Contains(text, "RSET") {
				t.Errorf("%q in pieces of %d: text %q, rest %q, %v", end, n, text, rest, err)
			}
		}
	}
	for in, want := range map[string]string{
		"a\r\r\n.\r\nNOOP": "a\r\r\n", ".\r\nNOOP": "", "..\r\n.\r\nNOOP": ".\r\n", ".\rX\r\n.\r\nNOOP": "\rX\r\n", "\r\n.\r\nNOOP": "\r\n", "\r\n.\r\n.\r\nNOOP": "\r\n",
	} {
		if text, rest, err := readBody(t, in, 1); text != want || err != nil || !strings.HasSuffix(rest, "NOOP") {
			t.Errorf("%q: text %q, rest %q, %v", in, text, rest, err)
		}
	}
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", bodyLine-1)
	if text, _, err := readBody(t, line+"\r\n"+line+"\r\n.\r\n", 30000); err != nil || len(text) != 2*bodyLine+2 {
		t.Errorf("%d octets, %v", len(text), err)
	}
	if _, _, err := readBody(t, line+"xx\r\n.\r\n", 30000); err != errLongLine {
		t.Errorf("%v", err)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\nb", "..\r\n.\r\n", "\r\n.\r\r\n.\r\n", "\r\r\n.\r\n", ".\rX\r\n.\r\n", "\n.\n\r\n.\r\n"} {
		f.Add(s, 1)
		f.Add(s, 100)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		wantText, wantRest, ended := reference(in)
		text, rest, err := readBody(t, in, max(n, 1))
		if (err == nil) != ended {
			t.Fatalf("%q: %v, want the end seen: %v", in, err, ended)
		}
		if ended && (text != wantText || rest != wantRest) {
			t.Fatalf("%q: text %q rest %q, want %q and %q", in, text, rest, wantText, wantRest)
		}
	})
}
