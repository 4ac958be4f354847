package main

import (
	"bytes"
	"context"
	"net/mail"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// sendTest runs the command in this process.
func (w *world) sendTest(ctx context.Context, args ...string) (out string, code int) {
	return w.sendTestUntil(ctx, "", args...)
}

// sendTestUntil interrupts the command, as Ctrl-C does, when it has printed a word.
func (w *world) sendTestUntil(ctx context.Context, word string, args ...string) (out string, code int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := watchedOutput{word: word, seen: cancel}
	code = run(ctx, append([]string{"test", "--config", w.config}, args...), nil, &b, &b)
	if strings.Contains(b.String(), w.fake.ClientSecret()) {
		w.t.Errorf("the secret is shown:\n%s", b.String())
	}
	return b.String(), code
}

// watchedOutput keeps what is printed, and calls seen once a word is in it.
type watchedOutput struct {
	bytes.Buffer
	word string
	seen func()
}

func (o *watchedOutput) Write(p []byte) (int, error) {
	n, err := o.Buffer.Write(p)
	if o.word != "" && strings.Contains(o.String(), o.word) {
		o.seen()
	}
	return n, err
}

func wantWords(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("without %q:\n%s", word, out)
		}
	}
}

func TestTestMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	out, code := w.sendTest(t.Context(), "--to", "you@contoso.example")
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "accepted", "delivered", "attempt 1", "250 2.0.0 OK", "The provider has taken the message", "you@contoso.example")
	arrived := w.fake.Messages()[0]
	m, err := mail.ReadMessage(bytes.NewReader(arrived.Data))
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`[0-9a-z]{13}`).FindString(out)
	for name, want := range map[string]string{
		"From": testMailbox, "To": "you@contoso.example", "X-Mailbearer-Test": id, "Auto-Submitted": "auto-generated", "Subject": "mailbearer test " + id,
		"Date": "20", "Message-Id": id, "Content-Type": "text/plain",
	} {
		if !strings.Contains(m.Header.Get(name), want) {
			t.Errorf("%s: %q", name, m.Header.Get(name))
		}
	}
	wantWords(t, string(arrived.Data), "relay.contoso.example", "queue show "+id, "default")
	if arrived.Sender != testMailbox || strings.Contains(strings.ReplaceAll(string(arrived.Data), "\r\n", ""), "\n") {
		t.Errorf("from <%s>: %q", arrived.Sender, arrived.Data)
	}
}

func TestTestMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	out, code := w.sendTest(t.Context(), "--to", "you@contoso.example", "--count", "40", "--from", "printer@contoso.example")
	if n := len(w.fake.Messages()); code != 0 || n != 40 {
		t.Errorf("exit %d, %d messages", code, n)
	}
	wantWords(t, out, "40 of 40 (", "min ", "median ", "p90 ", "max ", "The provider has taken all 40 messages")
	if s := w.fake.Messages()[0].Sender; s != "printer@contoso.example" {
		t.Errorf("from <%s>", s)
	}
}

func TestTestMessageRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "rcpt", Answer: "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"})
	w.start()
	out, code := w.sendTest(t.Context(), "--to", "gone@contoso.example")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "failed", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", "cause:", "what to do:", "queue show", "queue drop")
}

func TestTestMessageDeferredThenDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "end", Answer: "451 4.7.0 Temporary server error. Please try again later. PRX4", Times: 1})
	w.start()
	out, code := w.sendTest(t.Context(), "--to", "you@contoso.example")
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "deferred", "451 4.7.0", "next attempt", "delivered", "attempt 2")
}

func TestTestMessageOfAHeldAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."})
	w.start()
	out, code := w.sendTest(t.Context(), "--to", "you@contoso.example", "--timeout", "3s")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "held", "535 5.7.139", "Set-CASMailbox", "still queued", "mailbearer check --account default", "queue show")
}

func TestTestMessageWithoutARelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	begin := time.Now()
	out, code := w.sendTest(t.Context(), "--to", "you@contoso.example")
	if d := time.Since(begin); code != exitFailed || d > 5*time.Second {
		t.Errorf("exit %d after %v", code, d)
	}
	wantWords(t, out, "no relay is running", "mailbearer run", "no message was queued")

	w.fake.Fault(fake365.Fault{At: "end", Hang: true})
	w.start()
	relay := w.relay
	stop := time.AfterFunc(1500*time.Millisecond, func() { relay.cmd.Process.Kill() })
	defer stop.Stop()
	out, code = w.sendTest(t.Context(), "--to", "you@contoso.example")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "the relay has stopped", "queue show")
}

func TestTestMessageInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "end", Hang: true})
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, code := w.sendTestUntil(ctx, "is on its way", "--to", "you@contoso.example")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantWords(t, out, "interrupted", "still queued", "attempt    1 is on its way")
}

func TestTestMessageUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	for _, c := range []struct{ args, want string }{
		{"", "to whom?"},
		{"--to nobody", "is not an address"},
		{"--to a@b.example --from nobody", "is not an address"},
		{"--to a@b.example --count 0", "from 1 to 1000"},
		{"--to a@b.example --account nobody", `"nobody"`},
		{"--to a@b.example --timeout -1s", "longer"},
	} {
		if out, code := w.sendTest(t.Context(), strings.Fields(c.args)...); code != exitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d: %s", c.args, code, out)
		}
	}
}

func TestTestMessageIsRoutedAsLocal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox, "second@contoso.example"}, AnyFrom: true})
	raw, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	_, account, _ := strings.Cut(text, "[[account]]")
	account, _, _ = strings.Cut(account, "[spool]")
	second := strings.NewReplacer(`"default"`, `"second"`, testMailbox, "second@contoso.example").Replace(account)
	w.change("[spool]", "[[account]]"+second+"[[route]]\nlistener = \"local\"\naccount = \"second\"\n[spool]")
	w.start()
	if out, code := w.sendTest(t.Context(), "--to", "you@contoso.example"); code != 0 || !strings.Contains(out, "account second") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := w.sendTest(t.Context(), "--to", "you@contoso.example", "--account", "default"); code != 0 || !strings.Contains(out, "account default") {
		t.Errorf("exit %d: %s", code, out)
	}
	list := w.fake.Messages()
	if len(list) != 2 || list[0].Sender != "second@contoso.example" || list[1].Sender != testMailbox {
		t.Errorf("%d messages: %+v", len(list), list)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	for i := 100; i > 0; i-- {
		d = append(d, time.Duration(i)*time.Millisecond)
	}
	if got := spread(d); got != "min 1ms, median 51ms, p90 91ms, max 100ms" {
		t.Error(got)
	}
	if got := spread(d[:1]); got != "min 100ms, median 100ms, p90 100ms, max 100ms" {
		t.Error(got)
	}
}
