package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/mailbearer/mailbearer/tokens"
	"github.com/rs/zerolog"
)

// station is one running mailbearer: every room, joined.
type station struct {
	log      zerolog.Logger
	hostname string
	spool    *sqlite.Spool
	store    *tokens.Store
	crew     atomic.Pointer[crew] // what the present configuration makes

	inventory inventory
	shortage  shortage
	drops     bool           // take in the drop folder of sendmail
	leaving   sync.WaitGroup // what former crews have still under way
	carried   []*job         // couriers that were replaced and may still await a last word
}

// openStation opens every room. What it has opened is closed again if a later one cannot be.
func openStation(ctx context.Context, cfg *config.Config, log zerolog.Logger, risks spoolRisks) (_ *station, err error) {
	s := &station{log: log, hostname: cfg.Relay.Hostname}
	s.shortage = shortage{log: log, raise: s.raise}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.spool, err = sqlite.Open(ctx, sqlite.Options{
		Dir: cfg.Relay.DataDir, MaxSize: cfg.Spool.MaxSize, Owner: true,
		AllowNetworkFS: risks.networkFS, ResetCorrupt: risks.resetCorrupt,
	})
	if err != nil {
		return nil, spoolTrouble(err, cfg.Relay.DataDir)
	}
	s.sayWhatOpenFound()
	if s.hostname == "" {
		s.hostname = hostname(ctx)
	}
	if err = s.openStore(cfg); err != nil {
		return nil, err
	}
	c, err := s.hire(cfg, nil)
	if err != nil {
		return nil, err
	}
	s.crew.Store(c)
	options, err := s.relayOptions(cfg)
	if err != nil {
		return nil, err
	}
	if c.relay, err = relay.Open(options); err != nil {
		return nil, failure{err}
	}
	return s, nil
}

// sayWhatOpenFound logs what the last relay on this data directory left behind.
func (s *station) sayWhatOpenFound() {
	if aside := s.spool.MovedAside(); aside != "" {
		s.log.Error().Str("detail", aside).Str("fix", "Copy it elsewhere; `sqlite3 FILE .recover` may bring the mail in it back.").
			Msg("the damaged spool was set aside, and a new one begun")
	}
	for _, x := range s.spool.Interrupted() {
		s.log.Warn().Str("id", x.ID.String()).Str("account", x.Account).Int("attempt", x.Attempt).
			Msg("in doubt: the relay ended during this attempt; if the provider had the whole message, it arrives twice")
	}
}

// spoolTrouble says why a spool cannot be opened and what to do. A damaged one, or one in the wrong place, is a matter
// of configuration: nothing is changed by itself.
func spoolTrouble(err error, dir string) error {
	switch {
	case errors.Is(err, spool.ErrLocked):
		return fail("%w (%s): stop it first, or give this one a data_dir of its own", err, dir)
	case errors.Is(err, spool.ErrCorrupt):
		return fmt.Errorf("%w. If there is a backup (`mailbearer queue export --all` makes them), restore that instead", err)
	case errors.Is(err, spool.ErrNetworkFS):
		return err
	}
	return fail("%w", err)
}

// openStore opens the store of sign-ins. What is wrong with it stops no mail: it goes on with the tokens in memory.
func (s *station) openStore(cfg *config.Config) (err error) {
	o := storeOptions(cfg)
	o.Alarm = func(p *diagnose.Problem) {
		if p == nil {
			s.log.Info().Msg("the token store can be written again")
			s.raise(report.Alert{Kind: report.AlertWell, Key: "store", Title: "The token store can be written again"})
			return
		}
		s.log.Error().Str("cause", p.Error()).Str("fix", p.Fix).Msg("the token store is in trouble; mail goes on from memory")
		s.raise(report.Alert{Kind: report.AlertTokens, Key: "store", Title: p.Cause, Text: p.Said, Fix: p.Fix})
	}
	o.Changed = func(account string) {
		c := s.crew.Load()
		for _, a := range c.accounts {
			if a.name == account {
				a.tokens.Kick()
			}
		}
		c.courier.Probe(account)
	}
	s.store, err = tokens.OpenStore(o)
	return err
}

// run works until ctx ends, and takes a new configuration from load at each hangup. Then it closes up within grace:
// clients first, so that nothing new is accepted; then attempts that have not sent their end of data; then, when grace
// is over, whatever still waits for a last word.
func (s *station) run(ctx context.Context, hangups <-chan os.Signal, load func() (*config.Config, error)) {
	var work sync.WaitGroup
	carry, stopCarrying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCarrying()
	c := s.crew.Load()
	c.start(carry, &crew{})
	work.Go(func() { s.store.Run(carry) })
	work.Go(func() { s.forecast(carry) })
	work.Go(func() { s.keepInventory(carry) })
	if s.drops {
		work.Go(func() { s.takeDrops(carry) })
	}
	s.noteConfig(c.cfg, nil)
	c.relay.Serve()
	s.log.Info().Strs("listeners", c.relay.Addresses()).Int("accounts", len(c.accounts)).Str("version", version()).Msg("mailbearer is ready")
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hangups:
			s.reload(ctx, carry, load)
		}
	}

	c = s.crew.Load()
	s.log.Info().Dur("grace", c.cfg.Relay.Grace).Msg("stopping: no new mail is taken")
	grace, cancel := context.WithTimeout(context.Background(), c.cfg.Relay.Grace)
	defer cancel()
	stopCarrying()
	cut := context.AfterFunc(grace, func() { s.closeUpstreams(c, &crew{}) })
	c.relay.Close(grace)
	c.wait()
	work.Wait()
	s.leaving.Wait()
	cut()
	s.close()
	s.log.Info().Msg("stopped; what is queued is safe on disk")
}

// closeUpstreams cuts what a crew's accounts have under way, those that another crew has taken over apart.
func (s *station) closeUpstreams(c, kept *crew) {
	for _, a := range c.accounts {
		if !slices.Contains(kept.accounts, a) {
			a.smtp.Close()
		}
	}
}

// close closes what is open, in the order opposite to opening.
func (s *station) close() {
	if c := s.crew.Load(); c != nil {
		if c.relay != nil {
			ended, cancel := context.WithDeadline(context.Background(), time.Now())
			c.relay.Close(ended)
			cancel()
		}
		s.dismiss(c, &crew{})
	}
	if s.spool != nil {
		if err := s.spool.Close(); err != nil {
			s.log.Error().Err(err).Msg("the spool did not close cleanly; it repairs itself at the next start")
		}
	}
}
