package courier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/rs/zerolog"
)

// logged collects the courier's log.
type logged struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var line map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(p), &line); err != nil {
		return 0, err
	}
	l.lines = append(l.lines, line)
	return len(p), nil
}

func (l *logged) to(o *Options) { o.Log = zerolog.New(l) }

// events are the lines with one event about one message.
func (l *logged) events(event string, id mail.ID) (found []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["event"] == event && line["id"] == id.String() {
			found = append(found, line)
		}
	}
	return found
}

// losing is a spool whose texts go missing.
type losing struct {
	spool.Spool
	lost sync.Map // ids whose text is gone
}

func (l *losing) Claim(ctx context.Context, req spool.ClaimRequest) (claimed []spool.Claimed, spoilt []spool.Spoilt, err error) {
	all, _, err := l.Spool.Claim(ctx, req)
	for _, c := range all {
		if _, gone := l.lost.LoadAndDelete(c.Envelope.ID); !gone {
			claimed = append(claimed, c)
			continue
		}
		gone := map[int]mail.Outcome{0: {State: mail.Failed, Class: mail.ClassPermanent, Cause: spool.ErrTextMissing.Error()}}
		err = l.Spool.Settle(ctx, spool.Settlement{ID: c.Envelope.ID, Now: req.Now, Outcomes: gone,
			Events: []mail.Event{{Event: mail.EventFailed, Cause: spool.ErrTextMissing.Error()}}})
		spoilt = append(spoilt, spool.Spoilt{Envelope: c.Envelope, Attempts: c.Attempt - 1, Cause: spool.ErrTextMissing, Fix: "put it back"})
	}
	return claimed, spoilt, err
}

// A message whose text is gone is a failure like any other: one log line, and its sender and the operators are told at
// once. It says nothing about the mail behind it.
func TestLostTextIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		var log logged
		var sp *losing
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result { return same(ok, env) }), ours(&alerts), log.to, func(o *Options) {
			sp = &losing{Spool: o.Spool}
			o.Spool = sp
		})
		defer b.stop()
		pass(10 * time.Second) // the teller's own round is not near
		var lost []mail.ID
		for range 20 {
			id := mail.NewID(time.Now())
			sp.lost.Store(id, true)
			env := envelope("x@example.net")
			env.ID = id
			b.putEnvelope(env)
			lost = append(lost, id)
		}
		good := b.put("x@example.net")
		pass(time.Second)
		if m := b.message(good); m.State != mail.StateDelivered {
			t.Errorf("the message behind them is %s", m.State)
		}
		for _, id := range lost {
			lines := log.events(mail.EventFailed, id)
			if len(lines) != 1 || lines[0]["account"] != "default" || lines[0]["cause"] != spool.ErrTextMissing.Error() || lines[0]["fix"] == "" {
				t.Errorf("log: %v", lines)
			}
		}
		if n := len(alerts.all()); n != len(lost) {
			t.Errorf("%d alerts for %d lost messages", n, len(lost))
		}
		if n := slices.Index(seen.all(), mail.KindFailure); n < 0 {
			t.Error("no sender was told")
		}
	})
}

// A probe that finds only spoilt mail takes the next message: it shows nothing about the account, and the account's
// trouble ends as soon as a message passes.
func TestSpoiltMailIsNoProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
			if !well.Load() {
				return mail.Result{Trouble: down}
			}
			return same(ok, env)
		}}
		var sp *losing
		b := newBench(t, p, func(o *Options) { sp = &losing{Spool: o.Spool}; o.Spool = sp })
		defer b.stop()
		var ids []mail.ID
		for range 6 {
			ids = append(ids, b.put("x@example.net"))
		}
		pass(time.Second)
		for _, id := range ids[:5] {
			sp.lost.Store(id, true)
		}
		well.Store(true)
		pass(youngProbe)
		if m := b.message(ids[5]); m.State != mail.StateDelivered || b.account().State != mail.AccountReady {
			t.Errorf("the good message is %s, the account %+v", m.State, b.account())
		}
	})
}

