package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
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

// ids says which messages are meant. A command that changes something does nothing by default to everything.
func (c *chosen) ids(ctx context.Context, sp spool.Spool, args []string) ([]mail.ID, error) {
	var ids []mail.ID
	for _, a := range args {
		id, err := mail.ParseID(a)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(args) > 0 {
		return ids, nil
	}
	list, err := sp.List(ctx, c.filter)
	for _, m := range list {
		ids = append(ids, m.Envelope.ID)
	}
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
			return withSpool(cmd.Context(), e, func(sp spool.Spool) error {
				return a.run(cmd.Context(), e, sp, &c, args)
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "everything that is not delivered")
	return cmd
}

// doAndProbe does it; what is to go at once makes a held account try at once.
func (a act) doAndProbe(ctx context.Context, sp spool.Spool, id mail.ID) error {
	if err := a.do(sp, ctx, id); err != nil || !a.probes {
		return err
	}
	m, err := sp.Get(ctx, id)
	if err != nil {
		return nil // it has gone already
	}
	return sp.AskProbe(ctx, m.Envelope.Account)
}

// run does it to each message and fails if one of them could not be served.
func (a act) run(ctx context.Context, e *env, sp spool.Spool, c *chosen, args []string) error {
	ids, err := c.ids(ctx, sp, args)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		fmt.Fprintln(e.stdout, "No such messages.")
		return nil
	}
	failed := 0
	for _, id := range ids {
		switch err := a.doAndProbe(ctx, sp, id); {
		case err == nil:
			fmt.Fprintf(e.stdout, "%s %s\n", id, a.done)
		case errors.Is(err, spool.ErrBusy):
			failed++
			fmt.Fprintf(e.stderr, "mailbearer: %s is being sent at this moment: wait for the outcome, then try again\n", id)
		case errors.Is(err, spool.ErrNotFound):
			failed++
			fmt.Fprintf(e.stderr, "mailbearer: %s is not in the spool\n", id)
		default:
			failed++
			fmt.Fprintf(e.stderr, "mailbearer: %s: %v\n", id, err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d messages were left as they are", failed, len(ids))
	}
	return nil
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
			return withSpool(cmd.Context(), e, func(sp spool.Spool) error {
				if c.all {
					if err := sp.Backup(cmd.Context(), to); err != nil {
						return err
					}
					fmt.Fprintf(e.stdout, "The spool is backed up in %s.\n", to)
					return nil
				}
				return export(cmd.Context(), e, sp, &c, args, to)
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "back the whole spool up")
	cmd.Flags().StringVar(&to, "to", "", "the `directory` to write to")
	return cmd
}

func export(ctx context.Context, e *env, sp spool.Spool, c *chosen, args []string, to string) error {
	ids, err := c.ids(ctx, sp, args)
	if err != nil {
		return err
	}
	if to == "" {
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
