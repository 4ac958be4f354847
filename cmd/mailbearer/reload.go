package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/relay"
)

// reload takes a new configuration, or keeps the old one and says why: nothing is taken by halves. Clients and attempts
// under way end as they began; no connection is refused meanwhile.
func (s *station) reload(ctx, carry context.Context, load func() (*config.Config, error)) {
	cfg, err := load()
	if err != nil {
		s.refuse(err)
		return
	}
	now := s.crew.Load()
	restart := pin(cfg, now.cfg)
	next, err := s.hire(cfg, now)
	if err != nil {
		s.refuse(err)
		return
	}
	if err := s.takeSockets(next, now); err != nil {
		s.dismiss(next, now)
		s.refuse(err)
		return
	}
	s.crew.Store(next)
	if next.courier != now.courier {
		now.courier.Retire()
		now.carrying.stop()
		select { // that which waits for a provider's last word may take minutes: mail goes on beside it
		case <-now.carrying.done:
		case <-time.After(cfg.Relay.Grace):
		case <-ctx.Done():
		}
	}
	next.start(carry, now)
	s.seeOff(carry, now, next)
	s.reloaded(cfg, restart)
}

func (s *station) takeSockets(next, now *crew) error {
	options, err := s.relayOptions(next.cfg)
	if err == nil {
		next.relay, err = now.relay.Exchange(options)
	}
	return err
}

func (s *station) refuse(err error) {
	details := []string{err.Error()}
	if mistakes := (config.Mistakes)(nil); errors.As(err, &mistakes) {
		details = nil
		for _, m := range mistakes {
			details = append(details, m.String())
		}
	}
	for _, d := range details {
		s.log.Error().Str("detail", d).Msg("SIGHUP: the new configuration is refused, and the old one kept; correct it and send SIGHUP again")
	}
}

func (s *station) reloaded(cfg *config.Config, restart []string) {
	for _, w := range cfg.Warnings {
		s.log.Warn().Str("detail", w).Msg("configuration")
	}
	for _, key := range restart {
		s.log.Warn().Str("detail", key).Msg("SIGHUP: this key has changed and needs a restart; until then its old value stays in force")
	}
	s.noteConfig(cfg, restart)
	s.log.Info().Int("accounts", len(cfg.Accounts)).Int("listeners", len(cfg.Listeners)).
		Msg("SIGHUP: the configuration has been read again and is in force; every held account is tried at once")
	s.hurry()
}

// clientsLinger is how long clients may go on by the configuration they met before they are told 421 between two
// messages. A text on its way is never cut for a new configuration.
const clientsLinger = 30 * time.Second

// seeOff lets what a crew has under way come to its end beside its successor, and closes what that has not taken over.
func (s *station) seeOff(carry context.Context, old, next *crew) {
	grace := old.cfg.Relay.Grace
	if old.carrying != next.carrying {
		s.carried = append(slices.DeleteFunc(s.carried, (*job).over), old.carrying)
	}
	carried := slices.Clone(s.carried) // an earlier one may still use an account that leaves only now
	s.leaving.Go(func() { seeOffClients(carry, old.relay, grace) })
	s.leaving.Go(func() {
		if old.telling != next.telling {
			old.telling.end()
		}
		for _, a := range old.accounts {
			if a.renewing != nil && !slices.Contains(next.accounts, a) {
				a.renewing.end()
			}
		}
		defer context.AfterFunc(carry, func() {
			time.AfterFunc(grace, func() { s.closeUpstreams(old, next) })
		})()
		for _, j := range carried {
			<-j.done
		}
		s.dismiss(old, next)
	})
}

func seeOffClients(carry context.Context, r *relay.Relay, grace time.Duration) {
	select {
	case <-carry.Done():
	case <-time.After(clientsLinger):
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(carry, func() { time.AfterFunc(grace, cancel) })()
	r.Close(ctx)
}

// pin gives a new configuration the present values of what only a start can change, and names the keys it did that to.
func pin(next, now *config.Config) (restart []string) {
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"relay.hostname", keep(&next.Relay.Hostname, now.Relay.Hostname)},
		{"relay.data_dir", keep(&next.Relay.DataDir, now.Relay.DataDir)},
		{"spool.engine", keep(&next.Spool.Engine, now.Spool.Engine)},
		{"spool.max_size", keep(&next.Spool.MaxSize, now.Spool.MaxSize)},
		{"tokens.store", keep(&next.Tokens.Store, now.Tokens.Store)},
		{"tokens.key", keepSecret(&next.Tokens.Key, now.Tokens.Key)},
		{"log.level", keep(&next.Log.Level, now.Log.Level)},
		{"log.format", keep(&next.Log.Format, now.Log.Format)},
		{"listener.address", keepAddresses(next, now)},
	} {
		if k.changed {
			restart = append(restart, k.key)
		}
	}
	return restart
}

func keep[T comparable](next *T, now T) (changed bool) {
	changed = *next != now
	*next = now
	return changed
}

func keepSecret(next *config.Secret, now config.Secret) (changed bool) {
	changed = !next.Equal(now)
	*next = now
	return changed
}

// keepAddresses leaves the sockets as they are: a listener of either configuration alone goes on as it was, or waits.
func keepAddresses(next, now *config.Config) (changed bool) {
	list, left := slices.Clone(now.Listeners), slices.Clone(next.Listeners)
	for i := range list {
		at := slices.IndexFunc(left, func(l config.Listener) bool { return l.Address == list[i].Address })
		switch {
		case at >= 0:
			list[i] = left[at]
			left = slices.Delete(left, at, at+1)
		default:
			changed = true
			if next.Account(list[i].Account) == nil {
				list[i].Account = ""
			}
		}
	}
	next.Listeners = list
	return changed || len(left) > 0
}

// sameCourier says whether the courier of one configuration serves another, its accounts apart.
func sameCourier(a, b *config.Config) bool {
	return slices.Equal(a.Spool.Retry, b.Spool.Retry) && a.Spool.MaxAge == b.Spool.MaxAge &&
		a.Spool.HistoryRetention == b.Spool.HistoryRetention && a.Spool.FailedRetention == b.Spool.FailedRetention
}

// sameAlerts says whether the alerts of one configuration serve another.
func sameAlerts(a, b *config.Config) bool {
	return slices.Equal(a.Alerts.Email, b.Alerts.Email) && a.Alerts.Webhook.Equal(b.Alerts.Webhook) &&
		a.Alerts.WebhookSecret.Equal(b.Alerts.WebhookSecret) && a.Network == b.Network
}
