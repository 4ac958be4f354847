package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
)

// openAlerts translates [alerts] for report. An alert's e-mail is mail like all other: it goes through the spool.
func (s *station) openAlerts(cfg *config.Config) (*report.Alerts, error) {
	c := cfg.Alerts
	way, err := openWay(cfg.Network)
	if err != nil {
		return nil, err
	}
	o := report.AlertOptions{
		Email: c.Email, Hostname: s.hostname, HTTP: &http.Client{Transport: &http.Transport{Proxy: way.http}},
		Log: func(problem string, err error) { s.log.Warn().Err(err).Str("detail", problem).Msg("alerts") },
		Put: func(ctx context.Context, to []string, subject string, body []byte, about report.Alert) error {
			return s.putAlert(ctx, to, subject, body, about)
		},
	}
	for _, secret := range []struct {
		from config.Secret
		to   *string
	}{{c.Webhook, &o.Webhook}, {c.WebhookSecret, &o.WebhookSecret}} {
		if !secret.from.IsSet() {
			continue
		}
		if *secret.to, err = secret.from.Reveal(); err != nil {
			return nil, err
		}
	}
	return report.New(o), nil
}

// putAlert puts an alert's e-mail into the spool, by an account that can send at this moment.
func (s *station) putAlert(ctx context.Context, to []string, subject string, body []byte, about report.Alert) error {
	account := s.alertAccount(ctx, about)
	if account == nil {
		s.log.Warn().Str("account", about.Account).Str("detail", subject).Msg("no other account can send this alert by e-mail")
		return nil
	}
	now := time.Now()
	env, text, err := report.FormatAlertMail(report.AlertMail{
		ID: mail.NewID(now), Now: now, Hostname: s.hostname, Account: account.Name, Mailbox: account.Mailbox, To: to, Subject: subject, Body: body,
	})
	if err != nil {
		return err
	}
	b := s.spool.NewBody(env.ID)
	if _, err := b.Write(text); err != nil {
		b.Discard()
		return err
	}
	return s.spool.Put(ctx, env, b, false)
}

// alertAccount chooses who sends: the configured account, or another one while that is in trouble. Trouble of the only
// account there is cannot be told by e-mail; the webhook is for that.
func (s *station) alertAccount(ctx context.Context, about report.Alert) *config.Account {
	states, err := s.spool.Accounts(ctx)
	held := func(name string) bool {
		return err == nil && states[name].State == mail.AccountHeld || about.Kind == report.AlertHeld && about.Account == name
	}
	cfg := s.crew.Load().cfg
	names := []string{cfg.Alerts.Account}
	for _, a := range cfg.Accounts {
		names = append(names, a.Name)
	}
	for _, name := range names {
		if a := cfg.Account(name); a != nil && !held(name) {
			return a
		}
	}
	return nil
}

// mayReport says whether a message's sender is one of ours: an address in one of its account's domains, or one that
// its user's explicit `senders` allow. A report to anybody else would be backscatter.
func mayReport(cfg *config.Config, env *mail.Envelope) bool {
	if a := cfg.Account(env.Account); a != nil {
		domain := domainOf(env.Sender)
		if slices.ContainsFunc(a.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			return true
		}
	}
	for _, u := range cfg.Users {
		if strings.EqualFold(u.Name, env.Client.User) && env.Client.User != "" {
			return !u.Senders.Any() && u.Senders.Match(env.Sender)
		}
	}
	return false
}
