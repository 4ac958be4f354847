package courier

import (
	"math/rand/v2"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// retryDelay is how long after attempt number n (from 1) a message is due again: the configured step, the last one
// repeating, up to a tenth longer by jitter in [0,1), so that what failed together does not return together.
func retryDelay(steps []time.Duration, n int, jitter float64) time.Duration {
	d := steps[min(max(n, 1), len(steps))-1]
	return d + time.Duration(float64(d)*jitter/10)
}

// While an outage is young its end is noticed within seconds; later within a minute.
const (
	youngOutage = 5 * time.Minute
	youngProbe  = 4 * time.Second
	oldProbe    = time.Minute
	firstProbe  = 250 * time.Millisecond
	slowestPace = 5 * time.Minute
)

// probeDelay is how long to wait before probe number n (from 1) of an account that has been in trouble for age.
// Retry-After is obeyed whatever the schedule says.
func probeDelay(t *mail.Trouble, n int, age time.Duration, retry []time.Duration) time.Duration {
	var d time.Duration
	switch t.Kind {
	case mail.Unreachable:
		d = doubled(firstProbe, n, oldProbe)
		if age < youngOutage {
			d = min(d, youngProbe)
		}
	case mail.Throttled:
		d = doubled(time.Second, n, slowestPace)
	default:
		d = retryDelay(retry, n, 0)
	}
	return max(d, t.RetryAfter)
}

// doubled is first, doubled n-1 times, and at most limit.
func doubled(first time.Duration, n int, limit time.Duration) time.Duration {
	if n > 20 {
		return limit
	}
	return min(first<<(max(n, 1)-1), limit)
}

func jittered(steps []time.Duration, n int) time.Duration {
	return retryDelay(steps, n, rand.Float64())
}
