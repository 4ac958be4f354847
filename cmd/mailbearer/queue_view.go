package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
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
	Trace       []mail.Event    `json:"trace,omitempty"` // of `queue show` only
}

type recipientView struct {
	Address string              `json:"address"`
	State   mail.RecipientState `json:"state"`
	Reply   string              `json:"reply,omitempty"`
}

func viewMessage(m spool.Message) messageView {
	v := messageView{
		ID: m.Envelope.ID, Account: m.Envelope.Account, State: m.State, Sender: m.Envelope.Sender,
		Recipients: []recipientView{}, Size: m.Envelope.Size, Received: utc(m.Envelope.Received),
		Attempts: m.Attempts, NextAttempt: utc(m.NextAttempt), LastReply: m.LastReply, Client: m.Envelope.Client.Address,
	}
	for _, r := range m.Envelope.Recipients {
		v.Recipients = append(v.Recipients, recipientView{r.Address, r.State, r.Reply})
	}
	return v
}

func printQueue(w io.Writer, views []messageView) error {
	if len(views) == 0 {
		_, err := fmt.Fprintln(w, "No such messages.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tACCOUNT\tRECEIVED\tSIZE\tTRIES\tNEXT\tSENDER\tRECIPIENTS\tLAST REPLY")
	for _, v := range views {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t<%s>\t%s\t%s\n", v.ID, v.State, v.Account, clock(v.Received), v.Size,
			v.Attempts, clock(v.NextAttempt), v.Sender, v.summary(), safe(v.LastReply))
	}
	return t.Flush()
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
	fmt.Fprintf(w, "%s  %s, account %s, %d octets, %d tries\n", v.ID, v.State, v.Account, v.Size, v.Attempts)
	fmt.Fprintf(w, "from <%s>, client %s, received %s\n", v.Sender, v.Client, clock(v.Received))
	for _, r := range v.Recipients {
		fmt.Fprintf(w, "  to <%s>  %s  %s\n", r.Address, r.State, safe(r.Reply))
	}
	if !v.NextAttempt.IsZero() {
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

// safe keeps a peer's words from moving a terminal's cursor.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
