package upstream

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailbearer/mailbearer/mail"
)

func replyFrom(s string) (mail.Reply, []string, error) {
	return readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     mail.Reply
		err      error
	}{
		{"plain", "250 2.1.0 Sender OK\r\n", mail.Reply{Code: 250, Enhanced: "2.1.0", Text: "Sender OK"}, nil},
		{"no text", "250\r\n", mail.Reply{Code: 250}, nil},
		{"bare LF", "250 ok\n", mail.Reply{Code: 250, Text: "ok"}, nil},
		{"lines", "550-5.1.1 No\r\n550-5.1.1\r\n550 5.1.1  such user\r\n", mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}, nil},
		{"code of another class", "550 4.1.1 text\r\n", mail.Reply{Code: 550, Text: "4.1.1 text"}, nil},
		{"not a code", "250 2.0.0.1 text\r\n", mail.Reply{Code: 250, Text: "2.0.0.1 text"}, nil},
		{"controls", "250 a\x1b[31mb\tc\xff\r\n", mail.Reply{Code: 250, Text: "a [31mb c?"}, nil},
		{"codes differ", "250-a\r\n251 b\r\n", mail.Reply{}, errGarbage},
		{"no code", "hello\r\n", mail.Reply{}, errGarbage},
		{"one digit", "2\r\n", mail.Reply{}, errGarbage},
		{"no such code", "699 x\r\n", mail.Reply{}, errGarbage},
		{"no separator", "250ok\r\n", mail.Reply{}, errGarbage},
		{"empty line", "\r\n", mail.Reply{}, errGarbage},
		{"cut line", "250 ok", mail.Reply{}, io.EOF},
		{"cut reply", "250-ok\r\n", mail.Reply{}, io.EOF},
		{"endless line", "250 " + strings.Repeat("x", maxReplyLine), mail.Reply{}, errEndless},
		{"endless reply", strings.Repeat("250-x\r\n", maxReply/7+1), mail.Reply{}, errEndless},
	} {
		if got, _, err := replyFrom(c.in); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, got, err, c.want, c.err)
		}
	}
}

func TestCutText(t *testing.T) {
	t.Parallel()
	if s := cutText(strings.Repeat("ä", maxText)); len(s) > maxText || !utf8.ValidString(s) || !strings.HasSuffix(s, "ä…") {
		t.Errorf("%d octets, ends %q", len(s), s[len(s)-6:])
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 2.1.0 ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "220\n", "250-\xff\r\n250 \x00\r\n", "334 \r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, lines, err := replyFrom(s)
		if err != nil {
			if r != (mail.Reply{}) {
				t.Errorf("%+v with error %v", r, err)
			}
			return
		}
		if r.Code < 200 || r.Code > 599 || len(lines) == 0 {
			t.Errorf("code %d, %d lines", r.Code, len(lines))
		}
		if text := r.String(); !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			t.Errorf("%q may not be shown", text)
		}
		parseCapabilities(lines)
	})
}

func TestParseCapabilities(t *testing.T) {
	t.Parallel()
	c := parseCapabilities([]string{"PIPELINING is my name", "size 157286400", "Pipelining", "DSN", "", "StartTLS", "AUTH Login xoauth2", "AUTH=PLAIN OAUTHBEARER", "8bitmime", "CHUNKING", "smtputf8", "XWHATEVER a b"})
	if !c.pipelining || !c.dsn || !c.startTLS || !c.eightBit || !c.chunking || !c.smtputf8 || c.size != 157286400 ||
		!slices.Equal(c.mechanisms, []string{"LOGIN", "XOAUTH2", "PLAIN", "OAUTHBEARER"}) {
		t.Errorf("%+v", c)
	}
	for _, line := range []string{"SIZE", "SIZE 0", "SIZE -1", "SIZE many", "SIZE 99999999999999999999"} {
		if c := parseCapabilities([]string{"x", line}); c.size != 0 || !c.sized {
			t.Errorf("%s: %+v", line, c)
		}
	}
	if c := parseCapabilities([]string{"PIPELINING"}); c.pipelining {
		t.Error("the greeting was taken for a capability")
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add("x\nSIZE 10\nAUTH=LOGIN XOAUTH2\nPIPELINING")
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Split(s, "\n")
		c := parseCapabilities(lines)
		if c.size < 0 {
			t.Errorf("size %d", c.size)
		}
		// Case never matters.
		if u := parseCapabilities(strings.Split(strings.ToUpper(s), "\n")); u.pipelining != c.pipelining || u.chunking != c.chunking || u.size != c.size {
			t.Errorf("%+v, in upper case %+v", c, u)
		}
	})
}

func TestRedact(t *testing.T) {
	t.Parallel()
	secret := "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"
	for in, want := range map[string]string{
		"ok":                                 "ok",
		"a " + secret + " b":                 "a [redacted] b",
		"x" + secret + secret:                "x[redacted][redacted]",
		"echo '" + secret[:20] + "'...":      "echo '[redacted]'...",
		"end " + secret[10:]:                 "end [redacted]",
		"too short to be it: " + secret[:15]: "too short to be it: " + secret[:15],
	} {
		if got := redact(in, []string{secret, ""}); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := redact("a tok b", []string{"tok"}); got != "a [redacted] b" {
		t.Errorf("short token: %q", got)
	}
}