// Mail that a command put into the spool is logged as accepted once in its life: not again after a hold, a retry, or
// in the courier that takes over. Mail that a listener took is never logged here.
func TestAcceptedIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logged
		trouble := &mail.Trouble{Kind: mail.Unreachable}
		p := &provider{answer: func(n int, env *mail.Envelope) mail.Result {
			if n < 8 {
				return mail.Result{Trouble: trouble}
			}
			return same(busy, env)
		}}
		b := newBench(t, p, log.to)
		defer b.stop()
		local := envelope("x@example.net", "y@example.net")
		local.Client = mail.Client{Address: mail.LocalClient, User: "root", Listener: "local"}
		b.putEnvelope(local)
		remote := envelope("x@example.net")
		remote.Client = mail.Client{Address: "192.0.2.1:4000", Listener: ":25"}
		b.putEnvelope(remote)
		pass(time.Hour)
		b.succeed(p, log.to)
		pass(time.Hour)
		lines := log.events(mail.EventAccepted, local.ID)
		if len(lines) != 1 {
			t.Fatalf("accepted %d times: %v", len(lines), lines)
		}
		for key, want := range map[string]any{"account": "default", "client": "local", "user": "root", "sender": "a@example.com",
			"recipient": "x@example.net, y@example.net", "size": float64(local.Size)} {
			if lines[0][key] != want {
				t.Errorf("%s is %v, want %v", key, lines[0][key], want)
			}
		}
		if lines := log.events(mail.EventAccepted, remote.ID); len(lines) != 0 {
			t.Errorf("a listener's message was logged by the courier: %v", lines)
		}
	})
}

// leaping is a wall clock that can be set while the monotonic one runs on.
type leaping struct{ ahead atomic.Int64 }

func (l *leaping) now() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())).Round(0) }

// A clock that leaps while mail is tried gives none of it up, and none of it waits longer for a clock that is set back;
// time that really passed counts as ever.
func TestClockLeaps(t *testing.T) {
	t.Parallel()
	for name, leap := range map[string]time.Duration{"forward": 240 * time.Hour, "back": -240 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { clockLeaps(t, leap) })
		})
	}
}

func clockLeaps(t *testing.T, leap time.Duration) {
	var clock leaping
	p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result { return same(busy, env) }, takes: 10 * time.Second}
	b := newBenchOn(t, sqlite.Options{Clock: clock.now, Poll: time.Second}, p, func(o *Options) { o.Clock = clock.now })
	defer b.stop()
	id := b.put("x@example.net")
	pass(5 * time.Second)
	clock.ahead.Store(int64(leap)) // in the middle of its first attempt
	pass(6 * time.Second)
	if m := b.message(id); m.State == mail.StateFailed { // it may be due at once, which does no harm
		t.Fatalf("after a leap of %v it is %s: %s", leap, m.State, m.LastReply)
	}
	pass(maxAge / 2)
	seen := len(p.attempts())
	if m := b.message(id); m.State == mail.StateFailed || seen < 4 {
		t.Errorf("half of max_age later it is %s after %d attempts", m.State, seen)
	}
	clock.ahead.Store(0) // corrected
	pass(steps[len(steps)-1] * 2)
	if n := len(p.attempts()); n == seen {
		t.Error("no attempt since the clock was corrected")
	}
	pass(2 * maxAge)
	if m := b.message(id); m.State != mail.StateFailed {
		t.Errorf("after two hours of trying it is %s", m.State)
	}
}

// After a start nobody knows how long the relay was away, or whether the clock was right: what looks too old is
// attempted before it is given up.
func TestOldMailIsTriedOnceAfterAStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []mail.Outcome{ok, busy} {
			p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result { return same(answer, env) }}
			b := newBench(t, p)
			env := envelope("x@example.net")
			env.Received = time.Now().Add(-1000 * time.Hour)
			b.putEnvelope(env)
			pass(time.Minute)
			want := mail.StateDelivered
			if answer == busy {
				want = mail.StateFailed
			}
			if m := b.message(env.ID); m.State != want || len(p.attempts()) != 1 {
				t.Errorf("it is %s after %d attempts, want %s after one", m.State, len(p.attempts()), want)
			}
			b.stop()
		}
	})
}

// faulty is a spool that refuses at a script's word.
type faulty struct {
	spool.Spool
	settle, next atomic.Bool
}

var errDisk = errors.New("the disk has a fault")

func (f *faulty) Settle(ctx context.Context, s spool.Settlement) error {
	if f.settle.Load() {
		return errDisk
	}
	return f.Spool.Settle(ctx, s)
}

