package courier

import (
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

var steps = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n      int
		jitter float64
		want   time.Duration
	}{
		{1, 0, time.Minute},
		{2, 0, 5 * time.Minute},
		{3, 0, 15 * time.Minute},
		{4, 0, 15 * time.Minute},
		{1_000_000, 0, 15 * time.Minute},
		{0, 0, time.Minute},
		{1, 0.5, 63 * time.Second},
	} {
		if d := retryDelay(steps, c.n, c.jitter); d != c.want {
			t.Errorf("attempt %d, jitter %v: %v, want %v", c.n, c.jitter, d, c.want)
		}
	}
}

func TestProbeDelay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind       mail.TroubleKind
		n          int
		age, after time.Duration
		want       time.Duration
	}{
		{mail.Unreachable, 1, 0, 0, 250 * time.Millisecond},
		{mail.Unreachable, 3, time.Second, 0, time.Second},
		{mail.Unreachable, 50, 4 * time.Minute, 0, 4 * time.Second},
		{mail.Unreachable, 50, 5 * time.Minute, 0, time.Minute},
		{mail.Unreachable, 50, 24 * time.Hour, 0, time.Minute},
		{mail.Unreachable, 1, 0, 90 * time.Second, 90 * time.Second},
		{mail.Throttled, 1, 0, 0, time.Second},
		{mail.Throttled, 4, 0, 0, 8 * time.Second},
		{mail.Throttled, 40, time.Hour, 0, 5 * time.Minute},
		{mail.Refused, 1, 0, 0, time.Minute},
		{mail.Refused, 9, time.Hour, 0, 15 * time.Minute},
		{mail.Refused, 1, 0, time.Hour, time.Hour},
	} {
		trouble := &mail.Trouble{Kind: c.kind, RetryAfter: c.after}
		if d := probeDelay(trouble, c.n, c.age, steps); d != c.want {
			t.Errorf("%s probe %d at age %v: %v, want %v", c.kind, c.n, c.age, d, c.want)
		}
	}
}
