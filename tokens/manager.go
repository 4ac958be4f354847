package tokens

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// ErrClosed is what Token returns once the manager was closed.
var ErrClosed = errors.New("the token manager is closed")

// Options are what a Manager is made of.
type Options struct {
	Name    string           // of the account, for error texts
	Flow    Flow             // how to fetch
	Vendor  Vendor           // whose flow it is, for advice only
	API     API              // what the tokens are for; a token for another API is refused here, in words
	Person  bool             // a person signs in for the account, for advice only
	Clock   func() time.Time // the wall clock; time.Now when nil
	Changed func(State)      // told of each change of state, one at a time; it must not call Token or Close
}

// Manager keeps the access token of one account and one audience.
//
// How much life a token has left is the lesser of two answers: the wall clock's, which sees that the machine was
// suspended, and the time that passed by the monotonic clock, which does not care that someone set the wall clock
// back. A wrong step forward costs one fetch too many and nothing else.
type Manager struct {
	name    string
	flow    Flow
	api     API
	person  bool
	vendor  Vendor
	clock   func() time.Time
	changed func(State)

	ctx    context.Context // of the fetches: none belongs to the caller that started it
	cancel context.CancelFunc
	fly    sync.WaitGroup
	wake   chan struct{} // one slot: Run is to look at its plan again

	mu           sync.Mutex
	made         time.Time // when the manager was, by the wall clock
	cur          current
	readySince   time.Time
	flight       *flight // the fetch under way, if any
	problem      *diagnose.Problem
	problemSince time.Time // wall clock
	failedSince  time.Time // the first failure in a row; as notBefore by the monotonic clock
	failures     int       // in a row
	notBefore    time.Time // no fetch before it
	asked        bool      // notBefore was the provider's wish
	renewals     int       // forced one after the other, each because the token just fetched was refused

	telling sync.Mutex
	told    State
}

// current is the token at hand.
type current struct {
	Token
	fetched time.Time     // monotonic
	life    time.Duration // when it was fetched
	renew   time.Duration // renewal is due so long after it was fetched
	claims  Claims
	opaque  bool
}

// flight is one fetch under way.
type flight struct {
	began   time.Time // wall clock
	done    chan struct{}
	awaited bool // someone asked for it; if not, Run tries again and nobody needs to wait for that
	again   bool // someone kicked meanwhile: if it fails, try once more at once
}

// New makes a manager; it fetches nothing until Token, Kick or Run is called. Close it.
func New(o Options) *Manager {
	m := &Manager{name: o.Name, flow: o.Flow, api: o.API, person: o.Person, vendor: o.Vendor, clock: o.Clock, changed: o.Changed, wake: make(chan struct{}, 1)}
	if m.clock == nil {
		m.clock = time.Now
	}
	m.made = m.clock()
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Close ends a fetch under way and waits for it. Token returns ErrClosed afterwards.
func (m *Manager) Close() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.fly.Wait()
}

// Token returns a token with enough life left: at least a minute, or a tenth of a life shorter than ten minutes.
// In normal life it does not wait, as Run renews ahead of time.
//
// rejected is the token the server refused, or empty. If it is still the current one it is renewed, once for all
// who ask; if it is not, the newer one is returned at once. A token that is refused although it was just fetched is
// not renewed without pause: the caller gets a Problem until the back-off has passed.
//
// Errors are *diagnose.Problem, ErrClosed, or the context's cause when ctx ends first; the fetch then goes on for
// the next caller. While renewals fail, the old token is returned as long as it is valid (and not the rejected one);
// after that the last Problem is, at once, until the back-off has passed. Who wants to know how things are now (a
// probe) calls Kick first.
func (m *Manager) Token(ctx context.Context, rejected string) (string, error) {
	for first := true; ; first = false {
		access, f, err := m.decide(rejected, first)
		if f == nil {
			return access, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for an access token of account %q: %w", m.name, context.Cause(ctx))
		}
	}
}

// decide answers a caller, or names the fetch to wait for. Only a caller that has not waited yet may start one:
// after a fetch it takes what there is.
func (m *Manager) decide(rejected string, first bool) (string, *flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return "", nil, ErrClosed
	}
	left := m.left()
	refused := rejected != "" && rejected == m.cur.Access
	if !refused && left > 0 && (left >= enough(m.cur.life) || m.problem != nil || !first) {
		return m.cur.Access, nil, nil // an old token is better than waiting for a renewal that fails
	}
	if m.flight != nil && (m.flight.awaited || m.problem == nil) {
		return "", m.flight, nil
	}
	if !first || m.flight != nil || time.Now().Before(m.notBefore) {
		return m.settle(left)
	}
	if refused {
		if p := m.pauseRenewal(); p != nil {
			return "", nil, p
		}
	}
	return "", m.start(), nil
}

