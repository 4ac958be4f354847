package relay

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// mend runs a text through in pieces of the given size.
func mend(s string, piece int) (string, *text, error) {
	var out bytes.Buffer
	t := &text{body: &out, limit: 1 << 20, look: func([]byte) error { return nil }}
	for b := []byte(s); len(b) > 0; {
		n := min(piece, len(b))
		if _, err := t.Write(b[:n]); err != nil {
			return "", t, err
		}
		b = b[n:]
	}
	err := t.finish()
	return out.String(), t, err
}

func TestLineEnds(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   "",
		"a\r\nb\r\n":         "a\r\nb\r\n",
		"a\nb\n":             "a\r\nb\r\n",
		"a\rb":               "a\r\nb",
		"a\r\r\nb":           "a\r\nb",
		"a\r\r\r\nb":         "a\r\nb",
		"a\r":                "a\r\n",
		"\n\n":               "\r\n\r\n",
		"H: x\n\nb\n.\n":     "H: x\r\n\r\nb\r\n.\r\n",
		"no line end":        "no line end",
		"a\r\n\r\nb\r\r\n.c": "a\r\n\r\nb\r\n.c",
	} {
		for piece := 1; piece <= 4; piece++ {
			if got, _, err := mend(in, piece); got != want || err != nil {
				t.Errorf("%q in pieces of %d became %q (%v), want %q", in, piece, got, err, want)
			}
		}
	}
}

func TestCleanTextIsUntouched(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b strings.Builder
		for range r.IntN(50) {
			line := make([]byte, r.IntN(300))
			for i := range line {
				for line[i] = byte(r.IntN(256)); line[i] == '\r' || line[i] == '\n'; {
					line[i]++
				}
			}
			b.Write(line)
			b.WriteString("\r\n")
		}
		got, text, err := mend(b.String(), 1+r.IntN(500))
		if err != nil || got != b.String() || text.repaired {
			t.Fatalf("a clean text was changed: %q became %q (%v)", b.String(), got, err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("S: x\r\n\r\nhello\r\r\n.\r\n", 3)
	f.Add("\n\r\n\r", 1)
	f.Fuzz(func(t *testing.T, s string, piece int) {
		if piece < 1 || piece > 1<<16 {
			return
		}
		got, text, err := mend(s, piece)
		if err != nil {
			return
		}
		bare := strings.ReplaceAll(got, "\r\n", "")
		if strings.ContainsAny(bare, "\r\n") {
			t.Errorf("%q became %q: a bare CR or LF is left", s, got)
		}
		if !text.repaired && got != s {
			t.Errorf("%q became %q without being repaired", s, got)
		}
		if again, second, _ := mend(got, piece+1); again != got || second.repaired {
			t.Errorf("mending %q twice gives %q", got, again)
		}
	})
}

func TestReceived(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC)
	for _, c := range []struct{ helo, client, want string }{
		{"printer", "10.0.0.7:1234", "Received: from printer ([10.0.0.7])\r\n\tby relay.example.test with ESMTP id 0000000000001;\r\n\tThu, 31 Dec 2026 23:59:58 +0000\r\n"},
		{"a(b)\r\nX: y<z>\\", "[::1]:1", "Received: from abX:yz ([IPv6:::1])\r\n\tby relay.example.test with ESMTP id 0000000000001;\r\n\tThu, 31 Dec 2026 23:59:58 +0000\r\n"},
		{"", "@", "Received: from unknown (local)\r\n\tby relay.example.test with ESMTP id 0000000000001;\r\n\tThu, 31 Dec 2026 23:59:58 +0000\r\n"},
	} {
		if got := string(received("relay.example.test", c.helo, c.client, false, false, mail.ID(1), at)); got != c.want {
			t.Errorf("HELO %q: %q, want %q", c.helo, got, c.want)
		}
	}
	if n := len(heloToken(strings.Repeat("x", 1000))); n != 255 {
		t.Errorf("HELO cut to %d", n)
	}
}

func TestVerdictIsOneSafeLine(t *testing.T) {
	t.Parallel()
	v := verdict(mail.Outcome{State: mail.Failed, Cause: strings.Repeat("long ", 200),
		Reply: mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "evil\r\n250 ok " + strings.Repeat("ü", 600)}}, true, 1)
	if len(v.Message) > replyLimit || strings.ContainsAny(v.Message, "\r\n") || v.Code != 550 || v.EnhancedCode[1] != 7 {
		t.Errorf("%d octets: %+v", len(v.Message), v)
	}
	for s, want := range map[string][3]int{"5.7.60": {5, 7, 60}, "": {5, 0, 0}, "4.1.1": {5, 0, 0}, "5.x.1": {5, 0, 0}, "5.1.9999": {5, 0, 0}} {
		if got := enhanced(s, 5); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a@example.test":              "a@example.test",
		"a b@example.test":            `"a b"@example.test`,
		`v@evil.test> @example.test`:  `"v@evil.test> "@example.test`,
		`a"b@example.test`:            `"a\"b"@example.test`,
		"":                            "",
		"root":                        "root",
		"a@[10.0.0.1]":                "a@[10.0.0.1]",
		"ü@example.test":              "ü@example.test",
		"a.b@xn--d1acpjx3f.test":      "a.b@xn--d1acpjx3f.test",
		"a@under_score.example.test":  "a@under_score.example.test",
		"a@example.test>":             "!",
		"a@exa mple.test":             "!",
		"a\r\nb@example.test":         "!",
		"a\x00@example.test":          "!",
		"ro ot":                       "!",
		"a@":                          "!",
		"a@example..test":             "!",
		"a@[10.0.0.1":                 "!",
		"a@example.test\r\nRCPT TO:x": "!",
	} {
		got, err := quoted(in)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
