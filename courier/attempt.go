package courier

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// attempt hands one claimed message to the provider and writes down what it said, then reports to the carrier. It has
// a connection's slot until its outcome is on disk: if we die, no more messages than connections are in doubt.
func (k *carrier) attempt(ctx context.Context, f finished, slots chan struct{}, probe bool) {
	m := f.claimed
	f.result = mail.Result{Trouble: &mail.Trouble{Kind: mail.Stopped}}
	defer func() { k.done <- f }()
	if f.moot = k.moot(ctx, m.Envelope); f.moot {
		return
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return
	}
	if k.held.Load() && !probe || time.Since(f.since) > slotLimit {
		return // the account got into trouble while this message waited for its slot, or its claim is about to lapse
	}
	f.started = time.Now()
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	f.result = k.Deliverer.Deliver(limited, m.Envelope, func() (io.ReadCloser, error) {
		return k.opts.Spool.Open(limited, m.Envelope.ID)
	})
	if f.result.Trouble == nil {
		k.settle(ctx, f)
	}
}

// settleEvery is how often writing an outcome down is tried while the disk refuses it.
const settleEvery = time.Second

// settleFor is how long a stopping courier goes on trying.
const settleFor = 5 * time.Second

// settle writes an outcome down. While the disk refuses, it tries again: until it is written the message stays
// claimed, and so is not sent a second time. Only the end of the process can then make it arrive twice.
func (k *carrier) settle(ctx context.Context, f finished) {
	now := k.opts.Clock()
	s := settlement(f.claimed, f.result, f.started, now, k.age(ctx, f.claimed, now), k.opts.MaxAge)
	var stopping <-chan time.Time
	for {
		err := k.opts.Spool.Settle(context.WithoutCancel(ctx), s)
		if err == nil {
			break
		}
		if errors.Is(err, spool.ErrNotFound) || errors.Is(err, spool.ErrUnfit) {
			k.log.Error().Str("id", s.ID.String()).Err(err).Str("detail", told(s)).
				Msg("in doubt: the provider answered and it cannot be written down any more, since the message was dropped or its claim lapsed")
			return
		}
		k.log.Error().Str("id", s.ID.String()).Err(err).
			Msg("in doubt: the provider answered and the spool cannot write it down; trying again, and the message is not sent again meanwhile")
		if stopping == nil && ctx.Err() != nil {
			stopping = time.After(settleFor)
		}
		select {
		case <-stopping:
			return
		case <-time.After(settleEvery):
		}
	}
	k.report(f, s)
	for _, o := range s.Outcomes {
		if o.State == mail.Failed {
			k.failed()
			break
		}
	}
}

// age is how long a message has been tried: the time in which its account was held does not count, nor does time that
// the wall clock leapt over. At a restart a leap cannot be told from time that passed; but a message is given up by the
// outcome of an attempt and by nothing else, so one attempt at least is made first.
func (k *carrier) age(ctx context.Context, m spool.Claimed, now time.Time) time.Duration {
	age := now.Sub(m.Since)
	if age <= k.opts.MaxAge {
		return age
	}
	held, err := k.opts.Spool.HeldSince(context.WithoutCancel(ctx), k.Name, m.Since)
	if err != nil {
		return 0 // not known: nothing is given up for that
	}
	return age - held
}

// warningWaits is how long a delay warning lets other mail go first: after an outage, the message it warns of is about
// to be delivered too.
const warningWaits = 10 * time.Second

// moot says whether a delay warning has nothing to warn of any more. One that has nothing from the beginning does not
// wait: after an outage there may be thousands, and new mail is behind them.
func (k *carrier) moot(ctx context.Context, env *mail.Envelope) bool {
	if env.Kind != mail.KindDelay {
		return false
	}
	if k.overtaken(ctx, env) {
		return true
	}
	select {
	case <-time.After(warningWaits):
	case <-ctx.Done():
		return false
	}
	return k.overtaken(ctx, env)
}

// overtaken says whether the message that a warning is about is settled or gone.
func (k *carrier) overtaken(ctx context.Context, env *mail.Envelope) bool {
	about, err := k.opts.Spool.Get(ctx, env.About)
	return errors.Is(err, spool.ErrNotFound) || err == nil && len(about.Envelope.Unsettled()) == 0
}