func (f *faulty) NextDue(ctx context.Context, account string) (time.Time, bool, error) {
	if f.next.Load() {
		return time.Time{}, false, errDisk
	}
	return f.Spool.NextDue(ctx, account)
}

// A disk that refuses an outcome for longer than a claim lasts does not have the message sent twice.
func TestClaimLapsesWhileTheDiskRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: delivers}
		var sp *faulty
		b := newBench(t, p, func(o *Options) { sp = &faulty{Spool: o.Spool}; o.Spool = sp })
		defer b.stop()
		sp.settle.Store(true)
		id := b.put("x@example.net")
		pass(3 * lease)
		if m := b.message(id); m.Attempts < 2 {
			t.Fatalf("its claim did not lapse: %d attempts", m.Attempts)
		}
		sp.settle.Store(false)
		pass(time.Minute)
		if m := b.message(id); m.State != mail.StateDelivered || len(p.attempts()) != 1 {
			t.Errorf("it is %s after being sent %d times", m.State, len(p.attempts()))
		}
	})
}

// dropping is a spool that one message has left when its outcome comes.
type dropping struct {
	spool.Spool
	gone atomic.Value // its mail.ID
}

func (d *dropping) Settle(ctx context.Context, s spool.Settlement) error {
	if d.gone.Load() == s.ID {
		return fmt.Errorf("settle: %w", spool.ErrNotFound)
	}
	return d.Spool.Settle(ctx, s)
}

// A message that an operator takes away while the provider has it does not keep its connection's slot for ever.
func TestOutcomeOfADroppedMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: delivers, takes: time.Minute}
		var sp *dropping
		b := newBench(t, p, func(o *Options) {
			o.Accounts[0].Pace = free(1)
			sp = &dropping{Spool: o.Spool}
			o.Spool = sp
		})
		defer b.stop()
		sp.gone.Store(b.put("x@example.net"))
		pass(time.Second)
		next := b.put("x@example.net")
		pass(3 * time.Minute)
		if m := b.message(next); m.State != mail.StateDelivered {
			t.Errorf("the next message is %s: the slot was not given back", m.State)
		}
	})
}

// When the spool cannot say what is due next, it is asked again, and mail does not wait for something else to happen.
func TestNextDueIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(n int, env *mail.Envelope) mail.Result {
			if n == 1 {
				return same(busy, env)
			}
			return same(ok, env)
		}}
		var sp *faulty
		b := newBench(t, p, func(o *Options) { sp = &faulty{Spool: o.Spool}; o.Spool = sp })
		defer b.stop()
		sp.next.Store(true)
		id := b.put("x@example.net")
		pass(2 * steps[0])
		if m := b.message(id); m.State != mail.StateDelivered {
			t.Errorf("it is %s after twice the first delay", m.State)
		}
	})
}

// Mail of an account that has left the configuration is not forgotten in silence.
func TestStrayMailIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		b := newBench(t, &provider{answer: delivers}, ours(&alerts))
		defer b.stop()
		stray := envelope("x@example.net")
		stray.Account = "gone"
		b.putEnvelope(stray)
		b.put("x@example.net")
		pass(tidyEvery + time.Second)
		if all := alerts.all(); len(all) == 0 || all[0].Account != "gone" || all[0].Kind != report.AlertHeld || all[0].Fix == "" {
			t.Errorf("alerts: %+v", all)
		}
		if m := b.message(stray.ID); m.State != mail.StateReady {
			t.Errorf("it is %s", m.State)
		}
	})
}

// growing is a Pace whose connections come back.
type growing struct {
	free
	n atomic.Int64
}

func (g *growing) Connections(time.Time) int { return int(g.n.Load()) }

// A courier that began while its account was being slowed down uses the connections that come back.
func TestConnectionsThatComeBackAreUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pace := &growing{}
		pace.n.Store(1)
		p := &provider{answer: delivers, takes: time.Second}
		b := newBench(t, p, func(o *Options) { o.Accounts[0].Pace = pace })
		defer b.stop()
		b.put("x@example.net")
		pass(5 * time.Second)
		pace.n.Store(3)
		for range 20 {
			b.put("x@example.net")
		}
		pass(time.Minute)
		if p.peak != 3 {
			t.Errorf("at most %d messages were under way, want 3", p.peak)
		}
	})
}
