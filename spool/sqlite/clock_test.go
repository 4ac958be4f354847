package sqlite

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// wall is a clock that can be set.
type wall struct{ ahead atomic.Int64 }

func (w *wall) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *wall) set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

func (w *wall) claim(t *testing.T, s *Spool) []spool.Claimed {
	t.Helper()
	return claimAll(t, s, w.now()) // leased and due for an hour
}

// A clock set back by a year does not put anything off by a year, in a relay that runs or in one that was stopped.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var clock wall
			opt := Options{Dir: t.TempDir(), Owner: true, Clock: clock.now}
			s := openTest(t, opt)
			clock.set(365 * 24 * time.Hour) // first it was wrong
			deferred, failed := put(t, s, 10, false), put(t, s, 10, false)
			if n := len(clock.claim(t, s)); n != 2 {
				t.Fatalf("claimed %d", n)
			}
			settleAt(t, s, deferred, mail.Deferred, clock.now())
			settleAt(t, s, failed, mail.Failed, clock.now())
			check(t, s.Told(t.Context(), failed, 0))
			fresh := putAt(t, s, clock.now())
			check(t, s.SetAccount(t.Context(), mail.Account{Name: "a", State: mail.AccountHeld}))
			if restart {
				check(t, s.Close())
			}
			clock.set(0) // then it was corrected
			if restart {
				s = openTest(t, opt)
			} else {
				<-s.Changed() // noticed without anybody writing
				waitFor(t, func() bool { return get(t, s, deferred).NextAttempt.Before(clock.now().Add(2 * time.Hour)) })
			}
			next := get(t, s, deferred).NextAttempt.Sub(clock.now())
			if next < 50*time.Minute || next > time.Hour {
				t.Errorf("the next attempt is in %v, want an hour", next)
			}
			if since := get(t, s, fresh).Since; since.After(clock.now()) {
				t.Errorf("its age counts from %v", since)
			}
			if got := clock.claim(t, s); len(got) != 1 || got[0].Envelope.ID != fresh {
				t.Errorf("claimed %+v", got)
			}
			if held, err := s.HeldSince(t.Context(), "a", clock.now().Add(-time.Hour)); err != nil || held > time.Minute {
				t.Errorf("held for %v, %v", held, err)
			}
			if n, err := s.Purge(t.Context(), clock.now(), clock.now().Add(time.Minute), 10); n != 1 || err != nil {
				t.Errorf("purged %d, %v", n, err)
			}
		})
	}
}

// A clock set forward does not end the claim of an attempt that is under way, or the message would be sent twice.
func TestClockSetForward(t *testing.T) {
	t.Parallel()
	var clock wall
	s := openTest(t, Options{Dir: t.TempDir(), Owner: true, Clock: clock.now})
	id := put(t, s, 10, false)
	clock.claim(t, s)
	clock.set(365 * 24 * time.Hour)
	if got := clock.claim(t, s); len(got) != 0 {
		t.Errorf("claimed while it is being sent: %+v", got)
	}
	settleAt(t, s, id, mail.Delivered, clock.now())
	later := put(t, s, 10, false)
	if got := clock.claim(t, s); len(got) != 1 || got[0].Envelope.ID != later {
		t.Errorf("claimed %+v", got)
	}
	clock.set(0)
	if got := clock.claim(t, s); len(got) != 0 {
		t.Errorf("claimed while it is being sent: %+v", got)
	}
	settleAt(t, s, later, mail.Deferred, clock.now())
	if next := get(t, s, later).NextAttempt.Sub(clock.now()); next > time.Hour {
		t.Errorf("the next attempt is in %v", next)
	}
}

