package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/courier"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// messageView is the JSON of one message in `queue`; its names are fixed.
type messageView struct {
	ID          mail.ID         `json:"id"`
	Account     string          `json:"account"`
	State       mail.State      `json:"state"`
	Sender      string          `json:"sender"`
	Recipients  []recipientView `json:"recipients"`
	Size        int64           `json:"size"`
	Received    time.Time       `json:"received"`
	Attempts    int             `json:"attempts"`
	NextAttempt time.Time       `json:"next_attempt,omitzero"`
	LastReply   string          `json:"last_reply,omitempty"`
	Client      string          `json:"client,omitempty"`

	// Of an account that is held, or not in the configuration: why the message waits although it is ready or deferred.
	AccountReason string    `json:"account_reason,omitempty"`
	AccountFix    string    `json:"account_fix,omitempty"`
	AccountSince  time.Time `json:"account_since,omitzero"`

	Trace []mail.Event `json:"trace,omitempty"` // of `queue show` only
}

type recipientView struct {
	Address string              `json:"address"`
	State   mail.RecipientState `json:"state"`
	Reply   string              `json:"reply,omitempty"`
}

// viewTrace is one message with its whole trace.
func viewTrace(ctx context.Context, cfg *config.Config, sp *sqlite.Spool, id mail.ID) (messageView, error) {
	m, err := sp.Get(ctx, id)
	if err != nil {
		return messageView{}, err
	}
	accounts, err := sp.Accounts(ctx)
	if err != nil {
		return messageView{}, err
	}
	v := viewMessage(m, standing(cfg, accounts, m.Envelope.Account))
	v.Trace, err = sp.Trace(ctx, id)
	return v, err
}

// standing is the state of an account as the courier wrote it down. One that is not in the configuration sends nothing.
func standing(cfg *config.Config, accounts map[string]mail.Account, name string) mail.Account {
	if cfg.Account(name) != nil {
		return accounts[name]
	}
	t := courier.Stray(name)
	return mail.Account{Name: name, State: mail.AccountHeld, Reason: t.Cause, Fix: t.Fix}
}

func viewMessage(m spool.Message, a mail.Account) messageView {
	v := messageView{
		ID: m.Envelope.ID, Account: m.Envelope.Account, State: m.State, Sender: m.Envelope.Sender,
		Recipients: []recipientView{}, Size: m.Envelope.Size, Received: utc(m.Envelope.Received),
		Attempts: m.Attempts, NextAttempt: utc(m.NextAttempt), LastReply: m.LastReply, Client: m.Envelope.Client.Address,
	}
	for _, r := range m.Envelope.Recipients {
		v.Recipients = append(v.Recipients, recipientView{r.Address, r.State, r.Reply})
	}
	if a.State == mail.AccountHeld && (m.State == mail.StateReady || m.State == mail.StateDeferred) {
		v.AccountReason, v.AccountFix, v.AccountSince = a.Reason, a.Fix, utc(a.Since)
	}
	return v
}

// next is when the message is tried again; while its account is held, it is the account that is.
func (v messageView) next() string {
	if v.AccountReason != "" {
		return "waits for account"
	}
	return clock(v.NextAttempt)
}

func (v messageView) printAccount(w io.Writer) {
	since := ""
	if !v.AccountSince.IsZero() {
		since = " since " + clock(v.AccountSince)
	}
	fmt.Fprintf(w, "The account %s is held%s: %s\n", v.Account, since, safe(v.AccountReason))
	if v.AccountFix != "" {
		fmt.Fprintf(w, "What to do: %s\n", v.AccountFix)
	}
}

func (v messageView) summary() string {
	if len(v.Recipients) == 0 {
		return ""
	}
	s := v.Recipients[0].Address
	if n := len(v.Recipients) - 1; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

func (v messageView) print(w io.Writer) error {
	fmt.Fprintf(w, "%s  %s, account %s, %s, %s\n", v.ID, v.State, v.Account, count(v.Size, "octet"), count(v.Attempts, "attempt"))
	fmt.Fprintf(w, "from <%s>, client %s, received %s\n", v.Sender, v.Client, clock(v.Received))
	for _, r := range v.Recipients {
		fmt.Fprintf(w, "  to <%s>  %s  %s\n", r.Address, r.State, safe(r.Reply))
	}
	switch {
	case v.AccountReason != "":
		v.printAccount(w)
	case !v.NextAttempt.IsZero():
		fmt.Fprintf(w, "next attempt %s\n", clock(v.NextAttempt))
	}
	for _, t := range v.Trace {
		fmt.Fprintf(w, "\n%s  %s", t.Time.Local().Format("2006-01-02 15:04:05.000"), t.Event)
		printTraceFields(w, t)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func printTraceFields(w io.Writer, t mail.Event) {
	if t.Attempt > 0 {
		fmt.Fprintf(w, ", attempt %d, %d ms", t.Attempt, t.DurationMS)
	}
	if c := t.Client; c != nil {
		fmt.Fprintf(w, "\n    client %s, HELO %q, user %q, TLS %q", c.Address, c.Name, c.User, c.TLS)
		if c.Sender != "" {
			fmt.Fprintf(w, "\n    its sender <%s> cannot be used there; the mailbox took its place", safe(c.Sender))
		}
		if len(c.Repairs) > 0 {
			fmt.Fprintf(w, "\n    mended: %s", strings.Join(c.Repairs, ", "))
		}
	}
	for _, f := range []struct{ name, value string }{
		{"to", t.Recipient}, {"connection", t.Connection}, {"reply", t.Reply}, {"cause", t.Cause}, {"fix", t.Fix}, {"note", t.Detail},
	} {
		if f.value != "" {
			fmt.Fprintf(w, "\n    %s: %s", f.name, safe(f.value))
		}
	}
}

// count writes a number with its noun.
func count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// safe keeps a peer's words from moving a terminal's cursor.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
