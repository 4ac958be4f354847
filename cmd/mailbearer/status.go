package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// statusView is the JSON of `status`; its names are fixed.
type statusView struct {
	Accounts []accountView `json:"accounts"`
	Queue    spool.Counts  `json:"queue"`
}

type accountView struct {
	Name              string            `json:"name"`
	Mailbox           string            `json:"mailbox"`
	State             mail.AccountState `json:"state"`
	Reason            string            `json:"reason,omitempty"`
	Fix               string            `json:"fix,omitempty"`
	Since             time.Time         `json:"since,omitzero"`
	TokenExpires      time.Time         `json:"token_expires,omitzero"`
	CredentialExpires time.Time         `json:"credential_expires,omitzero"`
	Queued            int               `json:"queued"`
	LastDelivered     time.Time         `json:"last_delivered,omitzero"`
	LastError         string            `json:"last_error,omitempty"`
}

func newStatus(e *env) *cobra.Command {
	var asJSON, clients bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show accounts, their tokens and what is queued",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if clients {
				return showClients(c.Context(), e, asJSON)
			}
			cfg, err := loadConfig(e.config)
			if err != nil {
				return err
			}
			view, err := readStatus(c.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(e.stdout, view)
			}
			return view.print(e.stdout)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	c.Flags().BoolVar(&clients, "clients", false, "show who connects: the inventory before a sign-in method is switched off")
	return c
}

// readStatus puts together what the configuration names and what the courier wrote down, relay running or not.
func readStatus(ctx context.Context, cfg *config.Config) (statusView, error) {
	states, counts := map[string]mail.Account{}, map[string]spool.Counts{}
	sp, err := openSpool(ctx, cfg)
	switch {
	case errors.Is(err, sqlite.ErrNoSpool): // nothing has run yet
	case err != nil:
		return statusView{}, failure{err}
	default:
		defer sp.Close()
		if states, err = sp.Accounts(ctx); err != nil {
			return statusView{}, failure{err}
		}
		if counts, err = sp.Counts(ctx); err != nil {
			return statusView{}, failure{err}
		}
	}
	view := statusView{Accounts: []accountView{}}
	for _, a := range cfg.Accounts {
		view.Accounts = append(view.Accounts, viewAccount(a, states[a.Name], counts[a.Name]))
	}
	for _, c := range counts {
		view.Queue.Ready += c.Ready
		view.Queue.Deferred += c.Deferred
		view.Queue.Held += c.Held
		view.Queue.Failed += c.Failed
	}
	return view, nil
}

func viewAccount(a config.Account, s mail.Account, c spool.Counts) accountView {
	v := accountView{
		Name: a.Name, Mailbox: a.Mailbox, State: s.State, Reason: s.Reason, Fix: s.Fix, Since: utc(s.Since),
		TokenExpires: utc(s.TokenExpires), CredentialExpires: utc(s.CredentialExpires), Queued: c.Queued(),
		LastDelivered: utc(s.LastDelivered), LastError: s.LastError,
	}
	if v.State == "" {
		v.State = mail.AccountReady
	}
	return v
}

func (v statusView) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ACCOUNT\tMAILBOX\tSTATE\tTOKEN UNTIL\tQUEUED\tLAST DELIVERED")
	for _, a := range v.Accounts {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", a.Name, a.Mailbox, a.State, clock(a.TokenExpires), a.Queued, clock(a.LastDelivered))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, a := range v.Accounts {
		if a.Reason != "" {
			fmt.Fprintf(w, "\n%s is held since %s: %s\n", a.Name, clock(a.Since), a.Reason)
		}
		if a.Fix != "" {
			fmt.Fprintf(w, "What to do: %s\n", a.Fix)
		}
		if a.LastError != "" && a.LastError != a.Reason {
			fmt.Fprintf(w, "\nLast trouble of %s: %s\n", a.Name, a.LastError)
		}
	}
	q := v.Queue
	_, err := fmt.Fprintf(w, "\nQueue: %d ready, %d deferred, %d held, %d failed\n", q.Ready, q.Deferred, q.Held, q.Failed)
	return err
}

// clock writes a time for people, in the machine's own zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// utc prepares a time for JSON.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
