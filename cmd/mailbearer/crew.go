package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/courier"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/tokens"
	"github.com/rs/zerolog"
)

// crew is what one configuration makes of a station: the rooms that SIGHUP exchanges. Spool, token store, sockets and
// inventory are the station's own and stay.
type crew struct {
	cfg      *config.Config
	accounts []*account
	alerts   *report.Alerts
	courier  *courier.Courier
	relay    *relay.Relay

	telling  *job // alerts
	carrying *job // courier
}

// job is a goroutine that works until it is told to stop.
type job struct {
	stop context.CancelFunc
	done chan struct{}
}

// begin starts a job. ctx ends it as well.
func begin(ctx context.Context, work func(context.Context)) *job {
	ctx, stop := context.WithCancel(ctx)
	j := &job{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		defer stop()
		work(ctx)
	}()
	return j
}

// end tells a job to stop and waits for it.
func (j *job) end() {
	j.stop()
	<-j.done
}

// over says whether a job has ended.
func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// hire makes a crew for a configuration. What is the same as in the crew before (which may be nil) goes on as it is:
// an account keeps its tokens and its connections. Nothing works yet.
func (s *station) hire(cfg *config.Config, before *crew) (_ *crew, err error) {
	c := &crew{cfg: cfg}
	if before == nil {
		before = &crew{cfg: cfg}
	}
	defer func() {
		if err != nil {
			s.dismiss(c, before)
		}
	}()
	for _, a := range cfg.Accounts {
		opened, err := s.hireAccount(a, cfg.Network, before)
		if err != nil {
			return nil, err
		}
		c.accounts = append(c.accounts, opened)
	}
	if c.alerts = before.alerts; c.alerts == nil || !sameAlerts(cfg, before.cfg) {
		if c.alerts, err = s.openAlerts(cfg); err != nil {
			return nil, err
		}
	}
	if c.courier = before.courier; c.courier == nil || !slices.Equal(c.accounts, before.accounts) || !sameCourier(cfg, before.cfg) {
		c.courier = courier.New(s.courierOptions(cfg, c.accounts))
	}
	return c, nil
}

func (s *station) hireAccount(a config.Account, network config.Network, before *crew) (*account, error) {
	made := originOf(a, network)
	for _, old := range before.accounts {
		if old.made.same(made) {
			return old, nil
		}
	}
	opened, err := openAccount(made, s.store, s.hostname)
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", a.Name, err)
	}
	opened.touch = func(state tokens.State) {
		s.sayRenewal(a.Name, state)
		s.crew.Load().courier.Touch(a.Name)
	}
	return opened, nil
}

// sayRenewal logs that a token cannot be renewed while the one at hand is still good. What comes of it when that ends is
// the courier's to say.
func (s *station) sayRenewal(account string, state tokens.State) {
	p := state.Problem
	switch {
	case p == nil && state.State == tokens.Ready:
		s.raise(report.Alert{Kind: report.AlertWell, Account: account, Key: "renewal", Title: "The sign-in of account " + account + " works again"})
		return
	case p == nil || state.State != tokens.Ready:
		return
	}
	level := zerolog.DebugLevel // it passes, mostly
	if needsPerson(state) {
		level = zerolog.WarnLevel
		s.raise(report.Alert{
			Kind: report.AlertTokens, Account: account, Key: "renewal", Title: "The sign-in of account " + account + " is refused", Fix: p.Fix,
			Text: fmt.Sprintf("%v\nMail still goes out, with the access token at hand; that ends at %s.\n", p, state.Expires.Local().Format(time.DateTime)),
		})
	}
	s.log.WithLevel(level).Str("account", account).Str("cause", p.Error()).Str("fix", p.Fix).Time("token_expires", state.Expires).
		Msg("the access token cannot be renewed; mail goes on with the one at hand")
}

// needsPerson says whether a renewal failed for something that does not pass by itself.
func needsPerson(state tokens.State) bool { return state.Problem != nil && !state.Problem.Unreachable }

// dismiss closes the accounts of a crew that another one has not taken over.
func (s *station) dismiss(c, kept *crew) {
	for _, a := range c.accounts {
		if !slices.Contains(kept.accounts, a) {
			a.close()
		}
	}
}

