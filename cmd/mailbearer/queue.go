package main

import (
	"context"
	"errors"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

func newQueue(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "queue", Short: "Look at the messages in the spool, and act on them",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newQueueList(e), newQueueShow(e))
	for _, a := range acts {
		c.AddCommand(newQueueAct(e, a))
	}
	c.AddCommand(newQueueExport(e))
	return c
}

func newQueueList(e *env) *cobra.Command {
	var asJSON bool
	var which chosen
	c := &cobra.Command{
		Use:   "list",
		Short: "List what is not delivered yet (--state delivered lists what is)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := which.parse(); err != nil {
				return err
			}
			views := []messageView{}
			err := withSpool(c.Context(), e, func(sp spool.Spool) error {
				list, err := sp.List(c.Context(), which.filter)
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
	which.flags(c)
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
