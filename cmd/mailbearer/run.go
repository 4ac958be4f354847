package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func newRun(e *env) *cobra.Command {
	var risks spoolRisks
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the relay until SIGTERM or SIGINT",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(e.config)
			if err != nil {
				return err
			}
			log, err := newLog(cfg.Log, e.stderr)
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				log.Warn().Str("detail", w).Msg("configuration")
			}
			s, err := openStation(c.Context(), cfg, log, risks)
			if err != nil {
				return err
			}
			defer onHangup(c.Context(), func() {
				log.Info().Msg("SIGHUP: every held account is tried at once; a changed configuration needs a restart in this version")
				s.hurry()
			})()
			s.drops = true
			s.run(c.Context())
			return nil
		},
	}
	c.Flags().BoolVar(&risks.networkFS, "allow-network-fs", false,
		"keep the spool on a network file system all the same; a power cut or a second machine can then damage it")
	c.Flags().BoolVar(&risks.resetCorrupt, "reset-corrupt-spool", false,
		"set a damaged spool aside, as spool.db.corrupt-TIME, and begin a new one; what was queued in it has to be rescued by hand")
	return c
}

// spoolRisks are what a person must ask for by name.
type spoolRisks struct{ networkFS, resetCorrupt bool }

// onHangup calls do for each SIGHUP until the returned function is called.
func onHangup(ctx context.Context, do func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
				do()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}

// hurry drops every back-off: a person has changed something.
func (s *station) hurry() {
	for _, a := range s.accounts {
		a.tokens.Kick()
	}
	s.courier.Probe("")
}