// Time that a clock was set forward by makes no mail old, in no account, even if nobody has noticed it before the
// question comes; and it takes nothing away early that is kept for some time. Set back again, nothing is left of it.
func TestClockSetForwardMakesNothingOld(t *testing.T) {
	t.Parallel()
	var clock wall
	const leap = 365 * 24 * time.Hour
	s := openTest(t, Options{Dir: t.TempDir(), Owner: true, Clock: clock.now, Poll: time.Hour})
	waits, delivered, failed := put(t, s, 10, false), put(t, s, 10, false), put(t, s, 10, false)
	clock.claim(t, s)
	settleAt(t, s, waits, mail.Deferred, clock.now())
	settleAt(t, s, delivered, mail.Delivered, clock.now())
	settleAt(t, s, failed, mail.Failed, clock.now())
	check(t, s.Told(t.Context(), failed, 0))
	age := func() time.Duration {
		since := get(t, s, waits).Since
		held, err := s.HeldSince(t.Context(), "a", since)
		check(t, err)
		return clock.now().Sub(since) - held
	}
	clock.set(leap)
	if got := age(); got.Abs() > time.Minute {
		t.Errorf("after a leap its age is %v", got)
	}
	check(t, s.SetAccount(t.Context(), mail.Account{Name: "a", State: mail.AccountHeld, Since: clock.now().Add(-leap)}))
	check(t, s.SetAccount(t.Context(), mail.Account{Name: "a", State: mail.AccountReady}))
	if got := age(); got.Abs() > time.Minute {
		t.Errorf("after a leap while it was held its age is %v", got)
	}
	kept := func() {
		t.Helper()
		before := clock.now().Add(-30 * 24 * time.Hour)
		n, err := s.Purge(t.Context(), before, before, 10)
		if n != 0 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
	}
	kept()
	clock.set(leap + 29*24*time.Hour)
	kept()
	clock.set(0)
	kept()
	if got := age(); got.Abs() > time.Minute {
		t.Errorf("set back again, its age is %v", got)
	}
	if held, err := s.HeldSince(t.Context(), "a", clock.now().Add(-leap)); err != nil || held > time.Minute {
		t.Errorf("set back again, %v are left of the leap, %v", held, err)
	}
}

// A leap is forgotten when all that it kept is older than anything that is kept.
func TestLeapIsForgotten(t *testing.T) {
	t.Parallel()
	var clock wall
	s := openTest(t, Options{Dir: t.TempDir(), Owner: true, Clock: clock.now, Poll: time.Hour})
	clock.set(time.Hour)
	purge := func(ahead time.Duration) {
		_, err := s.Purge(t.Context(), clock.now().Add(ahead), time.Time{}, 10)
		check(t, err)
	}
	purge(-time.Minute)
	wantHeld(t, s, clock.now().Add(-2*time.Hour), time.Hour)
	purge(time.Minute)
	wantHeld(t, s, clock.now().Add(-2*time.Hour), 0)
}

// Ids made while the clock stood wrong do not stand in the way of those made afterwards.
func TestIDsAfterAClockSetBack(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	ahead := putAt(t, s, time.Now().Add(1000*time.Hour))
	for range 10 {
		put(t, s, 10, false)
	}
	if got := claimAll(t, s, time.Now()); len(got) != 11 {
		t.Errorf("claimed %d", len(got))
	}
	env, _, err := begin(s, 0)
	check(t, err)
	env.ID = ahead // as if another process had made the same
	b := s.NewBody(ahead)
	if s.Put(t.Context(), env, b, false) == nil {
		t.Error("one id was put twice")
	}
	put(t, s, 10, false)
}

func putAt(t *testing.T, s *Spool, at time.Time) mail.ID {
	t.Helper()
	env, b, err := begin(s, 10)
	check(t, err)
	env.Received = at
	check(t, s.Put(t.Context(), env, b, false))
	return env.ID
}

func settleAt(t *testing.T, s *Spool, id mail.ID, state mail.RecipientState, at time.Time) {
	t.Helper()
	check(t, s.Settle(t.Context(), spool.Settlement{ID: id, Now: at, Outcomes: map[int]mail.Outcome{0: {State: state}}}))
}
