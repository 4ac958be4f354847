package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// chosen are the messages that a queue command acts on: those named, or those that a filter lets through.
type chosen struct {
	filter       spool.Filter
	state, older string
	all          bool
}

// flags declares the filters that every queue command has.
func (c *chosen) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.filter.Account, "account", "", "only of this `account`")
	cmd.Flags().StringVar(&c.state, "state", "", "only in this `state`: ready, deferred, held, failed or delivered")
	cmd.Flags().StringVar(&c.filter.Sender, "sender", "", "only from senders that match this `pattern` (* for any run of characters)")
	cmd.Flags().StringVar(&c.older, "older-than", "", "only received longer ago than this `duration` (30m, 2d)")
}

// parse checks the filters' words.
func (c *chosen) parse() error {
	switch s := mail.State(c.state); s {
	case "", mail.StateReady, mail.StateDeferred, mail.StateHeld, mail.StateFailed, mail.StateDelivered:
		c.filter.State = s
	default:
		return fmt.Errorf("--state %q is not a state: use ready, deferred, held, failed or delivered", s)
	}
	if c.older != "" {
		var err error
		if c.filter.OlderThan, err = config.ParseDuration(c.older); err != nil {
			return fmt.Errorf("--older-than %w", err)
		}
	}
	c.filter.Now = time.Now()
	return nil
}

func (c *chosen) filtered() bool {
	return c.all || c.filter.Account != "" || c.state != "" || c.filter.Sender != "" || c.older != ""
}

// known refuses a name that is no account's, neither in the configuration nor in the spool: a typing error must not look
// like an empty queue.
func (c *chosen) known(ctx context.Context, cfg *config.Config, sp *sqlite.Spool) error {
	name := c.filter.Account
	if name == "" || cfg.Account(name) != nil {
		return nil
	}
	if sp != nil {
		accounts, err := sp.Accounts(ctx)
		if err != nil {
			return err
		}
		counts, err := sp.Counts(ctx)
		_, wrote := accounts[name]
		_, queued := counts[name]
		if err != nil || wrote || queued {
			return err
		}
	}
	var names []string
	for _, a := range cfg.Accounts {
		names = append(names, a.Name)
	}
	return usage{fmt.Errorf("--account %q is no account of the configuration: there is %s", name, strings.Join(names, ", "))}
}

