package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
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

func newQueue(e *env) *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "Look at the messages in the spool"}
	c.AddCommand(newQueueList(e), newQueueShow(e))
	return c
}

func newQueueList(e *env) *cobra.Command {
	var asJSON bool
	var f spool.Filter
	var state, older string
	c := &cobra.Command{
		Use:   "list",
		Short: "List what is not delivered yet (--state delivered lists what is)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if f.State, err = parseState(state); err != nil {
				return err
			}
			if f.OlderThan, err = parseAge(older); err != nil {
				return err
			}
			f.Now = time.Now()
			views := []messageView{}
			err = withSpool(c.Context(), e, func(sp spool.Spool) error {
				list, err := sp.List(c.Context(), f)
				for _, m := range list {
					views = append(views, viewMessage(m))
				}
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(e.stdout, views)
			}
			return printQueue(e.stdout, views)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	c.Flags().StringVar(&f.Account, "account", "", "only of this `account`")
	c.Flags().StringVar(&state, "state", "", "only in this `state`: ready, deferred, held, failed or delivered")
	c.Flags().StringVar(&f.Sender, "sender", "", "only from senders that match this `pattern` (* for any run of characters)")
	c.Flags().StringVar(&older, "older-than", "", "only received longer ago than this `duration` (30m, 2d)")
	return c
}

func newQueueShow(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show the whole trace of one message",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := mail.ParseID(args[0])
			if err != nil {
				return err
			}
			var v messageView
			err = withSpool(c.Context(), e, func(sp spool.Spool) error {
				m, err := sp.Get(c.Context(), id)
				if err != nil {
					return err
				}
				v = viewMessage(m)
				v.Trace, err = sp.Trace(c.Context(), id)
				return err
			})
			if errors.Is(err, spool.ErrNotFound) || err == nil && v.ID == 0 {
				return fail("%s is not in the spool: it was never accepted here, was refused in the session, or its history has been cleared", id)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(e.stdout, v)
			}
			return v.print(e.stdout)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	return c
}

// withSpool opens the spool of the configuration beside a running relay or without one. Where nothing has run yet
// there is nothing to look at, and do is not called.
func withSpool(ctx context.Context, e *env, do func(spool.Spool) error) error {
	cfg, err := loadConfig(e.config)
	if err != nil {
		return err
	}
	sp, err := openSpool(ctx, cfg)
	if errors.Is(err, sqlite.ErrNoSpool) {
		return nil
	}
	if err != nil {
		return failure{err}
	}
	defer sp.Close()
	if err := do(sp); err != nil {
		return failure{err}
	}
	return nil
}

func parseState(s string) (mail.State, error) {
	switch st := mail.State(s); st {
	case "", mail.StateReady, mail.StateDeferred, mail.StateHeld, mail.StateFailed, mail.StateDelivered:
		return st, nil
	}
	return "", fmt.Errorf("%q is not a state: use ready, deferred, held, failed or delivered", s)
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
