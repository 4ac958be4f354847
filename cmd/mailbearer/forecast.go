package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/tokens"
)

// forecastEvery is how often it is looked whether a credential ends soon; warnings are days apart.
const forecastEvery = time.Hour

// forecast warns of secrets, certificates and sign-ins that will stop working, in the log and by an alert, until ctx
// ends. What was told is kept in memory: after a restart the present warning is told once more.
func (s *station) forecast(ctx context.Context) {
	told := make(map[string]tokens.Told)
	tick := time.NewTicker(forecastEvery)
	defer tick.Stop()
	for {
		c := s.crew.Load()
		for _, a := range c.accounts {
			for _, e := range s.expiries(a) {
				key := a.name + " " + e.Kind
				var w *tokens.Warning
				if w, told[key] = tokens.Forecast(e, told[key], c.cfg.Alerts.ExpiryWarning, time.Now()); w != nil {
					s.warn(a, w)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// expiries are the ends of what an account signs in with.
func (s *station) expiries(a *account) []tokens.Expiry {
	made := a.made.account
	list := []tokens.Expiry{{Kind: a.credential, At: a.expires.time(), Vendor: vendorOf(made)}}
	if a.delegated {
		if in, ok, err := s.store.Account(a.name); err == nil && ok {
			list = append(list, tokens.SignInExpiry(in, vendorOf(made)))
		}
	}
	return list
}

// firstExpiry is what ends first of it; zero when that is not known.
func (s *station) firstExpiry(a *account) (first time.Time) {
	for _, e := range s.expiries(a) {
		if first.IsZero() || !e.At.IsZero() && e.At.Before(first) {
			first = e.At
		}
	}
	return first
}

func (s *station) warn(a *account, w *tokens.Warning) {
	fix := diagnose.ForAccount(w.Fix, a.name)
	s.log.Warn().Str("account", a.name).Str("detail", w.Text).Str("fix", fix).Int("days", tokens.DaysLeft(w.Left)).
		Msg("a credential ends soon")
	s.raise(report.Alert{
		Kind: report.AlertCredential, Account: a.name, Key: fmt.Sprintf("%s %v", w.Kind, w.Before),
		Title: fmt.Sprintf("Account %s: %s", a.name, w.Text), Fix: fix,
	})
}