// named reads IDs from the command line.
func named(args []string) (ids []mail.ID, err error) {
	for _, a := range args {
		id, err := mail.ParseID(a)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ids says which messages are meant. A command that changes something does nothing by default to everything.
func (c *chosen) ids(ctx context.Context, cfg *config.Config, sp *sqlite.Spool, args []string) ([]mail.ID, error) {
	ids, err := named(args)
	if err != nil {
		return nil, usage{err}
	}
	if len(args) > 0 {
		return ids, nil
	}
	if err := c.known(ctx, cfg, sp); err != nil || sp == nil {
		return nil, err
	}
	err = eachPage(ctx, sp, c.filter, func(page []spool.Message) error {
		for _, m := range page {
			ids = append(ids, m.Envelope.ID)
		}
		return nil
	})
	return ids, err
}

// act is one command that changes messages.
type act struct {
	name, short string
	done        string // what is said of each message
	do          func(spool.Spool, context.Context, mail.ID) error
	probes      bool // a held account is to try at once
}

var acts = []act{
	{"retry", "Try messages at once, failed ones too", "is due now", spool.Spool.Retry, true},
	{"hold", "Set messages aside until they are released", "is held", spool.Spool.Hold, false},
	{"release", "Let held messages go", "is released and due now", spool.Spool.Release, true},
	{"drop", "Remove messages for good; nobody is told", "is dropped", spool.Spool.Drop, false},
}

func newQueueAct(e *env, a act) *cobra.Command {
	var c chosen
	cmd := &cobra.Command{
		Use:   a.name + " [ID…]",
		Short: a.short,
		Long:  a.short + ".\n\nName messages by their IDs, or choose them by filters; --all means everything that is not delivered.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.parse(); err != nil {
				return err
			}
			if len(args) == 0 && !c.filtered() {
				return fmt.Errorf("which messages? Name IDs, or use --account, --state, --sender, --older-than or --all")
			}
			return withSpool(cmd.Context(), e, func(cfg *config.Config, sp *sqlite.Spool) error {
				return a.run(cmd.Context(), e, cfg, sp, &c, args)
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "everything that is not delivered")
	return cmd
}

// doTo does it and says what comes of it. What is to go at once makes a held account try at once.
func (a act) doTo(ctx context.Context, cfg *config.Config, sp *sqlite.Spool, id mail.ID) (string, error) {
	if sp == nil {
		return "", spool.ErrNotFound
	}
	if err := a.do(sp, ctx, id); err != nil || !a.probes {
		return a.done, err
	}
	m, err := sp.Get(ctx, id)
	if err != nil {
		return a.done, nil // it has gone already
	}
	account := m.Envelope.Account
	switch {
	case cfg.Account(account) == nil:
		return fmt.Sprintf("%s, but its account %q is not in the configuration: it waits until it is", a.done, account), nil
	case !sqlite.Running(cfg.Relay.DataDir):
		return a.done + ", and goes when the relay runs", nil
	}
	return a.done, sp.AskProbe(ctx, account)
}

// run does it to each message and fails if one of them could not be served.
func (a act) run(ctx context.Context, e *env, cfg *config.Config, sp *sqlite.Spool, c *chosen, args []string) error {
	ids, err := c.ids(ctx, cfg, sp, args)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		fmt.Fprintln(e.stdout, noMessages)
		return nil
	}
	failed := 0
	for _, id := range ids {
		done, err := a.doTo(ctx, cfg, sp, id)
		if err == nil {
			fmt.Fprintf(e.stdout, "%s %s\n", id, done)
			continue
		}
		failed++
		fmt.Fprintf(e.stderr, "mailbearer: %s %s\n", id, whyNotDone(err))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s were left as they are", failed, count(len(ids), "message"))
	}
	return nil
}

func whyNotDone(err error) string {
	switch {
	case errors.Is(err, spool.ErrBusy):
		return "is being sent at this moment: wait for the outcome, then try again"
	case errors.Is(err, spool.ErrNotFound):
		return "is not in the spool"
	}
	return "cannot be changed: " + err.Error()
}

func newQueueExport(e *env) *cobra.Command {
	var c chosen
	var to string
	cmd := &cobra.Command{
		Use:   "export [ID…]",
		Short: "Write messages out as .eml, or the whole spool as a backup",
		Long: `Write messages out as they are in the spool: one ID goes to standard output, several go to a directory (--to).

With --all, --to names an empty or new directory that receives a consistent copy of the whole spool (database and
texts), whether the relay is running or not. It is a backup: a relay started on it as its data_dir goes on from there.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.parse(); err != nil {
				return err
			}
			switch {
			case c.all && to == "":
				return fmt.Errorf("where to? Name an empty directory with --to DIR")
			case len(args) == 0 && !c.filtered():
				return fmt.Errorf("which messages? Name IDs, or use --account, --state, --sender, --older-than or --all")
			case len(args) != 1 && to == "":
				return fmt.Errorf("several messages go to a directory: name one with --to DIR")
			}
			return withSpool(cmd.Context(), e, func(cfg *config.Config, sp *sqlite.Spool) error {
				if c.all {
					return backUp(cmd.Context(), e, sp, to)
				}
				ids, err := c.ids(cmd.Context(), cfg, sp, args)
				if err != nil {
					return err
				}
				return export(cmd.Context(), e, sp, ids, to)
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "back the whole spool up")
	cmd.Flags().StringVar(&to, "to", "", "the `directory` to write to")
	return cmd
}

func backUp(ctx context.Context, e *env, sp *sqlite.Spool, to string) error {
	if sp == nil {
		return sqlite.ErrNoSpool
	}
	if err := sp.Backup(ctx, to); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "The spool is backed up in %s.\n", to)
	return nil
}

func export(ctx context.Context, e *env, sp *sqlite.Spool, ids []mail.ID, to string) error {
	switch {
	case len(ids) == 0:
		fmt.Fprintln(e.stdout, noMessages)
		return nil
	case sp == nil:
		return fmt.Errorf("%s is not in the spool", ids[0])
	case to == "":
		return exportOne(ctx, sp, ids[0], e.stdout)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, id := range ids {
		path := filepath.Join(to, id.String()+".eml")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(exportOne(ctx, sp, id, f), f.Close()); err != nil {
			os.Remove(path)
			return err
		}
		fmt.Fprintln(e.stdout, path)
	}
	return nil
}

func exportOne(ctx context.Context, sp spool.Spool, id mail.ID, w io.Writer) error {
	r, err := sp.Open(ctx, id)
	if errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("%s has no text in the spool: it was delivered, dropped, or never accepted here", id)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
