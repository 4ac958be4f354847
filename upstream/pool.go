package upstream

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pool keeps the connections of one mailbox. A place is held by each connection from before it is dialled until it
// is closed, so the provider never counts more of them than the limit.
type pool struct {
	limit    int
	watchers sync.WaitGroup // one for each idle connection

	mu      sync.Mutex
	places  int          // taken
	idle    []*conn      // the one used last is last
	waiting []chan *conn // first come, first served
	closed  bool
}

// take returns a kept connection, the one used last, or nil and a place to make a new one in. give ends both.
func (p *pool) take(ctx context.Context) (*conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c.wake(), nil
	}
	if p.places < p.limit {
		p.places++
		p.mu.Unlock()
		return nil, nil
	}
	turn := make(chan *conn, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	return p.wait(ctx, turn)
}

func (p *pool) wait(ctx context.Context, turn chan *conn) (*conn, error) {
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, turn)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		p.give(<-turn, 0) // it was our turn just now; the next one's, then
	}
	return nil, context.Cause(ctx)
}

// give hands the place on, with the connection if one is left, or keeps the connection for at most so long.
func (p *pool) give(c *conn, idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c != nil && p.places > p.limit {
		c.cut() // the limit has shrunk
		c = nil
	}
	switch {
	case p.places > p.limit:
		p.places--
	case len(p.waiting) > 0:
		p.waiting[0] <- c
		p.waiting = p.waiting[1:]
	case c == nil:
		p.places--
	case p.closed:
		c.cut()
		p.places--
	default:
		c.idle(idle)
		p.idle = append(p.idle, c)
		p.watchers.Go(func() { p.watch(c) })
	}
}

// watch owns an idle connection until somebody takes it, its time is over, or the server ends it.
func (p *pool) watch(c *conn) {
	_, err := c.r.Peek(1)
	p.mu.Lock()
	i := slices.Index(p.idle, c)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	alive := isTimeout(err) // nothing has come; anything else is the server's good-bye
	if i < 0 {
		c.woken <- alive // taken
		return
	}
	if alive {
		c.quit()
	}
	c.cut()
	p.give(nil, 0)
}

// resize changes how many connections there may be. Idle ones beyond it are ended at once, since the provider counts
// them; busy ones when they are given back. Places that become free are handed to who waits.
func (p *pool) resize(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	for _, c := range p.idle[:max(min(len(p.idle), p.places-limit), 0)] {
		c.unhook() // its watcher says QUIT
		c.disturb()
	}
	for len(p.waiting) > 0 && p.places < p.limit {
		p.places++
		p.waiting[0] <- nil
		p.waiting = p.waiting[1:]
	}
}

// close ends what waits, idle connections politely.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.unhook() // its watcher says QUIT, within quitPatience
		c.disturb()
	}
}
