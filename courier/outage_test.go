package courier

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// A day without the provider: mail keeps coming, nothing is given up, the provider is not hammered, and a minute after
// its return everything flows.
func TestADayWithoutTheProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const outage = 24 * time.Hour
		begin := time.Now()
		p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
			if time.Since(begin) < outage {
				return mail.Result{Trouble: down}
			}
			return same(ok, env)
		}}
		b := newBench(t, p)
		defer b.stop()
		const messages = 48
		for range messages {
			b.put("x@example.net")
			pass(outage / messages)
		}
		probes := len(p.attempts())
		if most := 75 + 24*60 + messages; probes > most {
			t.Errorf("%d attempts in a day, want at most %d: four seconds apart at first, then a minute", probes, most)
		}
		pass(61 * time.Second)
		delivered, err := b.spool.List(t.Context(), spool.Filter{State: mail.StateDelivered, Now: time.Now()})
		if err != nil || len(delivered) != messages {
			t.Errorf("%d of %d delivered a minute after the return, %v", len(delivered), messages, err)
		}
		for _, m := range delivered {
			if m.Attempts != 1 {
				t.Errorf("%s took %d attempts: the outage used its own schedule up", m.Envelope.ID, m.Attempts)
			}
		}
	})
}
