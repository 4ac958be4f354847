package courier

import (
	"context"
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// attempt hands one claimed message to the provider and writes down what it said, then reports to the carrier.
func (k *carrier) attempt(ctx context.Context, m spool.Claimed) {
	f := finished{claimed: m, started: time.Now()}
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	f.result = k.Deliverer.Deliver(limited, m.Envelope, func() (io.ReadCloser, error) {
		return k.opts.Spool.Open(limited, m.Envelope.ID)
	})
	if f.result.Trouble == nil {
		k.settle(ctx, f)
	}
	k.done <- f
}

// settleEvery is how often writing an outcome down is tried while the disk refuses it.
const settleEvery = time.Second

// settleFor is how long a stopping courier goes on trying.
const settleFor = 5 * time.Second

// settle writes an outcome down. While the disk refuses, it tries again: until it is written the message stays
// claimed, and so is not sent a second time. Only the end of the process can then make it arrive twice.
func (k *carrier) settle(ctx context.Context, f finished) {
	s := settlement(f.claimed, f.result, f.started, time.Now(), k.opts.MaxAge)
	var stopping <-chan time.Time
	for {
		err := k.opts.Spool.Settle(context.WithoutCancel(ctx), s)
		if err == nil {
			break
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
}

// report logs an outcome: one line for each row of the trace.
func (k *carrier) report(f finished, s spool.Settlement) {
	for _, e := range s.Events {
		level := zerolog.InfoLevel
		if e.Event != mail.EventDelivered {
			level = zerolog.WarnLevel
		}
		line := k.log.WithLevel(level).Str("event", e.Event).Str("id", s.ID.String()).
			Str("sender", f.claimed.Envelope.Sender).Str("recipient", e.Recipient).Int("attempt", e.Attempt).
			Str("connection", e.Connection).Str("reply", e.Reply).Int64("duration_ms", e.DurationMS)
		if e.Event != mail.EventDelivered {
			line = line.Str("class", string(e.Class)).Str("cause", e.Cause).Str("fix", e.Fix)
		}
		if e.Event == mail.EventDeferred {
			line = line.Time("next_attempt", f.claimed.Next)
		}
		if e.Detail != "" {
			line = line.Str("detail", e.Detail)
		}
		line.Send()
	}
}
