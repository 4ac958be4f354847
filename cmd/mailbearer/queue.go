package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbearer/mailbearer/config"
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

const noMessages = "No such messages."

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
			return withSpool(c.Context(), e, func(cfg *config.Config, sp *sqlite.Spool) (err error) {
				if err := which.known(c.Context(), cfg, sp); err != nil {
					return err
				}
				l := &listing{w: e.stdout, json: asJSON, empty: noMessages}
				return l.listQueue(c.Context(), cfg, sp, which.filter)
			})
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
		Args:  oneArg("one message's ID, as `mailbearer queue list` shows it"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := mail.ParseID(args[0])
			if err != nil {
				return err
			}
			var v messageView
			err = withSpool(c.Context(), e, func(cfg *config.Config, sp *sqlite.Spool) error {
				if sp == nil {
					return spool.ErrNotFound
				}
				v, err = viewTrace(c.Context(), cfg, sp, id)
				return err
			})
			if errors.Is(err, spool.ErrNotFound) {
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

// withSpool opens the spool of the configuration beside a running relay or without one. Where nothing has run yet there
// is none: do is given nil.
func withSpool(ctx context.Context, e *env, do func(*config.Config, *sqlite.Spool) error) error {
	cfg, err := loadConfig(e.config, config.WithoutSecrets)
	if err != nil {
		return err
	}
	sp, err := openSpool(ctx, cfg)
	switch {
	case errors.Is(err, sqlite.ErrNoSpool):
		sp = nil
	case err != nil:
		return failure{err}
	default:
		defer sp.Close()
	}
	var wrong usage
	if err = do(cfg, sp); err != nil && !errors.As(err, &wrong) {
		err = failure{err}
	}
	return err
}

// usage marks an error as one in what was asked for, where every other would be a failure.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// oneArg is cobra.ExactArgs(1) in words that say what is missing.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%s needs %s; it was given %d arguments", c.CommandPath(), what, len(args))
	}
}
