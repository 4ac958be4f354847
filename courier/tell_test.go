package courier

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
)

// list gathers what several goroutines say.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
}

func (l *list[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

// ours lets every sender have reports; alerts are collected.
func ours(alerts *list[report.Alert]) func(*Options) {
	return func(o *Options) {
		o.MaxAge = 5 * time.Hour
		o.MayReport = func(*mail.Envelope) bool { return true }
		o.Alert = alerts.add
	}
}

// kinds counts what was handed to the provider, by kind.
func kinds(seen *list[mail.Kind], answer func(env *mail.Envelope) mail.Result) *provider {
	p := &provider{}
	p.answer = func(_ int, env *mail.Envelope) mail.Result {
		r := answer(env)
		if r.Trouble == nil && r.Outcomes[0].State == mail.Delivered {
			seen.add(env.Kind)
		}
		return r
	}
	return p
}

func TestFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result {
			if env.Kind == "" {
				return same(nobody, env)
			}
			if env.Sender != "noreply@example.com" || env.Recipients[0].Address != "a@example.com" {
				t.Errorf("the report goes from <%s> to <%s>", env.Sender, env.Recipients[0].Address)
			}
			return same(ok, env)
		}), ours(&alerts))
		defer b.stop()
		id := b.put("x@example.net")
		pass(10 * time.Minute)
		if len(seen.all()) != 1 || seen.all()[0] != mail.KindFailure {
			t.Errorf("reports: %v", seen.all())
		}
		if len(alerts.all()) != 1 || alerts.all()[0].Kind != report.AlertFailed || alerts.all()[0].IDs[0] != id || !strings.Contains(alerts.all()[0].Text, "550 5.1.1 nobody") {
			t.Errorf("alerts: %+v", alerts.all())
		}
	})
}

// A recipient who is refused is told of at once, however long another one is still tried; and once.
func TestFailureIsToldWhileOthersAreTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		var well atomic.Bool
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result {
			if env.Kind != "" || well.Load() {
				return same(ok, env)
			}
			r := same(busy, env)
			if len(r.Outcomes) == 2 {
				r.Outcomes[0] = nobody
			}
			return r
		}), ours(&alerts))
		defer b.stop()
		id := b.put("gone@example.net", "busy@example.net")
		pass(30 * time.Second)
		if got := seen.all(); !slices.Equal(got, []mail.Kind{mail.KindFailure}) {
			t.Errorf("within half a minute: %v", got)
		}
		if got := alerts.all(); len(got) != 1 || !strings.Contains(got[0].Text, "gone@") || strings.Contains(got[0].Text, "busy@") {
			t.Errorf("alerts: %+v", got)
		}
		well.Store(true)
		pass(time.Hour)
		if got := seen.all(); !slices.Equal(got, []mail.Kind{mail.KindFailure, ""}) {
			t.Errorf("in all: %v", got)
		}
		if m := b.message(id); m.State != mail.StateFailed || !m.Reported || len(alerts.all()) != 1 {
			t.Errorf("in the end: %+v, %d alerts", m, len(alerts.all()))
		}
	})
}

func TestReportsAreNotReportedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result { return same(nobody, env) }), ours(&alerts))
		defer b.stop()
		b.put("x@example.net")
		pass(time.Hour)
		list, _ := b.spool.List(t.Context(), spool.Filter{Now: time.Now()})
		if len(list) != 2 {
			t.Errorf("%d messages, want the message and one report that failed too", len(list))
		}
	})
}

func TestDelayIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result {
			if env.Kind == "" {
				return same(busy, env)
			}
			return same(ok, env)
		}), ours(&alerts))
		defer b.stop()
		b.put("x@example.net")
		pass(lateAfter - 5*time.Minute)
		if len(seen.all()) != 0 {
			t.Errorf("told already: %v", seen.all())
		}
		pass(30 * time.Minute)
		if len(seen.all()) != 1 || seen.all()[0] != mail.KindDelay {
			t.Errorf("after four and a half hours: %v", seen.all())
		}
		pass(time.Hour) // max_age is over
		if len(seen.all()) != 2 || seen.all()[1] != mail.KindFailure {
			t.Errorf("at the end: %v", seen.all())
		}
	})
}