// start lets a crew work until ctx ends. What has been working for the crew before goes on.
func (c *crew) start(ctx context.Context, before *crew) {
	for _, a := range c.accounts {
		if a.renewing == nil {
			a.renewing = begin(ctx, a.tokens.Run)
		}
	}
	if c.telling = before.telling; c.alerts != before.alerts {
		c.telling = begin(ctx, c.alerts.Run)
	}
	if c.carrying = before.carrying; c.courier != before.courier {
		c.carrying = begin(ctx, c.courier.Run)
	}
}

// wait returns when a crew whose context has ended works no more.
func (c *crew) wait() {
	jobs := []*job{c.carrying, c.telling}
	for _, a := range c.accounts {
		jobs = append(jobs, a.renewing)
	}
	for _, j := range jobs {
		j.end()
	}
}

func (s *station) courierOptions(cfg *config.Config, accounts []*account) courier.Options {
	o := courier.Options{
		Spool: s.spool, Retry: cfg.Spool.Retry, MaxAge: cfg.Spool.MaxAge, Log: s.log,
		HistoryRetention: cfg.Spool.HistoryRetention, FailedRetention: cfg.Spool.FailedRetention,
		Hostname:  s.hostname,
		MayReport: func(env *mail.Envelope) bool { return mayReport(s.crew.Load().cfg, env) },
		Alert:     s.raise,
	}
	for _, a := range accounts {
		o.Accounts = append(o.Accounts, courier.Account{
			Name: a.name, Mailbox: a.mailbox, Remote: a.remote, Deliverer: a.upstream, Pace: a.upstream, Sign: a.sign, Renew: a.tokens.Kick,
			Expires: func() time.Time { return s.firstExpiry(a) },
		})
	}
	return o
}

// raise tells the operators, by the alerts of the present crew.
func (s *station) raise(a report.Alert) {
	if c := s.crew.Load(); c != nil {
		c.alerts.Raise(a)
	}
}

func (s *station) relayOptions(cfg *config.Config) (relay.Options, error) {
	o := relay.Options{
		Hostname: s.hostname, Route: router(cfg), Spool: s.spool, Log: s.log, Aliases: cfg.Aliases, Seen: s.inventory.seen, Stored: s.shortage.stored,
		Accounts: make(map[string]relay.AccountInfo),
	}
	for _, a := range cfg.Accounts {
		o.Accounts[a.Name] = accountInfo(&a)
	}
	var errs []error
	for _, l := range cfg.Listeners {
		listener, err := s.listener(l, cfg.Relay.DataDir)
		errs = append(errs, err)
		o.Listeners = append(o.Listeners, listener)
	}
	for _, u := range cfg.Users {
		user := relay.User{
			Name: u.Name, PasswordHash: u.PasswordHash, Account: u.Account, Senders: u.Senders, AnySender: u.Senders.Any(),
		}
		if u.Password.IsSet() {
			user.Password = u.Password.Reveal
		}
		o.Users = append(o.Users, user)
	}
	return o, errors.Join(errs...)
}

func (s *station) listener(l config.Listener, dataDir string) (relay.Listener, error) {
	t, err := listenerTLS(l, dataDir, s.hostname)
	if err != nil {
		return relay.Listener{}, fmt.Errorf("listener %s: %w", l.Address, err)
	}
	return relay.Listener{
		Address: l.Address, Security: l.Security, Auth: l.Auth, Allow: l.Allow,
		Senders: l.Senders, AnySender: l.Senders.Any(), Recipients: l.Recipients,
		Account: l.Account, WaitFor: l.WaitFor, WaitTimeout: l.WaitTimeout,
		MaxMessageSize: l.MaxMessageSize, MaxRecipients: l.MaxRecipients, MaxConnections: l.MaxConnections,
		MaxConnectionsPerAddress: l.MaxConnectionsPerAddress, IdleTimeout: l.IdleTimeout, TLS: t, ProxyFrom: l.ProxyProtocolFrom,
	}, nil
}

// accountInfo is what the front door and sendmail have to know about an account.
func accountInfo(a *config.Account) relay.AccountInfo {
	return relay.AccountInfo{Mailbox: a.Mailbox, Rewrite: a.From == "rewrite"}
}
