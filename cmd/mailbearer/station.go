package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/courier"
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
	cfg      *config.Config
	log      zerolog.Logger
	spool    *sqlite.Spool
	store    *tokens.Store
	accounts []*account
	alerts   *report.Alerts
	courier  *courier.Courier
	relay    *relay.Relay

	inventory inventory
	drops     bool // take in the drop folder of sendmail
}

// openStation opens every room. What it has opened is closed again if a later one cannot be.
func openStation(ctx context.Context, cfg *config.Config, log zerolog.Logger, risks spoolRisks) (_ *station, err error) {
	s := &station{cfg: cfg, log: log}
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
	name := cfg.Relay.Hostname
	if name == "" {
		name = hostname(ctx)
	}
	if err = s.openStore(); err != nil {
		return nil, err
	}
	if err = s.openAccounts(name); err != nil {
		return nil, err
	}
	if s.alerts, err = s.openAlerts(name); err != nil {
		return nil, err
	}
	s.courier = courier.New(s.courierOptions(name))
	for _, a := range s.accounts {
		a.touch = func() { s.courier.Touch(a.name) }
	}
	options, err := s.relayOptions(name)
	if err != nil {
		return nil, err
	}
	if s.relay, err = relay.Open(options); err != nil {
		return nil, failure{err}
	}
	return s, nil
}

// spoolTrouble says why a spool cannot be opened and what to do. A damaged one, or one in the wrong place, is a matter
// of configuration: nothing is changed by itself.
func spoolTrouble(err error, dir string) error {
	switch {
	case errors.Is(err, spool.ErrLocked):
		return fail("%w (%s): stop it first, or give this one a data_dir of its own", err, dir)
	case errors.Is(err, spool.ErrCorrupt):
		return fmt.Errorf("%w. Restore a backup (`mailbearer queue export --all` makes them), or start with --reset-corrupt-spool: "+
			"it sets the damaged files aside and begins a new spool", err)
	case errors.Is(err, spool.ErrNetworkFS):
		return fmt.Errorf("%w. Choose a data_dir on a local disk, or start with --allow-network-fs at your own risk", err)
	}
	return fail("%w", err)
}

// openStore opens the store of sign-ins. What is wrong with it stops no mail: it goes on with the tokens in memory.
func (s *station) openStore() (err error) {
	o := storeOptions(s.cfg)
	o.Alarm = func(p *diagnose.Problem) {
		if p == nil {
			s.log.Info().Msg("the token store can be written again")
			s.alerts.Raise(report.Alert{Kind: report.AlertWell, Key: "store", Title: "The token store can be written again"})
			return
		}
		s.log.Error().Str("cause", p.Error()).Str("fix", p.Fix).Msg("the token store is in trouble; mail goes on from memory")
		s.alerts.Raise(report.Alert{Kind: report.AlertTokens, Key: "store", Title: p.Cause, Text: p.Said, Fix: p.Fix})
	}
	o.Changed = func(account string) {
		for _, a := range s.accounts {
			if a.name == account {
				a.tokens.Kick()
			}
		}
		s.courier.Probe(account)
	}
	s.store, err = tokens.OpenStore(o)
	return err
}

func (s *station) openAccounts(hostname string) error {
	for _, a := range s.cfg.Accounts {
		opened, err := openAccount(a, s.cfg.Network, s.store, hostname)
		if err != nil {
			return fmt.Errorf("account %q: %w", a.Name, err)
		}
		s.accounts = append(s.accounts, opened)
	}
	return nil
}

func (s *station) courierOptions(hostname string) courier.Options {
	o := courier.Options{
		Spool: s.spool, Retry: s.cfg.Spool.Retry, MaxAge: s.cfg.Spool.MaxAge, Log: s.log,
		HistoryRetention: s.cfg.Spool.HistoryRetention, FailedRetention: s.cfg.Spool.FailedRetention,
		Hostname: hostname, MayReport: mayReport(s.cfg), Alert: s.alerts.Raise,
	}
	for _, a := range s.accounts {
		o.Accounts = append(o.Accounts, courier.Account{
			Name: a.name, Mailbox: a.mailbox, Remote: a.remote, Deliverer: a.upstream, Pace: a.upstream, Sign: a.sign, Renew: a.tokens.Kick,
			Expires: a.expires,
		})
	}
	return o
}

