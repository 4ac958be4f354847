package upstream

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// window is the span over which a provider counts messages.
const window = time.Minute

// regain is how long a mailbox must go unthrottled before it is given one connection back.
const regain = time.Minute

// Limits are what one mailbox may do, by the provider's own rules.
type Limits struct {
	Connections       int // at once
	MessagesPerMinute int // in any 60 seconds; 0 is not limited
}

// Governor keeps one mailbox within its limits by making mail wait instead of letting it be refused. It knows only
// what it is told, the time included, so that a day passes in a test without a clock.
type Governor struct {
	limits Limits

	mu          sync.Mutex
	starts      []time.Time // of the last minute, oldest first
	spreadUntil time.Time   // while something had to wait lately, starts keep a distance
	connections int         // fewer than the limit after the provider said "too many"
	shrunk      time.Time   // when it last said so
}

// NewGovernor returns a governor at the start of a quiet minute.
func NewGovernor(l Limits) *Governor {
	return &Governor{limits: l, connections: l.Connections}
}

// Room says how many messages may be started at now; if none may, next is when to ask again. A quiet mailbox's mail
// goes at once; once something had to wait, starts are spread over the minute, so that a backlog does not arrive as
// one burst a minute.
func (g *Governor) Room(now time.Time) (n int, next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.MessagesPerMinute == 0 {
		return int(^uint(0) >> 1), time.Time{}
	}
	g.expire(now)
	if len(g.starts) >= g.limits.MessagesPerMinute {
		g.spreadUntil = now.Add(2 * window)
		return 0, g.starts[0].Add(window)
	}
	if !now.Before(g.spreadUntil) {
		return g.limits.MessagesPerMinute - len(g.starts), time.Time{}
	}
	if len(g.starts) > 0 {
		gap := window / time.Duration(g.limits.MessagesPerMinute)
		if next := g.starts[len(g.starts)-1].Add(gap); now.Before(next) {
			g.spreadUntil = now.Add(2 * window)
			return 0, next
		}
	}
	return 1, time.Time{}
}

// Start counts one message that is being started.
func (g *Governor) Start(now time.Time) {
	if g.limits.MessagesPerMinute == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	g.starts = append(g.starts, now)
}

// expire forgets starts that no longer count. A clock that went back would keep them for ever, so starts in the
// future are forgotten too.
func (g *Governor) expire(now time.Time) {
	keep := g.starts[:0]
	for _, t := range g.starts {
		if age := now.Sub(t); age < window && age > -window {
			keep = append(keep, t)
		}
	}
	g.starts = keep
}

// Connections is how many messages may be under way at once.
func (g *Governor) Connections(now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.connections < g.limits.Connections && now.Sub(g.shrunk) >= regain {
		g.connections++
		g.shrunk = now
	}
	return g.connections
}

// Shrink halves the connections: another application may use the mailbox, and its connections count too. They come
// back one a minute. A message that was under way when it shrank says nothing new.
func (g *Governor) Shrink(started, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if started.Before(g.shrunk) {
		return
	}
	g.connections = max(g.connections/2, 1)
	g.shrunk = now
}

// Transport hands one message to a provider in one way (SMTP; Graph).
type Transport interface {
	Deliver(ctx context.Context, env *mail.Envelope, open func() (io.ReadCloser, error)) mail.Result
	Resize(connections int)
}

// Mailbox is one upstream mailbox: its transport under its governor.
type Mailbox struct {
	Transport
	*Governor
	clock func() time.Time
}

// NewMailbox puts a transport under a governor.
func NewMailbox(t Transport, g *Governor, clock func() time.Time) *Mailbox {
	return &Mailbox{Transport: t, Governor: g, clock: clock}
}

// Deliver hands the message over and lets the governor learn from the answer.
func (m *Mailbox) Deliver(ctx context.Context, env *mail.Envelope, open func() (io.ReadCloser, error)) mail.Result {
	started := m.clock()
	r := m.Transport.Deliver(ctx, env, open)
	if r.Trouble != nil && r.Trouble.Kind == mail.Throttled {
		m.Shrink(started, m.clock())
		m.Resize(m.Governor.Connections(m.clock()))
	}
	return r
}

// Connections is how many messages may be under way at once.
func (m *Mailbox) Connections(now time.Time) int {
	n := m.Governor.Connections(now)
	m.Resize(n)
	return n
}