func TestWarningIsWithdrawnWhenTheMailGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		begin := time.Now()
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result {
			if time.Since(begin) < 5*time.Hour {
				return mail.Result{Trouble: down}
			}
			return same(ok, env)
		}), ours(&alerts))
		defer b.stop()
		for range 3 {
			b.put("x@example.net")
		}
		pass(5*time.Hour + 2*time.Minute)
		for _, k := range seen.all() {
			if k != "" {
				t.Errorf("a %s report was sent about mail that was delivered at the same moment", k)
			}
		}
		if len(seen.all()) != 3 {
			t.Errorf("%d messages were delivered, want 3", len(seen.all()))
		}
		list, _ := b.spool.List(t.Context(), spool.Filter{Now: time.Now()})
		if len(list) != 0 {
			t.Errorf("the spool still holds %+v", list)
		}
		if len(alerts.all()) != 2 || alerts.all()[0].Kind != report.AlertHeld || alerts.all()[1].Kind != report.AlertWell {
			t.Errorf("alerts: %+v", alerts.all())
		}
	})
}

func TestHeldTimeDoesNotAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var seen list[mail.Kind]
		begin := time.Now()
		b := newBench(t, kinds(&seen, func(env *mail.Envelope) mail.Result {
			switch age := time.Since(begin); {
			case env.Kind != "":
				return same(ok, env)
			case age < 2*time.Hour:
				return mail.Result{Trouble: blocked}
			default:
				return same(busy, env)
			}
		}), ours(&alerts), func(o *Options) { o.MaxAge = time.Hour })
		defer b.stop()
		id := b.put("x@example.net")
		pass(2*time.Hour + 50*time.Minute) // two hours held, fifty minutes tried; max_age is one hour
		if m := b.message(id); m.State == mail.StateFailed {
			t.Fatal("the time in which the account was held was counted")
		}
		pass(40 * time.Minute)
		if m := b.message(id); m.State != mail.StateFailed {
			t.Errorf("%s after an hour and a half of trying, want failed", m.State)
		}
	})
}

func TestHistoryIsPurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &provider{answer: delivers}, func(o *Options) { o.HistoryRetention = time.Hour })
		defer b.stop()
		for range tidyBatch + 50 {
			b.put("x@example.net")
		}
		count := func() int {
			list, _ := b.spool.List(t.Context(), spool.Filter{State: mail.StateDelivered, Now: time.Now()})
			return len(list)
		}
		pass(30 * time.Minute)
		if n := count(); n != tidyBatch+50 {
			t.Errorf("%d in the history after half an hour", n)
		}
		pass(45 * time.Minute)
		if n := count(); n != 0 {
			t.Errorf("%d in the history after an hour and a quarter", n)
		}
	})
}

// Warnings that an outage leaves behind, one for each message, do not keep new mail waiting when it is over.
func TestOldWarningsDoNotHoldNewMailUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alerts list[report.Alert]
		var well atomic.Bool
		p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
			if !well.Load() {
				return mail.Result{Trouble: down}
			}
			return same(ok, env)
		}}
		b := newBench(t, p, ours(&alerts))
		defer b.stop()
		for range 60 {
			b.put("x@example.net")
		}
		pass(lateAfter + 2*tellEvery)
		if counts, err := b.spool.Counts(t.Context()); err != nil || counts["default"].Queued() != 120 {
			t.Fatalf("%+v are queued, %v; want 60 messages and as many warnings", counts, err)
		}
		well.Store(true)
		pass(oldProbe)
		fresh := b.put("x@example.net")
		pass(15 * time.Second)
		if m := b.message(fresh); m.State != mail.StateDelivered {
			t.Errorf("new mail is %s a quarter of a minute after it came", m.State)
		}
	})
}
