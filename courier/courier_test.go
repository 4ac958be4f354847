package courier

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/rs/zerolog"
)

// provider is a Deliverer that answers by script and remembers who came when.
type provider struct {
	mu     sync.Mutex
	answer func(n int, env *mail.Envelope) mail.Result // n counts attempts from 1
	takes  time.Duration
	seen   []attempt
	now    int // attempts under way
	peak   int
}

type attempt struct {
	id mail.ID
	at time.Time
}

func (p *provider) Deliver(ctx context.Context, env *mail.Envelope, open func() (io.ReadCloser, error)) mail.Result {
	p.mu.Lock()
	p.seen = append(p.seen, attempt{env.ID, time.Now()})
	n := len(p.seen)
	p.now++
	p.peak = max(p.peak, p.now)
	answer := p.answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	if p.takes > 0 {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
			return mail.Result{Trouble: &mail.Trouble{Kind: mail.Stopped}}
		}
	}
	return answer(n, env)
}

func (p *provider) attempts() []attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// free is a Pace without limits but connections.
type free int

func (f free) Room(time.Time) (int, time.Time) { return 1 << 30, time.Time{} }
func (f free) Start(time.Time)                 {}
func (f free) Connections(time.Time) int       { return int(f) }

// maxAge is short, since the spool works in virtual time too.
const maxAge = time.Hour

// bench is a courier with one account on a real spool, in virtual time.
type bench struct {
	t        *testing.T
	spool    spool.Spool
	provider *provider
	courier  *Courier
	end      func() // of the courier
	stop     func() // the spool too
}

func newBench(t *testing.T, p *provider, change ...func(*Options)) *bench {
	t.Helper()
	return newBenchOn(t, sqlite.Options{Poll: time.Minute}, p, change...)
}

func newBenchOn(t *testing.T, opt sqlite.Options, p *provider, change ...func(*Options)) *bench {
	t.Helper()
	opt.Dir, opt.Owner = t.TempDir(), true
	sp, err := sqlite.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, spool: sp, provider: p}
	b.run(p, change...)
	b.stop = func() {
		b.end()
		if err := sp.Close(); err != nil {
			t.Error(err)
		}
	}
	return b
}

// run starts a courier on the bench's spool.
func (b *bench) run(p *provider, change ...func(*Options)) {
	t, sp := b.t, b.spool
	o := Options{
		Spool: sp, Retry: steps, MaxAge: maxAge, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.Disabled),
		Accounts:         []Account{{Name: "default", Mailbox: "noreply@example.com", Deliverer: p, Pace: free(3)}},
		HistoryRetention: 1000 * time.Hour, FailedRetention: 1000 * time.Hour, Hostname: "relay.example.com",
	}
	for _, c := range change {
		c(&o)
	}
	b.courier = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.courier.Run(ctx) })
	b.end = func() {
		cancel()
		wg.Wait()
	}
}

// succeed has another courier take over, as a reload does.
func (b *bench) succeed(p *provider, change ...func(*Options)) {
	b.courier.Retire()
	b.end()
	b.run(p, change...)
}

func (b *bench) put(recipients ...string) mail.ID {
	b.t.Helper()
	return b.putEnvelope(envelope(recipients...))
}

func (b *bench) putEnvelope(env *mail.Envelope) mail.ID {
	b.t.Helper()
	body := b.spool.NewBody(env.ID)
	fmt.Fprintf(body, "Subject: x\r\n\r\n%s\r\n", env.ID)
	env.Size = body.Size()
	if err := b.spool.Put(b.t.Context(), env, body, false); err != nil {
		b.t.Fatal(err)
	}
	return env.ID
}

func envelope(recipients ...string) *mail.Envelope {
	env := &mail.Envelope{ID: mail.NewID(time.Now()), Account: "default", Sender: "a@example.com", Received: time.Now()}
	for _, r := range recipients {
		env.Recipients = append(env.Recipients, mail.Recipient{Address: r, State: mail.Pending})
	}
	return env
}

func (b *bench) message(id mail.ID) spool.Message {
	b.t.Helper()
	m, err := b.spool.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

func (b *bench) account() mail.Account {
	b.t.Helper()
	all, err := b.spool.Accounts(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return all["default"]
}

// pass lets virtual time go by; real work (the disk) is waited for.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func same(o mail.Outcome, env *mail.Envelope) mail.Result {
	r := mail.Result{}
	for range env.Unsettled() {
		r.Outcomes = append(r.Outcomes, o)
	}
	return r
}

var (
	ok      = mail.Outcome{State: mail.Delivered, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}}
	busy    = mail.Outcome{State: mail.Deferred, Reply: mail.Reply{Code: 451, Text: "later"}, Class: mail.ClassTransient, Cause: "busy"}
	nobody  = mail.Outcome{State: mail.Failed, Reply: mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "nobody"}, Class: mail.ClassPermanent}
	down    = &mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassTransient, Cause: "the provider cannot be reached"}
	blocked = &mail.Trouble{Kind: mail.Refused, Reply: mail.Reply{Code: 550, Enhanced: "5.1.8", Text: "bad outbound sender"}, Class: mail.ClassNeedsAdmin, Cause: "the mailbox is blocked", Fix: "unblock it"}
)