// settle answers a caller for whom no fetch is to be made now.
func (m *Manager) settle(left time.Duration) (string, *flight, error) {
	if m.problem != nil {
		return "", nil, m.lastProblem()
	}
	if left > 0 { // the renewal brought the same token again: the server may have changed its mind
		return m.cur.Access, nil, nil
	}
	return "", m.start(), nil // it expired while the caller waited
}

// pauseRenewal says why a token that the server refused is not renewed now, or nil and counts the renewal. The
// first refusal renews at once; a token that was refused as soon as it came from such a renewal waits.
func (m *Manager) pauseRenewal() *diagnose.Problem {
	age := time.Since(m.cur.fetched)
	if age >= 2*backoffMost {
		m.renewals = 0
	}
	p := refusedFresh(m.vendor)
	if m.renewals > 0 && age < backoff(m.renewals, 0, p, 0) {
		return p
	}
	m.renewals++
	return nil
}

// lastProblem is what callers get between two fetches. What the provider asked for has shrunk meanwhile.
func (m *Manager) lastProblem() *diagnose.Problem {
	p := *m.problem
	if p.RetryAfter > 0 {
		p.RetryAfter = max(time.Until(m.notBefore), 0)
	}
	return &p
}

// left is the life the token at hand has left: the lesser of what both clocks say.
func (m *Manager) left() time.Duration {
	if m.cur.Access == "" {
		return 0
	}
	return m.cur.life - m.used()
}

// used is how much of its life the token at hand has behind it.
func (m *Manager) used() time.Duration {
	wall := m.cur.life - m.cur.Expires.Sub(m.clock().Round(0))
	return max(wall, time.Since(m.cur.fetched))
}

// start begins a fetch. The caller holds m.mu and has seen that there is no other.
func (m *Manager) start() *flight {
	f := &flight{began: m.clock(), done: make(chan struct{}), awaited: true}
	m.flight = f
	m.fly.Go(func() { m.fetch(f) })
	return f
}

func (m *Manager) fetch(f *flight) {
	m.tell()
	ctx, cancel := context.WithTimeout(m.ctx, fetchTimeout)
	defer cancel()
	var p *diagnose.Problem
	if token, err := m.flow.Fetch(ctx); err != nil {
		p = asProblem(err, m.vendor)
	} else {
		p = m.admit(token)
	}
	if p != nil {
		p = p.For(m.name)
	}
	m.land(f, p)
	m.tell()
	m.nudge()
}

// land records how the fetch ended, and lets go who waited for it.
func (m *Manager) land(f *flight, p *diagnose.Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flight = nil
	close(f.done)
	if p == nil || m.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if m.failures == 0 {
		m.failedSince = now
	}
	if m.problem == nil {
		m.problemSince = m.clock()
	}
	m.problem = p
	m.failures++
	m.notBefore = now.Add(backoff(m.failures, now.Sub(m.failedSince), p, rand.Float64()))
	m.asked = p.RetryAfter > 0
	if f.again && !m.asked {
		m.start()
	}
}

// admit takes a token that was fetched, unless it is of no use.
func (m *Manager) admit(t Token) *diagnose.Problem {
	now := m.clock().Round(0)
	t.Expires = t.Expires.Round(0)
	life := t.Expires.Sub(now)
	claims, readable := ParseClaims(t.Access)
	if t.Access == "" || life <= 0 {
		return uselessToken(life)
	}
	if p := wrongAPI(m.api, claims, m.person); p != nil {
		return p
	}
	refresh := time.Duration(0)
	if !t.RefreshIn.IsZero() {
		refresh = max(t.RefreshIn.Round(0).Sub(now), shortest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left() <= 0 {
		m.readySince = now
	}
	m.cur = current{
		Token: t, fetched: time.Now(), life: life, renew: renewAfter(life, refresh, rand.Float64()),
		claims: claims, opaque: !readable,
	}
	m.problem, m.failures, m.notBefore, m.asked = nil, 0, time.Time{}, false
	return nil
}