func (s *station) relayOptions(hostname string) (relay.Options, error) {
	o := relay.Options{
		Hostname: hostname, Route: router(s.cfg), Spool: s.spool, Log: s.log, Aliases: s.cfg.Aliases, Seen: s.inventory.seen,
		Accounts: make(map[string]relay.AccountInfo),
	}
	for _, a := range s.cfg.Accounts {
		o.Accounts[a.Name] = relay.AccountInfo{Mailbox: a.Mailbox, Rewrite: a.From == "rewrite"}
	}
	for _, l := range s.cfg.Listeners {
		t, err := listenerTLS(l, s.cfg.Relay.DataDir, hostname)
		if err != nil {
			return o, fmt.Errorf("listener %s: %w", l.Address, err)
		}
		o.Listeners = append(o.Listeners, relay.Listener{
			Address: l.Address, Security: l.Security, Auth: l.Auth, Allow: l.Allow,
			Senders: l.Senders, AnySender: l.Senders.Any(), Recipients: l.Recipients,
			Account: l.Account, WaitFor: l.WaitFor, WaitTimeout: l.WaitTimeout,
			MaxMessageSize: l.MaxMessageSize, MaxRecipients: l.MaxRecipients, MaxConnections: l.MaxConnections,
			MaxConnectionsPerAddress: l.MaxConnectionsPerAddress, IdleTimeout: l.IdleTimeout, TLS: t, ProxyFrom: l.ProxyProtocolFrom,
		})
	}
	for _, u := range s.cfg.Users {
		user := relay.User{
			Name: u.Name, PasswordHash: u.PasswordHash, Account: u.Account, Senders: u.Senders, AnySender: u.Senders.Any(),
		}
		if u.Password.IsSet() {
			user.Password = u.Password.Reveal
		}
		o.Users = append(o.Users, user)
	}
	return o, nil
}

// run works until ctx ends, then closes up within grace: clients first, so that nothing new is accepted; then attempts
// that have not sent their end of data; then, when grace is over, whatever still waits for a last word.
func (s *station) run(ctx context.Context) {
	var work sync.WaitGroup
	carry, stopCarrying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCarrying()
	work.Go(func() { s.courier.Run(carry) })
	work.Go(func() { s.alerts.Run(carry) })
	work.Go(func() { s.store.Run(carry) })
	work.Go(func() { s.forecast(carry) })
	work.Go(func() { s.keepInventory(carry) })
	for _, a := range s.accounts {
		work.Go(func() { a.tokens.Run(carry) })
	}
	if s.drops {
		work.Go(func() { s.takeDrops(carry) })
	}
	s.relay.Serve()
	s.log.Info().Strs("listeners", s.relay.Addresses()).Int("accounts", len(s.accounts)).Str("version", version()).Msg("mailbearer is ready")
	<-ctx.Done()

	s.log.Info().Dur("grace", s.cfg.Relay.Grace).Msg("stopping: no new mail is taken")
	grace, cancel := context.WithTimeout(context.Background(), s.cfg.Relay.Grace)
	defer cancel()
	stopCarrying()
	cut := context.AfterFunc(grace, s.closeUpstreams)
	s.relay.Close(grace)
	work.Wait()
	cut()
	s.close()
	s.log.Info().Msg("stopped; what is queued is safe on disk")
}

func (s *station) closeUpstreams() {
	for _, a := range s.accounts {
		a.smtp.Close()
	}
}

// close closes what is open, in the order opposite to opening.
func (s *station) close() {
	if s.relay != nil {
		ended, cancel := context.WithDeadline(context.Background(), time.Now())
		s.relay.Close(ended)
		cancel()
	}
	for _, a := range s.accounts {
		a.tokens.Close()
		a.smtp.Close()
	}
	if s.spool != nil {
		if err := s.spool.Close(); err != nil {
			s.log.Error().Err(err).Msg("the spool did not close cleanly; it repairs itself at the next start")
		}
	}
}
