package tokens

import (
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

func TestEnough(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{
		28 * time.Hour: time.Minute, time.Hour: time.Minute, 10 * time.Minute: time.Minute,
		5 * time.Minute: 30 * time.Second, 30 * time.Second: 3 * time.Second,
	} {
		if got := enough(life); got != want {
			t.Errorf("of %v: %v, want %v", life, got, want)
		}
	}
}

func TestRenewAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		life, refresh time.Duration
		jitter        float64
		want          time.Duration
	}{
		{"half the life", time.Hour, 0, 0, 30 * time.Minute},
		{"jitter is earlier, never later", time.Hour, 0, 0.999999, 27 * time.Minute},
		{"refresh_in is earlier", time.Hour, 10 * time.Minute, 0, 10 * time.Minute},
		{"refresh_in is later", time.Hour, 50 * time.Minute, 0, 30 * time.Minute},
		{"a day", 28 * time.Hour, 14 * time.Hour, 0, 14 * time.Hour},
		{"thirty seconds", 30 * time.Second, 0, 0, 15 * time.Second},
		{"no life at all", 0, 0, 0, shortest},
	} {
		got := renewAfter(c.life, c.refresh, c.jitter).Round(10 * time.Millisecond)
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	down := &diagnose.Problem{Unreachable: true, Class: diagnose.ClassTransient}
	busy := &diagnose.Problem{Unreachable: true, Class: diagnose.ClassThrottled}
	refused := &diagnose.Problem{Class: diagnose.ClassConfig}
	for _, c := range []struct {
		name     string
		failures int
		outage   time.Duration
		p        *diagnose.Problem
		jitter   float64
		want     time.Duration
	}{
		{"first", 1, 0, refused, 0, time.Second},
		{"second", 2, 0, refused, 0, 2 * time.Second},
		{"fifth", 5, 0, refused, 0, 16 * time.Second},
		{"the most", 7, 0, refused, 0, time.Minute},
		{"far beyond", 1 << 40, 0, refused, 0, time.Minute},
		{"jitter", 7, 0, refused, 1, 45 * time.Second},
		{"young outage", 9, time.Minute, down, 0, 4 * time.Second},
		{"old outage", 9, 6 * time.Minute, down, 0, time.Minute},
		{"throttled is no outage", 6, time.Minute, busy, 0, 32 * time.Second},
		{"as asked", 1, 0, &diagnose.Problem{RetryAfter: 90 * time.Second}, 0, 90 * time.Second},
		{"as asked, never sooner", 1, 0, &diagnose.Problem{RetryAfter: 100 * time.Second}, 1, 110 * time.Second},
		{"asked for a week", 1, 0, &diagnose.Problem{RetryAfter: 168 * time.Hour}, 0, time.Hour},
	} {
		if got := backoff(c.failures, c.outage, c.p, c.jitter); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
