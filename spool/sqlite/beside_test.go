package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// A text that is put back where the message says makes it whole again, and a message whose record cannot be read says
// so, from any process.
func TestTextIsPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	other := openTest(t, Options{Dir: dir})
	for _, size := range []int{10, spool.InlineLimit + 1} {
		id := put(t, s, size, false)
		lose(s, id)
		claimAll(t, s, time.Now())
		if err := other.Retry(t.Context(), id); !errors.Is(err, spool.ErrTextMissing) || !strings.Contains(err.Error(), bodyPath(dir, id)) {
			t.Errorf("retried without a text: %v", err)
		}
		check(t, os.WriteFile(bodyPath(dir, id), []byte(strings.Repeat("x", size)), fileMode))
		check(t, other.Retry(t.Context(), id))
		if got := claimAll(t, s, time.Now()); len(got) != 1 || got[0].Envelope.ID != id || got[0].First != (got[0].Attempt == 1) {
			t.Fatalf("claimed %+v", got)
		}
		wantText(t, s, id, size)
		settleAs(t, s, id, mail.Delivered)
		wantFiles(t, s, 0)
	}
	broken := put(t, s, 10, false)
	raw(t, dir, `UPDATE message SET envelope = '{' WHERE id = $1`, int64(broken))
	claimed, spoilt, err := s.Claim(t.Context(), claimOne())
	check(t, err)
	if len(claimed) != 0 || len(spoilt) != 1 || spoilt[0].Envelope.ID != broken || spoilt[0].Cause == nil {
		t.Errorf("claimed %+v, spoilt %+v", claimed, spoilt)
	}
	if err := other.Retry(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
	check(t, other.Drop(t.Context(), broken))
}

// When the directory of the long texts is away as a whole, no message is given up for it.
func TestTextsAreNotMounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	id := put(t, s, spool.InlineLimit+1, false)
	away := filepath.Join(dir, "away")
	check(t, os.Rename(filepath.Join(dir, bodiesName), away))
	check(t, os.Mkdir(filepath.Join(dir, bodiesName), dirMode))
	if got := claimAll(t, s, time.Now()); len(got) != 1 {
		t.Fatalf("claimed %+v", got)
	}
	if _, err := s.Open(t.Context(), id); err == nil {
		t.Error("a text that is not there was opened")
	}
	settleAs(t, s, id, mail.Deferred)
	check(t, os.Remove(filepath.Join(dir, bodiesName)))
	check(t, os.Rename(away, filepath.Join(dir, bodiesName)))
	if got := claimAll(t, s, time.Now().Add(2*time.Hour)); len(got) != 1 {
		t.Fatalf("claimed %+v", got)
	}
	wantText(t, s, id, spool.InlineLimit+1)
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
