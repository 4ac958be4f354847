package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// How often the spool is looked at, and how often whether the relay still runs.
const (
	followEvery  = 100 * time.Millisecond
	runningEvery = time.Second
	followAtOnce = 32 // messages looked at in one round: the oldest are sent first
)

// follower prints what happens to test messages until each has its outcome.
type follower struct {
	test    *testRun
	spool   spool.Spool
	dataDir string
	w       io.Writer
	began   time.Time

	open   []*followed // without an outcome, oldest first
	done   []*followed
	failed int
	held   mail.Account // as it was last told of; the zero value when it was not held
	// progress is when a message last got its outcome.
	progress time.Time
}

// followed is one test message.
type followed struct {
	id       mail.ID
	number   int
	events   int // of its trace, told already
	attempts int
	latency  time.Duration // from the spool to the provider's answer
	provider time.Duration // of that, the attempt that delivered it
}

// follow waits for outcomes, and says what is known when they do not come.
func (f *follower) follow(ctx context.Context) error {
	f.progress = time.Now()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	looked := time.Now()
	for {
		if err := f.look(ctx); err != nil {
			return f.unfinished(ctx, err.Error())
		}
		switch {
		case len(f.open) == 0:
			return f.verdict()
		case time.Since(f.progress) > f.test.timeout:
			return f.unfinished(ctx, fmt.Sprintf("there was none within %v", f.test.timeout))
		case time.Since(looked) > runningEvery:
			if looked = time.Now(); !sqlite.Running(f.dataDir) {
				return f.unfinished(ctx, "the relay has stopped; it sends what is queued when it runs again")
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f.unfinished(ctx, "interrupted")
		}
	}
}

// look reads the spool once and tells what is new.
func (f *follower) look(ctx context.Context) error {
	if err := f.lookAtAccount(ctx); err != nil {
		return err
	}
	var ended []*followed
	for _, m := range f.open[:min(len(f.open), followAtOnce)] {
		over, err := f.lookAt(ctx, m)
		if err != nil {
			return err
		}
		if over {
			ended = append(ended, m)
		}
	}
	if len(ended) > 0 {
		f.progress = time.Now()
	}
	f.done = append(f.done, ended...)
	f.open = slices.DeleteFunc(f.open, func(m *followed) bool { return slices.Contains(ended, m) })
	return nil
}

// lookAt tells what is new of one message and says whether that is its end.
func (f *follower) lookAt(ctx context.Context, m *followed) (over bool, err error) {
	state, err := f.spool.Get(ctx, m.id)
	if errors.Is(err, spool.ErrNotFound) {
		f.failed++
		f.say("dropped", "%s is not in the spool any more: somebody dropped it", m.id)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	trace, err := f.spool.Trace(ctx, m.id)
	if err != nil {
		return false, err
	}
	if state.Attempts > m.attempts && len(trace) == m.events && f.test.count == 1 {
		f.say("attempt", "%d is on its way to the provider", state.Attempts)
	}
	m.attempts = state.Attempts
	for _, e := range trace[min(m.events, len(trace)):] {
		f.tell(m, state, e)
	}
	m.events = len(trace)
	if state.State == mail.StateFailed {
		f.failed++
	}
	return state.State == mail.StateFailed || state.State == mail.StateDelivered, nil
}

// tell prints one event of a message.
func (f *follower) tell(m *followed, state spool.Message, e mail.Event) {
	which := m.id.String()
	if f.test.count > 1 {
		which = fmt.Sprintf("%d of %d (%s)", m.number, f.test.count, m.id)
	}
	attempt := fmt.Sprintf("%s, attempt %d, %d ms: %s", which, e.Attempt, e.DurationMS, safe(e.Reply))
	switch e.Event {
	case mail.EventAccepted:
		if f.test.count == 1 {
			f.say("accepted", "%s is in the spool: from <%s> to <%s>, account %s, %d octets", which, f.test.from, f.test.to, f.test.account, state.Envelope.Size)
		}
	case mail.EventDelivered:
		m.latency, m.provider = e.Time.Sub(state.Envelope.Received), time.Duration(e.DurationMS)*time.Millisecond
		f.say("delivered", "%s", attempt)
	case mail.EventDeferred:
		f.say("deferred", "%s", attempt)
		f.explain(e.Cause, e.Fix)
		if !state.NextAttempt.IsZero() {
			f.more("next attempt: %s", clock(state.NextAttempt))
		}
	case mail.EventFailed:
		f.say("failed", "%s", attempt)
		f.explain(e.Cause, e.Fix)
	default:
		f.say(e.Event, "%s %s", which, safe(e.Detail+e.Cause))
	}
}

// lookAtAccount tells when the account is held, and when it is not any more.
func (f *follower) lookAtAccount(ctx context.Context) error {
	accounts, err := f.spool.Accounts(ctx)
	if err != nil {
		return err
	}
	a := accounts[f.test.account]
	if a.State != mail.AccountHeld {
		a = mail.Account{}
	}
	switch { // a provider's words differ each time by a date; since when, and what to do, do not
	case a.Since.Equal(f.held.Since) && a.Fix == f.held.Fix:
		return nil
	case a.State == "":
		f.say("ready", "account %s can send again", f.test.account)
	default:
		f.say("held", "account %s cannot send, its mail waits: %s", f.test.account, safe(a.Reason))
		f.explain("", a.Fix)
	}
	f.held = a
	return nil
}

// say prints one line of the timeline.
func (f *follower) say(event, format string, args ...any) {
	fmt.Fprintf(f.w, "%+8.2fs  %-9s  %s\n", time.Since(f.began).Seconds(), event, fmt.Sprintf(format, args...))
}

// more prints what belongs to the line above.
func (f *follower) more(format string, args ...any) {
	fmt.Fprintln(f.w, strings.TrimRight(strings.Repeat(" ", 22)+fmt.Sprintf(format, args...), " "))
}

func (f *follower) explain(cause, fix string) {
	if cause != "" {
		f.more("cause: %s", safe(cause))
	}
	if fix == "" {
		return
	}
	lines := numbered(safe(fix))
	f.more("what to do: %s", lines[0])
	for _, line := range lines[1:] {
		f.more("  %s", line)
	}
}

// verdict is said when every message has its outcome.
func (f *follower) verdict() error {
	if f.test.count > 1 {
		f.summary()
	}
	delivered := len(f.done) - f.failed
	switch {
	case f.failed == 0 && f.test.count == 1:
		fmt.Fprintf(f.w, "\nThe provider has taken the message, %.2f s after it was queued. Look for it in the mailbox of %s.\n", f.done[0].latency.Seconds(), f.test.to)
		return nil
	case f.failed == 0:
		fmt.Fprintf(f.w, "\nThe provider has taken all %d messages.\n", delivered)
		return nil
	case f.test.count == 1:
		return fail("the test message was not delivered: do what stands above, then test again; `mailbearer queue show %s` shows it, `mailbearer queue drop %s` removes it", f.done[0].id, f.done[0].id)
	}
	return fail("%d of %d test messages were not delivered: do what stands above, then test again; `mailbearer queue list --state failed` lists them", f.failed, f.test.count)
}

// unfinished is said when there are messages without an outcome.
func (f *follower) unfinished(ctx context.Context, why string) error {
	if ctx.Err() != nil {
		why = "interrupted"
	}
	if f.test.count > 1 {
		f.summary()
	}
	id := f.open[0].id
	fmt.Fprintf(f.w, "\nNo outcome yet: %d of %d delivered, %d failed, %d still queued. What is queued stays so and is sent as soon as it can be.\n",
		len(f.done)-f.failed, f.test.count, f.failed, len(f.open))
	if f.held.State != "" {
		fmt.Fprintf(f.w, "Account %s is held; do what stands above, then run `mailbearer check --account %s`: when it passes, the relay tries again at once.\n", f.test.account, f.test.account)
	}
	return fail("the outcome of the test is not known: %s. Follow it with `mailbearer queue show %s`; take it back with `mailbearer queue drop %s`", why, id, id)
}

// summary is about how long delivered messages took.
func (f *follower) summary() {
	var whole, provider []time.Duration
	for _, m := range f.done {
		if m.latency > 0 {
			whole, provider = append(whole, m.latency), append(provider, m.provider)
		}
	}
	if len(whole) == 0 {
		return
	}
	fmt.Fprintf(f.w, "\n%d of %d delivered in %.2f s\n", len(whole), f.test.count, time.Since(f.began).Seconds())
	fmt.Fprintf(f.w, "from the spool to the provider's answer:  %s   (up to half a second of it until the relay sees a command's message, and the wait for the account's limits)\n", spread(whole))
	fmt.Fprintf(f.w, "of that, the attempt itself:              %s\n", spread(provider))
}

// spread describes durations: the smallest, the median, nine of ten, the largest.
func spread(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	at := func(share float64) time.Duration {
		return d[min(int(share*float64(len(d))), len(d)-1)].Round(time.Millisecond)
	}
	return fmt.Sprintf("min %v, median %v, p90 %v, max %v", at(0), at(0.5), at(0.9), at(1))
}
