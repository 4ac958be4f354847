package main

import (
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
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
