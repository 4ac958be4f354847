package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

func newRun(e *env) *cobra.Command {
	var risks spoolRisks
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the relay until SIGTERM or SIGINT",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// Caught before anything else: a SIGHUP while we start must not end us.
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
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
			switch {
			case err != nil && c.Context().Err() != nil:
				return nil // told to stop while it started
			case err != nil:
				return err
			}
			s.drops = true
			s.run(c.Context(), hangups, func() (*config.Config, error) { return loadConfig(cfg.File) })
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

// hurry drops every back-off: a person has changed something.
func (s *station) hurry() {
	c := s.crew.Load()
	for _, a := range c.accounts {
		a.tokens.Kick()
	}
	c.courier.Probe("")
}
