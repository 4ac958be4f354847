package fake365

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEHLO(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := s.dial(t)
	if g := c.reply(); !strings.Contains(g, " Microsoft ESMTP MAIL Service ready at ") {
		t.Errorf("greeting %q", g)
	}
	extensions := func(c *client) string {
		_, list, _ := strings.Cut(c.do("ehlo [127.0.0.1]", "250 SMTPUTF8"), "\n")
		return strings.NewReplacer("250-", "", "250 ", "", "\n", ", ").Replace(list)
	}
	if got, want := extensions(c), "SIZE 157286400, PIPELINING, DSN, ENHANCEDSTATUSCODES, STARTTLS, 8BITMIME, BINARYMIME, CHUNKING, SMTPUTF8"; got != want {
		t.Errorf("before TLS:\n%s\nwant\n%s", got, want)
	}
	if got, want := extensions(s.secure(t)), "SIZE 157286400, PIPELINING, DSN, ENHANCEDSTATUSCODES, AUTH LOGIN XOAUTH2, 8BITMIME, BINARYMIME, CHUNKING, SMTPUTF8"; got != want {
		t.Errorf("after TLS:\n%s\nwant\n%s", got, want)
	}
	plain := start(t, Options{NoChunking: true, NoPipelining: true, MaxSize: 1000})
	if got, want := extensions(plain.secure(t)), "SIZE 1000, DSN, ENHANCEDSTATUSCODES, AUTH LOGIN XOAUTH2, 8BITMIME, SMTPUTF8"; got != want {
		t.Errorf("without chunking and pipelining:\n%s\nwant\n%s", got, want)
	}
}

func TestHelloNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"relay.contoso.com": true, "[127.0.0.1]": true, "[IPv6:::1]": true,
		"": false, "DESKTOP-XYZ": false, "a_b.example": false, "a..b": false, "-a.example": false, "[printer]": false,
	} {
		if got := domainOrLiteral(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestDialogs(t *testing.T) {
	t.Parallel()
	s := start(t, Options{MaxSize: 1000})
	begin := []string{"MAIL FROM:<" + mailbox + ">", "250 2.1.0 Sender OK", "RCPT TO:<a@b.example>", "250 2.1.5 Recipient OK"}
	for name, d := range map[string]struct {
		open   func(*testing.T) *client
		dialog []string
	}{
		"no hello":      {s.dial, []string{"", "220 ", "MAIL FROM:<a@b.c>", "503 5.5.2 Send hello first [", "STARTTLS", "503 5.5.2 Send hello first"}},
		"no TLS":        {s.dial, []string{"", "220 ", "HELO a.b", "250 ", "MAIL FROM:<a@b.c>", "451 5.7.3 STARTTLS is required to send mail [", "AUTH XOAUTH2", "504 5.7.4 Unrecognized authentication type ["}},
		"bad hello":     {s.dial, []string{"", "220 ", "EHLO PRINTER", "501 5.5.4 Invalid domain name ["}},
		"no AUTH":       {s.secure, []string{"MAIL FROM:<a@b.c>", "530 5.7.57 Client not authenticated to send mail. [", "STARTTLS", "503 5.5.2 Only one STARTTLS"}},
		"AUTH PLAIN":    {s.secure, []string{"AUTH PLAIN AGEAYg==", "504 5.7.4 Unrecognized authentication type ["}},
		"AUTH LOGIN":    {s.secure, []string{"AUTH LOGIN", "334 VXNlcm5hbWU6", "YQ==", "334 UGFzc3dvcmQ6", "Yg==", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. ["}},
		"AUTH LOGIN 1":  {s.secure, []string{"AUTH login YQ==", "334 UGFzc3dvcmQ6", "Yg==", "535 5.7.139 "}},
		"AUTH given up": {s.secure, []string{"AUTH XOAUTH2", "334 ", "*", "501 5.7.0"}},
		"AUTH twice":    {s.login, []string{"AUTH XOAUTH2", "503 5.5.2 Already authenticated"}},
		"order": {s.login, append([]string{"DATA", "503 5.5.2 Need mail command", "RCPT TO:<a@b.c>", "503 5.5.2 Need mail command", begin[0], begin[1],
			"DATA", "503 5.5.2 Need rcpt command", begin[0], "503 5.5.2 Sender already specified", "RSET", "250 2.0.0 Resetting"}, begin...)},
		"arguments": {s.login, []string{"MAIL FROM: <a@b.c>", "501 5.1.7", "MAIL FROM:a@b.c", "501 5.1.7", "MAIL FROM:<a>", "501 5.1.7", "MAIL FROM:<a@b.c> FOO=1", "501 5.5.4",
			"MAIL FROM:<a@b.c> SIZE=1001", "552 5.3.4", "MAIL FROM:<é@b.c>", "550 5.6.7", "MAIL FROM:<é@b.c> SMTPUTF8", "250 ", "RSET", "250 ",
			`MAIL FROM:<"a>b"@b.c> SIZE=10 BODY=8BITMIME RET=HDRS AUTH=<>`, "250 ", "RCPT TO:<>", "501 ", "RCPT TO:<a@b.c> NOTIFY=NEVER ORCPT=rfc822;a@b.c", "250 ", "RCPT TO:<a@b.c> X=1", "501 "}},
		"small talk": {s.dial, []string{"", "220 ", "NOOP", "250 2.0.0 OK", "VRFY a", "252 ", "XYZZY", `500 5.3.3 Unrecognized command "XYZZY" [`, "QUIT", "221 2.0.0 Service closing transmission channel"}},
		"too large":  {s.login, append(begin, "DATA", "354 ", strings.Repeat("x", 1001)+"\r\n.", "552 5.3.4 ")},
		"bare LF":    {s.login, append(begin, "DATA", "354 ", "a\nb\r\n.", "550 5.6.11 Invalid characters: bare line feed")},
		"send as": {s.login, []string{"MAIL FROM:<boss@contoso.com>", "250 ", "RCPT TO:<a@b.c>", "250 ", "DATA", "354 ", ".",
			"554 5.2.252 SendAsDenied; printer@contoso.com not allowed to send as boss@contoso.com; STOREDRV.Submission.Exception:SendAsDeniedException"}},
		"BDAT anywhere":      {s.login, []string{"BDAT 6\r\nQUIT", "503 5.5.2 Need mail command", "NOOP", "250 "}},
		"BDAT then RCPT":     {s.login, append(begin, "BDAT 5\r\nabc", "250 2.6.0 Chunk received OK, 5 octets", "RCPT TO:<a@b.c>", "503 ")},
		"BINARYMIME by DATA": {s.login, []string{begin[0] + " BODY=BINARYMIME", "250 ", begin[2], "250 ", "DATA", "503 "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := d.open(t)
			for i := 0; i < len(d.dialog); i += 2 {
				if i > 0 || d.dialog[i] != "" {
					c.send(d.dialog[i] + "\r\n")
				}
				c.want(d.dialog[i+1])
			}
		})
	}
}

func TestPipelinedAfterSTARTTLSIsCut(t *testing.T) {
	t.Parallel()
	c := start(t, Options{}).dial(t)
	c.want("220 ")
	c.do("EHLO a.b", "250 ")
	c.send("STARTTLS\r\nEHLO evil.example\r\n")
	c.gone()
}

func TestSubmitByDATA(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Mailboxes: []string{mailbox}})
	c := s.login(t)
	c.do("MAIL FROM:<"+mailbox+"> SIZE=40 BODY=8BITMIME", "250 ")
	c.do("RCPT TO:<a@b.example> NOTIFY=FAILURE", "250 ")
	c.do("DATA", "354 ")
	c.send("Subject: \xe9\r\n\r\n..one dot\r\n...\r\nx\r.\r\ny\r\n.\r\n")
	reply := c.want("250 2.0.0 OK <")
	if !strings.Contains(reply, "> [Hostname=") {
		t.Errorf("reply %q", reply)
	}
	messages, err := s.Wait(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := messages[0]
	if want := "Subject: \xe9\r\n\r\n.one dot\r\n..\r\nx\r.\r\ny\r\n"; string(m.Data) != want {
		t.Errorf("text %q, want %q", m.Data, want)
	}
	got := fmt.Sprint(m.Sender, m.Recipients, m.RcptParams, m.Mailbox, m.Mechanism, m.Via, m.Chunked, m.MailParams)
	if want := fmt.Sprint(mailbox, []string{"a@b.example"}, []string{"NOTIFY=FAILURE"}, mailbox, "XOAUTH2", "smtp", false, "SIZE=40 BODY=8BITMIME"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.do("QUIT", "221 ")
	c.gone()
}

func TestOnlyCRLFDotCRLFEndsData(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := s.login(t)
	for _, end := range []string{"\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r"} {
		c.send("MAIL FROM:<" + mailbox + ">\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
		c.want("250 ")
		c.want("250 ")
		c.want("354 ")
		c.send("a" + end + "MAIL FROM:<evil@b.c>\r\n.\r\n")
		if reply := c.reply(); !strings.HasPrefix(reply, "250 2.0.0 OK") && !strings.HasPrefix(reply, "550 5.6.11") {
			t.Errorf("%q: %s", end, reply)
		}
	}
	c.do("NOOP", "250 2.0.0 OK") // one reply for each message and no more
}

func TestSubmitByBDAT(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := s.login(t)
	text := string(lines(3000))
	half := len(text) / 2
	c.send(fmt.Sprintf("MAIL FROM:<%s>\r\nRCPT TO:<a@b.c>\r\nBDAT %d\r\n%sBDAT %d\r\n%sBDAT 0 LAST\r\n", mailbox, half, text[:half], len(text)-half, text[half:]))
	c.want("250 2.1.0")
	c.want("250 2.1.5")
	c.want(fmt.Sprintf("250 2.6.0 Chunk received OK, %d octets", half))
	c.want("250 2.6.0")
	c.want("250 2.0.0 OK <")
	if m := s.Messages(); len(m) != 1 || string(m[0].Data) != text || !m[0].Chunked {
		t.Errorf("%d messages arrived, or not as sent", len(m))
	}
	if n := s.Counters(); n.Chunks != 3 || n.Flights != 1 {
		t.Errorf("%d chunks in %d flights", n.Chunks, n.Flights)
	}
}

func TestNoChunkingKnowsNoBDAT(t *testing.T) {
	t.Parallel()
	c := start(t, Options{NoChunking: true}).login(t)
	c.do("MAIL FROM:<a@b.c>", "250 ")
	c.do("BDAT 5 LAST", "500 5.3.3 ")
}

// TestFlights sends groups longer than a TLS record; each is answered in one write, whatever the latency.
func TestFlights(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			t.Parallel()
			s := start(t, Options{Latency: latency})
			c := s.login(t)
			const recipients = 300
			var group bytes.Buffer
			group.WriteString("MAIL FROM:<" + mailbox + ">\r\n")
			for i := range recipients {
				fmt.Fprintf(&group, "RCPT TO:<recipient%d@example.com>\r\n", i)
			}
			group.WriteString("DATA\r\n")
			began := time.Now()
			c.send(group.String())
			for range recipients + 1 {
				c.want("250 ")
			}
			c.want("354 ")
			c.send(string(lines(500)) + ".\r\n")
			c.want("250 ")
			if took := time.Since(began); took < 2*latency {
				t.Errorf("two round trips took %v", took)
			}
			if n := s.Counters().Flights; n != 2 {
				t.Errorf("%d flights, want 2", n)
			}
		})
	}
}

func TestDataLatency(t *testing.T) {
	t.Parallel()
	s := start(t, Options{DataLatency: 30 * time.Millisecond})
	c := s.login(t)
	began := time.Now()
	c.send("MAIL FROM:<" + mailbox + ">\r\nRCPT TO:<a@b.c>\r\nBDAT 0 LAST\r\n")
	c.want("250 ")
	c.want("250 ")
	c.want("250 2.0.0 OK")
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

func TestLongLineIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, Options{}).dial(t)
	c.want("220 ")
	c.send("EHLO " + strings.Repeat("a", 2*maxLine) + "\r\n")
	c.want("500 5.3.3 Line too long")
	c.gone()
}

func TestTooManyErrors(t *testing.T) {
	t.Parallel()
	c := start(t, Options{}).dial(t)
	c.want("220 ")
	for range maxUnknown {
		c.do("HELP ME", "500 ")
	}
	c.do("HELP ME", "421 4.7.0 Too many errors")
	c.gone()
}