func delivers(_ int, env *mail.Envelope) mail.Result { return same(ok, env) }

func TestDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &provider{answer: delivers, takes: time.Second})
		defer b.stop()
		var ids []mail.ID
		for range 20 {
			ids = append(ids, b.put("x@example.net"))
		}
		pass(time.Minute)
		for _, id := range ids {
			if m := b.message(id); m.State != mail.StateDelivered || m.Attempts != 1 {
				t.Errorf("%s is %s after %d attempts", id, m.State, m.Attempts)
			}
		}
		if b.account().State != mail.AccountReady || b.account().LastDelivered.IsZero() {
			t.Errorf("account: %+v", b.account())
		}
	})
}

func TestRetriesOnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(n int, env *mail.Envelope) mail.Result {
			if n < 4 {
				return same(busy, env)
			}
			return same(ok, env)
		}}
		b := newBench(t, p)
		defer b.stop()
		id := b.put("x@example.net")
		pass(time.Hour)
		if m := b.message(id); m.State != mail.StateDelivered || m.Attempts != 4 {
			t.Fatalf("%s after %d attempts", m.State, m.Attempts)
		}
		seen := p.attempts()
		for i, want := range steps {
			if gap := seen[i+1].at.Sub(seen[i].at); gap < want || gap > want+want/10+time.Second {
				t.Errorf("attempt %d came %v after the one before, want %v to a tenth more", i+2, gap, want)
			}
		}
	})
}

func TestEachRecipientIsSettledOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.answer = func(n int, env *mail.Envelope) mail.Result {
			if n == 1 {
				return mail.Result{Outcomes: []mail.Outcome{ok, nobody, busy}}
			}
			if got := env.Unsettled(); len(got) != 1 || got[0] != 2 {
				t.Errorf("second attempt is for recipients %v, want the deferred one alone", got)
			}
			return same(ok, env)
		}
		b := newBench(t, p)
		defer b.stop()
		id := b.put("a@example.net", "b@example.net", "c@example.net")
		pass(2 * time.Minute)
		m := b.message(id)
		if m.State != mail.StateFailed {
			t.Errorf("message is %s, want failed: one recipient was refused", m.State)
		}
		for i, want := range []mail.RecipientState{mail.Delivered, mail.Failed, mail.Delivered} {
			if got := m.Envelope.Recipients[i].State; got != want {
				t.Errorf("recipient %d is %s, want %s", i, got, want)
			}
		}
	})
}

func TestOutageHoldsTheAccountAndEndsWithin5Seconds(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{3 * time.Second, time.Minute, 5*time.Minute - time.Second} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
				if time.Since(begin) < outage {
					return mail.Result{Trouble: down}
				}
				return same(ok, env)
			}}
			b := newBench(t, p)
			defer b.stop()
			for range 10 {
				b.put("x@example.net")
			}
			pass(outage - time.Millisecond)
			if a := b.account(); a.State != mail.AccountHeld || a.Reason == "" || a.Since.IsZero() {
				t.Errorf("account during the outage: %+v", a)
			}
			counts, _ := b.spool.Counts(t.Context())
			if c := counts["default"]; c.Ready != 10 || c.Deferred != 0 {
				t.Errorf("during the outage %+v, want 10 ready: no message's own schedule is used up", c)
			}
			pass(5 * time.Second)
			delivered, _ := b.spool.List(t.Context(), spool.Filter{State: mail.StateDelivered, Now: time.Now()})
			if len(delivered) != 10 {
				t.Errorf("%d of 10 delivered 5s after an outage of %v", len(delivered), outage)
			}
			if a := b.account(); a.State != mail.AccountReady {
				t.Errorf("account after the outage: %+v", a)
			}
		})
	}
}

func TestProbesTakeADifferentMessageEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(int, *mail.Envelope) mail.Result { return mail.Result{Trouble: down} }}
		b := newBench(t, p)
		defer b.stop()
		for range 8 {
			b.put("x@example.net")
		}
		pass(time.Minute)
		seen := p.attempts()
		for i := 7; i < len(seen); i++ {
			if seen[i].id == seen[i-1].id {
				t.Errorf("probes %d and %d took the same message", i-1, i)
			}
			if gap := seen[i].at.Sub(seen[i-1].at); gap > 4*time.Second {
				t.Errorf("probe %d came %v after the one before", i, gap)
			}
		}
		if len(seen) > 30 {
			t.Errorf("%d attempts in a minute of outage", len(seen))
		}
	})
}

func TestNoSingleMessageHoldsAnAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var poison mail.ID
		p := &provider{}
		p.answer = func(_ int, env *mail.Envelope) mail.Result {
			if env.ID == poison {
				return mail.Result{Trouble: blocked}
			}
			return same(ok, env)
		}
		b := newBench(t, p)
		defer b.stop()
		poison = mail.NewID(time.Now())
		env := envelope("x@example.net")
		env.ID = poison
		if err := b.spool.Put(t.Context(), env, b.spool.NewBody(poison), false); err != nil {
			t.Fatal(err)
		}
		var ids []mail.ID
		for range 5 {
			ids = append(ids, b.put("x@example.net"))
			pass(2 * time.Minute)
		}
		for _, id := range ids {
			if m := b.message(id); m.State != mail.StateDelivered {
				t.Errorf("%s is %s", id, m.State)
			}
		}
		if m := b.message(poison); m.State != mail.StateFailed {
			t.Errorf("the message whose trouble is its own is %s, want failed by its 550", m.State)
		}
		if a := b.account(); a.State != mail.AccountReady {
			t.Errorf("account: %+v", a)
		}
	})
}

func TestBlockedAccountNeverFailsMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
			if time.Since(begin) < 3*maxAge {
				return mail.Result{Trouble: blocked}
			}
			return same(ok, env)
		}}
		b := newBench(t, p)
		defer b.stop()
		for range 3 {
			b.put("x@example.net")
		}
		pass(3 * maxAge)
		if n := len(p.attempts()); n > 3*4+10 {
			t.Errorf("%d attempts in three hours, want no more than the retry schedule makes", n)
		}
		pass(16 * time.Minute)
		delivered, _ := b.spool.List(t.Context(), spool.Filter{State: mail.StateDelivered, Now: time.Now()})
		if len(delivered) != 3 {
			t.Errorf("%d of 3 delivered after the block was lifted; queue: %+v", len(delivered), b.account())
		}
	})
}

func TestProbeAtOnceWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(n int, env *mail.Envelope) mail.Result {
			if n == 1 {
				return mail.Result{Trouble: blocked}
			}
			return same(ok, env)
		}}
		b := newBench(t, p)
		defer b.stop()
		id := b.put("x@example.net")
		pass(time.Second)
		b.courier.Probe("default")
		pass(time.Second)
		if m := b.message(id); m.State != mail.StateDelivered {
			t.Errorf("%s a second after being asked to probe", m.State)
		}
	})
}

func TestProbeAtOnceWhenAnotherProcessAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(n int, env *mail.Envelope) mail.Result {
			if n == 1 {
				return mail.Result{Trouble: blocked}
			}
			return same(ok, env)
		}}
		b := newBench(t, p)
		defer b.stop()
		id := b.put("x@example.net")
		pass(5 * time.Second)
		if err := b.spool.AskProbe(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if m := b.message(id); m.State != mail.StateDelivered {
			t.Errorf("%s a second after the request", m.State)
		}
	})
}

func TestStopGivesBackWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sp, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Owner: true})
		if err != nil {
			t.Fatal(err)
		}
		p := &provider{answer: delivers, takes: time.Hour}
		c := New(Options{Spool: sp, Retry: steps, MaxAge: time.Hour, Log: zerolog.Nop(),
			Accounts: []Account{{Name: "default", Deliverer: p, Pace: free(3)}}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { c.Run(ctx) })
		b := &bench{t: t, spool: sp, provider: p}
		id := b.put("x@example.net")
		pass(time.Second)
		cancel()
		wg.Wait()
		if m := b.message(id); m.State != mail.StateReady || m.Attempts != 0 {
			t.Errorf("%s after %d attempts, want ready and untouched", m.State, m.Attempts)
		}
		sp.Close()
	})
}

func TestWaitingClientHearsOfTroubleAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &provider{answer: func(int, *mail.Envelope) mail.Result { return mail.Result{Trouble: down} }})
		defer b.stop()
		env := envelope("x@example.net")
		if err := b.spool.Put(t.Context(), env, b.spool.NewBody(env.ID), true); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, known := b.spool.Wait(ctx, env.ID); known {
			t.Error("an outcome is known although the provider cannot be reached")
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the client waited %v", d)
		}
	})
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &provider{answer: func(_ int, env *mail.Envelope) mail.Result { return same(busy, env) }})
		defer b.stop()
		id := b.put("x@example.net")
		pass(maxAge - 10*time.Minute)
		if m := b.message(id); m.State == mail.StateFailed {
			t.Fatal("given up before max_age")
		}
		pass(30 * time.Minute)
		if m := b.message(id); m.State != mail.StateFailed {
			t.Fatalf("%s after max_age, want failed", m.State)
		}
	})
}
