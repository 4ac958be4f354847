package sqlite

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// An operator acts from another process, and the relay notices within a second.
func TestOperatorBesideTheOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	id, sent := put(t, s, 10, false), put(t, s, 10, false)
	other := openTest(t, Options{Dir: dir})
	noticed := func(what string) {
		t.Helper()
		began := time.Now()
		<-s.Changed()
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s was noticed after %v", what, took)
		}
	}
	quiet(s)
	check(t, other.Hold(t.Context(), id))
	noticed("hold")
	if got := claimAll(t, s, time.Now()); len(got) != 1 || got[0].Envelope.ID != sent {
		t.Fatalf("claimed %+v", got)
	}
	for _, err := range []error{other.Hold(t.Context(), sent), other.Retry(t.Context(), sent), other.Drop(t.Context(), sent)} {
		if !errors.Is(err, spool.ErrBusy) {
			t.Errorf("got %v", err)
		}
	}
	settleAs(t, s, sent, mail.Failed)
	quiet(s)
	check(t, other.Release(t.Context(), id))
	noticed("release")
	quiet(s)
	check(t, other.Retry(t.Context(), sent))
	noticed("retry")
	if got := claimAll(t, s, time.Now()); len(got) != 2 {
		t.Fatalf("claimed %+v", got)
	}
	settleAs(t, s, id, mail.Failed)
	long := put(t, s, spool.InlineLimit+1, false)
	quiet(s)
	check(t, other.Drop(t.Context(), long))
	check(t, other.Drop(t.Context(), id))
	noticed("drop")
	wantFiles(t, s, 0)
	check(t, s.write(t.Context(), 0, func(tx *tx) error {
		if tx.used != 10 {
			t.Errorf("%d octets are counted, want 10", tx.used)
		}
		return nil
	}))
}

// quiet waits until the owner has noticed everything so far.
func quiet(s *Spool) {
	time.Sleep(pollEvery + 100*time.Millisecond)
	select {
	case <-s.Changed():
	default:
	}
}

// After a crash, and before the next start, a claim is no attempt any more.
func TestOperatorAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	held, refused, busy := put(t, s, 10, false), put(t, s, 10, true), put(t, s, 10, false)
	claimAll(t, s, time.Now())
	settleAs(t, s, refused, mail.Failed)
	check(t, s.lock.Close()) // as the kernel does
	other := openTest(t, Options{Dir: dir})
	check(t, other.Hold(t.Context(), held))
	check(t, other.Retry(t.Context(), refused))
	check(t, other.Drop(t.Context(), busy))
	events, err := other.Trace(t.Context(), held)
	check(t, err)
	if len(events) != 3 || events[1].Event != eventInterrupted || events[2].Event != mail.EventHeld {
		t.Errorf("the trace is %+v", events)
	}
	s.lock = nil
}

// A message whose text is gone becomes failed, says why, and stands in nobody's way.
func TestMissingText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	lose := func(id mail.ID, long bool) {
		t.Helper()
		if long {
			check(t, os.Remove(bodyPath(dir, id)))
			return
		}
		raw(t, dir, `DELETE FROM body WHERE message = $1`, int64(id))
	}
	for _, long := range []bool{true, false} {
		size := 10
		if long {
			size = spool.InlineLimit + 1
		}
		lost, good := put(t, s, size, true), put(t, s, size, false)
		lose(lost, long)
		if _, err := s.Open(t.Context(), lost); !errors.Is(err, spool.ErrTextMissing) {
			t.Errorf("Open: %v", err)
		}
		if got := claimAll(t, s, time.Now()); len(got) != 1 || got[0].Envelope.ID != good {
			t.Errorf("claimed %+v", got)
		}
		wantLost(t, s, lost)
		if _, known := s.Wait(t.Context(), lost); known {
			t.Error("its client was given an outcome")
		}
		lose(good, long) // between Claim and Open
		settleAs(t, s, good, mail.Deferred)
		wantLost(t, s, good)
	}
	list, err := s.Unreported(t.Context(), 10)
	check(t, err)
	if len(list) != 4 {
		t.Errorf("%d are to be reported, want 4", len(list))
	}
}

func wantLost(t *testing.T, s *Spool, id mail.ID) {
	t.Helper()
	m := get(t, s, id)
	want := spool.ErrTextMissing.Error()
	if m.State != mail.StateFailed || m.LastReply != want || m.Envelope.Recipients[0].State != mail.Failed {
		t.Errorf("got %+v", m)
	}
	events, err := s.Trace(t.Context(), id)
	check(t, err)
	if last := events[len(events)-1]; last.Event != mail.EventFailed || last.Cause != want {
		t.Errorf("the trace ends with %+v", last)
	}
}

// A hold that a crash left open goes on until the account is ready.
func TestHoldOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var clock wall
	opt := Options{Dir: dir, Owner: true, Clock: clock.now}
	s := openTest(t, opt)
	start := clock.now()
	check(t, s.SetAccount(t.Context(), mail.Account{Name: "a", State: mail.AccountHeld}))
	check(t, s.Close())
	clock.set(2 * time.Hour)
	s = openTest(t, opt)
	wantHeld(t, s, start, 2*time.Hour)
	check(t, s.SetAccount(t.Context(), mail.Account{Name: "a", State: mail.AccountReady, Since: start}))
	check(t, s.Close())
	clock.set(5 * time.Hour)
	wantHeld(t, openTest(t, opt), start, 2*time.Hour)
}

func wantHeld(t *testing.T, s *Spool, since time.Time, want time.Duration) {
	t.Helper()
	held, err := s.HeldSince(t.Context(), "a", since)
	check(t, err)
	if (held - want).Abs() > 10*time.Second {
		t.Errorf("held for %v, want %v", held, want)
	}
}
