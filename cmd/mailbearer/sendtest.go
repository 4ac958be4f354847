package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// testRun is what `test` was asked to do.
type testRun struct {
	to, from, account string
	count             int
	timeout           time.Duration // without an outcome
	hostname          string
}

// mostTests bounds --count: more would use up a mailbox's day.
const mostTests = 1000

// testListener is the listener that mail is routed by which no listener took.
const testListener = "local"

func newTest(e *env) *cobra.Command {
	var t testRun
	c := &cobra.Command{
		Use:   "test --to ADDRESS",
		Short: "Send a real test message and follow it to its outcome",
		Long: `Put a real test message into the spool of the running relay and follow it until the provider has taken or refused
it. Each step is printed as it happens, with the provider's own words; what fails, with its cause and what to do.

Exit code 0: the provider has taken every message; 1: it has not (refused, no relay is running, or no outcome within
the time); 2: usage or configuration.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(e.config)
			if err != nil {
				return err
			}
			if err := t.complete(c.Context(), cfg); err != nil {
				return err
			}
			return t.run(c.Context(), e, cfg)
		},
	}
	c.Flags().StringVar(&t.to, "to", "", "the `address` that gets the message")
	c.Flags().StringVar(&t.account, "account", "", "send by this `account`; without it the routes decide, as for a listener named local")
	c.Flags().StringVar(&t.from, "from", "", "the sender's `address`; without it the account's mailbox")
	c.Flags().IntVar(&t.count, "count", 1, "send so many messages, and measure how long they take")
	c.Flags().DurationVar(&t.timeout, "timeout", 2*time.Minute, "give up when no message has had its outcome for so long")
	return c
}

// complete checks what was asked and fills in what was not said.
func (t *testRun) complete(ctx context.Context, cfg *config.Config) (err error) {
	switch {
	case t.to == "":
		return errors.New("to whom? Name an address that you can read: mailbearer test --to you@example.com")
	case t.count < 1 || t.count > mostTests:
		return fmt.Errorf("--count %d: it must be from 1 to %d", t.count, mostTests)
	case t.timeout <= 0:
		return fmt.Errorf("--timeout %v: it must be longer than nothing, as in 2m", t.timeout)
	}
	if t.to, err = plainAddress("--to", t.to); err != nil {
		return err
	}
	if t.from != "" {
		if t.from, err = plainAddress("--from", t.from); err != nil {
			return err
		}
	}
	if t.account == "" {
		t.account = router(cfg)(relay.Query{Listener: testListener, Sender: t.from, Recipients: []string{t.to}})
	}
	a := cfg.Account(t.account)
	if a == nil {
		return noSuchAccount(cfg, t.account)
	}
	t.from = cmp.Or(t.from, a.Mailbox)
	t.hostname = cfg.Relay.Hostname
	if t.hostname == "" {
		t.hostname = hostname(ctx)
	}
	return nil
}

// plainAddress takes local@domain.
func plainAddress(flag, s string) (string, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil || !strings.Contains(a.Address, "@") || strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s %q is not an address: write one as in you@example.com", flag, s)
	}
	return a.Address, nil
}

// run puts the messages into the spool and follows them.
func (t *testRun) run(ctx context.Context, e *env, cfg *config.Config) error {
	if !sqlite.Running(cfg.Relay.DataDir) {
		return fail("no relay is running on %s, so nothing would be sent: start it (`mailbearer run --config %s`, or the service), then test again; no message was queued", cfg.Relay.DataDir, cfg.File)
	}
	sp, err := openSpool(ctx, cfg)
	if err != nil {
		return fail("the spool in %s cannot be opened: %w; run this as the user whom the relay runs as", cfg.Relay.DataDir, err)
	}
	defer sp.Close()
	f := &follower{test: t, spool: sp, dataDir: cfg.Relay.DataDir, w: e.stdout, began: time.Now()}
	for n := range t.count {
		id, err := t.put(ctx, sp, n)
		if err != nil {
			return fail("the test message could not be put into the spool: %w", err)
		}
		f.open = append(f.open, &followed{id: id, number: n + 1})
	}
	if err := sp.AskProbe(ctx, t.account); err != nil { // should it be held
		return fail("the test message is queued, but the relay could not be asked to try at once: %w", err)
	}
	return f.follow(ctx)
}

// put makes one test message durable, as if a listener named local had taken it.
func (t *testRun) put(ctx context.Context, sp spool.Spool, n int) (mail.ID, error) {
	now := time.Now()
	env := &mail.Envelope{
		ID: mail.NewID(now), Account: t.account, Sender: t.from, Received: now,
		Recipients: []mail.Recipient{{Address: t.to, State: mail.Pending}},
		Client:     mail.Client{Address: testListener, Name: t.hostname, Listener: testListener},
		SMTPUTF8:   !onlyASCII(t.from + t.to),
	}
	body := sp.NewBody(env.ID)
	if _, err := body.Write(t.text(env.ID, now, n)); err != nil {
		body.Discard()
		return 0, err
	}
	env.Size, env.EightBit = body.Size(), env.SMTPUTF8
	return env.ID, sp.Put(ctx, env, body, false)
}

// text is the message: plain, and clear about what it is.
func (t *testRun) text(id mail.ID, now time.Time, n int) []byte {
	subject := "mailbearer test " + id.String()
	if t.count > 1 {
		subject += fmt.Sprintf(" (%d of %d)", n+1, t.count)
	}
	domain := t.from[strings.LastIndexByte(t.from, '@')+1:]
	charset, encoding := "us-ascii", "7bit"
	if !onlyASCII(t.from + t.to) {
		charset, encoding = "utf-8", "8bit"
	}
	text := fmt.Sprintf(`Date: %s
From: <%s>
To: <%s>
Subject: %s
Message-ID: <test.%s@%s>
X-Mailbearer-Test: %s
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: text/plain; charset=%s
Content-Transfer-Encoding: %s

This is a test message of mailbearer, sent by the command "mailbearer test".
If you can read it, the relay can send. Nothing needs to be done, and an
answer is read by nobody.

Relay:    %s (mailbearer %s)
Account:  %s
Sender:   %s
Queued:   %s
ID:       %s   (on the relay: mailbearer queue show %s)
`, now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), t.from, t.to, subject, id, domain, id, charset, encoding,
		t.hostname, version(), t.account, t.from, now.Format("2006-01-02 15:04:05.000 -0700"), id, id)
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

func onlyASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
