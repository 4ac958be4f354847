package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// pipes are the two ends of a child's standard input and output.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// TestSendmailSpeaksSMTP: two messages in one call, as Symfony's mailer sends them, with the relay down; then it delivers.
func TestSendmailSpeaksSMTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	c := w.link("sendmail", "-bs")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sender{textproto.NewConn(pipes{out, in})}
	if err := s.hello(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		reply, err := s.send(message(fmt.Sprint("m", i), 5000), "a@example.com", "b@example.com")
		if err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as ") {
			t.Fatalf("%q, %v", reply, err)
		}
	}
	if err := s.step("MAIL FROM:<"+testMailbox+">", 250); err != nil {
		t.Error(err)
	}
	if err := s.step("RCPT TO:<no address>", 501); err != nil {
		t.Error(err)
	}
	if err := s.step("QUIT", 221); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	w.start()
	for _, m := range w.arrived(2, 20*time.Second) {
		want := string(message(testID(m.Data), 5000))
		if m.Sender != testMailbox || len(m.Recipients) != 2 || !strings.HasSuffix(string(m.Data), want) {
			t.Errorf("from %q to %v:\n%s", m.Sender, m.Recipients, m.Data)
		}
	}
}

// TestSendmailSMTPTooLarge: what is not taken is refused, and nothing of it is left.
func TestSendmailSMTPTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nmax_message_size = \"64KB\""})
	dialog := "EHLO x\r\nMAIL FROM:<a@contoso.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + strings.Repeat("x\r\n", 40<<10) + ".\r\nQUIT\r\n"
	out, errs, code := w.sendmail(strings.NewReader(dialog), "-bs")
	if code != 0 || !strings.Contains(out, "\r\n55") || !strings.Contains(out, "\r\n221") || strings.Contains(out, "queued as") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if out, _, _ := output("queue", "list", "--config", w.config); !strings.Contains(out, "No such messages") {
		t.Error(out)
	}
}

// TestSendmailSMTPAddresses: an address is one address, whatever stands in its quotes, and each way into the spool keeps it.
func TestSendmailSMTPAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(nil)
	for _, test := range []struct{ rcpt, want string }{
		{`"<x@evil.example>"@contoso.example`, `"<x@evil.example>"@contoso.example`},
		{`"x@evil.example,y"@example.com`, `"x@evil.example,y"@example.com`},
		{`"root,admin"@contoso.example`, `"root,admin"@contoso.example`},
		{`"(c)x"@example.com`, `"(c)x"@example.com`},
		{`"john doe"@example.com`, `"john doe"@example.com`},
		{`plain@example.com`, `plain@example.com`},
	} {
		dialog := "EHLO x\r\nMAIL FROM:<a@contoso.example>\r\nRCPT TO:<" + test.rcpt + ">\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
		out, errs, code := w.sendmail(strings.NewReader(dialog), "-bs")
		_, id, queued := strings.Cut(out, "queued as ")
		if code != 0 || !queued {
			t.Errorf("%s: exit %d\n%s%s", test.rcpt, code, out, errs)
			continue
		}
		id = strings.Fields(id)[0]
		var v messageView
		out, errs, _ = output("queue", "show", id, "--json", "--config", w.config)
		if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Recipients) != 1 || v.Recipients[0].Address != test.want {
			t.Errorf("%s: %v %+v %s", test.rcpt, err, v.Recipients, errs)
		}
		r := request{Version: 1, Recipients: []string{test.want}}
		if err := r.check(); err != nil || len(r.Recipients) != 1 || r.Recipients[0] != test.want {
			t.Errorf("%s: the drop folder makes %q of it, %v", test.rcpt, r.Recipients, err)
		}
	}
}

// TestSendmailSMTPDialects: a shell script's line ends, a text that breaks off, and recipients who ask for different reports.
func TestSendmailSMTPDialects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(nil)
	const head = "EHLO x\r\nMAIL FROM:<a@contoso.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
	for _, test := range []struct {
		name, dialog string
		code         int
		queued       int
	}{
		{"LF", strings.ReplaceAll(head+"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n", "\r\n", "\n"), 0, 1},
		{"LF in a CRLF dialog ends nothing", head + "Subject: x\r\n\r\nx\n.\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", 0, 1},
		{"cut", head + "Subject: x\r\n\r\nhalf of", exIOErr, 0},
		{"long line", head + strings.Repeat("x", 2<<20) + "\r\n.\r\nQUIT\r\n", 0, 0},
	} {
		out, errs, code := w.sendmail(strings.NewReader(test.dialog), "-bs")
		if code != test.code || strings.Count(out, "queued as ") != test.queued || test.name == "long line" && !strings.Contains(out, "\r\n5") {
			t.Errorf("%s: exit %d\n%s%s", test.name, code, out, errs)
		}
	}
	out, _, _ := w.sendmail(strings.NewReader("EHLO x\r\nMAIL FROM:<a@contoso.example>\r\nRCPT TO:<b@example.com> NOTIFY=NEVER\r\nRCPT TO:<c@example.com>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"), "-bs")
	_, id, _ := strings.Cut(out, "queued as ")
	sp, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(w.dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	parsed, err := mail.ParseID(strings.Fields(id)[0])
	if err != nil {
		t.Fatal(err)
	}
	m, err := sp.Get(t.Context(), parsed)
	if err != nil || len(m.Envelope.Recipients) != 2 || len(m.Envelope.Recipients[0].Notify)+len(m.Envelope.Recipients[1].Notify) != 0 {
		t.Errorf("%v, %+v", err, m.Envelope.Recipients)
	}
}
