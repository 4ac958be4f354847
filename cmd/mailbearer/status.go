package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/courier"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// statusView is the JSON of `status`; its names are fixed.
type statusView struct {
	Accounts []accountView `json:"accounts"`
	Queue    spool.Counts  `json:"queue"`

	Running  bool        `json:"running"`            // a relay has the data directory
	Spool    *spoolView  `json:"spool,omitempty"`    // absent where nothing has run yet
	Strays   []strayView `json:"strays,omitempty"`   // mail whose account is not in the configuration
	Warnings []string    `json:"warnings,omitempty"` // of the configuration
	Outdated *reasonView `json:"outdated,omitempty"` // the running relay goes by an older configuration

	warnBefore time.Duration // how long before it ends a credential is shown to people
}

// reasonView is what is amiss, and what to do.
type reasonView struct {
	Reason string `json:"reason"`
	Fix    string `json:"fix"`
}

// spoolView is how full the spool is.
type spoolView struct {
	Octets  int64  `json:"octets"`   // of all texts
	MaxSize int64  `json:"max_size"` // 0 is no limit
	Reason  string `json:"reason,omitempty"`
	Fix     string `json:"fix,omitempty"` // with Reason: why new mail is refused, and what to do
}

type strayView struct {
	Account string `json:"account"`
	Queued  int    `json:"queued"`
	Failed  int    `json:"failed"`
	Reason  string `json:"reason"`
	Fix     string `json:"fix"`
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
	LastErrorAt       time.Time         `json:"last_error_at,omitzero"`
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
			var view statusView
			err := withSpool(c.Context(), e, func(cfg *config.Config, sp *sqlite.Spool) (err error) {
				view, err = readStatus(c.Context(), cfg, sp)
				return err
			})
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

// readStatus puts together what the configuration names and what the courier wrote down, relay running or not. sp is nil
// where nothing has run yet.
func readStatus(ctx context.Context, cfg *config.Config, sp *sqlite.Spool) (view statusView, err error) {
	view = statusView{warnBefore: slices.Max(append(cfg.Alerts.ExpiryWarning, 0)), Accounts: []accountView{}, Running: sqlite.Running(cfg.Relay.DataDir), Warnings: cfg.Warnings}
	if cause, fix := olderConfig(cfg); cause != "" {
		view.Outdated = &reasonView{cause, fix}
	}
	states, counts := map[string]mail.Account{}, map[string]spool.Counts{}
	if sp != nil {
		if states, err = sp.Accounts(ctx); err != nil {
			return view, err
		}
		if counts, err = sp.Counts(ctx); err != nil {
			return view, err
		}
		if view.Spool, err = viewSpool(ctx, cfg, sp); err != nil {
			return view, err
		}
	}
	for _, a := range cfg.Accounts {
		view.Accounts = append(view.Accounts, viewAccount(a, states[a.Name], counts[a.Name]))
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c := counts[name]
		view.Queue.Ready += c.Ready
		view.Queue.Deferred += c.Deferred
		view.Queue.Held += c.Held
		view.Queue.Failed += c.Failed
		if cfg.Account(name) == nil && c.Queued()+c.Failed > 0 {
			t := courier.Stray(name)
			view.Strays = append(view.Strays, strayView{name, c.Queued(), c.Failed, t.Cause, t.Fix})
		}
	}
	return view, nil
}

func viewSpool(ctx context.Context, cfg *config.Config, sp *sqlite.Spool) (*spoolView, error) {
	used, full, err := sp.Room(ctx)
	v := &spoolView{Octets: used, MaxSize: cfg.Spool.MaxSize}
	if full != nil {
		v.Reason, v.Fix = whyNotStored(full)
	}
	return v, err
}

func viewAccount(a config.Account, s mail.Account, c spool.Counts) accountView {
	v := accountView{
		Name: a.Name, Mailbox: a.Mailbox, State: s.State, Reason: s.Reason, Fix: s.Fix, Since: utc(s.Since),
		TokenExpires: utc(s.TokenExpires), CredentialExpires: utc(s.CredentialExpires), Queued: c.Queued(),
		LastDelivered: utc(s.LastDelivered), LastError: s.LastError, LastErrorAt: utc(s.LastErrorAt),
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", a.Name, a.Mailbox, a.State, a.tokenUntil(), a.Queued, clock(a.LastDelivered))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, a := range v.Accounts {
		a.printTrouble(w)
		if left := time.Until(a.CredentialExpires); !a.CredentialExpires.IsZero() && left < v.warnBefore {
			fmt.Fprintf(w, "\n%s: what it signs in with ends on %s. What to do stands in the log and in `mailbearer check`.\n", a.Name, clock(a.CredentialExpires))
		}
	}
	for _, x := range v.Strays {
		fmt.Fprintf(w, "\nThe account %s has %d queued and %d failed messages: %s\nWhat to do: %s\n", x.Account, x.Queued, x.Failed, x.Reason, x.Fix)
	}
	if v.Spool != nil && v.Spool.Reason != "" {
		fmt.Fprintf(w, "\nNew mail is refused: %s\nWhat to do: %s\n", v.Spool.Reason, v.Spool.Fix)
	}
	for _, text := range v.Warnings {
		fmt.Fprintf(w, "\nWarning: %s\n", text)
	}
	if v.Outdated != nil {
		fmt.Fprintf(w, "\n%s.\nWhat to do: %s\n", v.Outdated.Reason, v.Outdated.Fix)
	}
	if !v.Running {
		fmt.Fprintln(w, "\nNo relay is running on this data directory: what stands here is what the last one wrote, and queued mail waits.\n"+
			"What to do: start it, with mailbearer run or as the service it is installed as.")
	}
	q := v.Queue
	_, err := fmt.Fprintf(w, "\nQueue: %d ready, %d deferred, %d held, %d failed\n", q.Ready, q.Deferred, q.Held, q.Failed)
	return err
}

func (a accountView) tokenUntil() string {
	if a.TokenExpires.IsZero() {
		return "no token yet"
	}
	return clock(a.TokenExpires)
}

func (a accountView) printTrouble(w io.Writer) {
	switch {
	case a.Reason != "" && a.State == mail.AccountHeld:
		fmt.Fprintf(w, "\n%s is held since %s: %s\n", a.Name, clock(a.Since), safe(a.Reason))
	case a.Reason != "":
		fmt.Fprintf(w, "\n%s can send until %s, with the token at hand, and then no more: %s\n", a.Name, clock(a.TokenExpires), safe(a.Reason))
	}
	if a.Fix != "" {
		fmt.Fprintf(w, "What to do: %s\n", a.Fix)
	}
	if a.LastError != "" && a.LastError != a.Reason {
		fmt.Fprintf(w, "\nLast trouble of %s, %s: %s\n", a.Name, clock(a.LastErrorAt), safe(a.LastError))
	}
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
