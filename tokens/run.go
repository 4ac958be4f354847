package tokens

import (
	"context"
	"time"
)

// glance is the longest Run sleeps. A timer does not see that the machine was suspended or its clock set; looking
// at the plan twice a minute costs nothing and finds out before a message does.
const glance = 30 * time.Second

// Run keeps the token fresh until ctx ends: it fetches one at once, renews it ahead of time, and tries again with
// back-off while that fails. It does not close the manager.
func (m *Manager) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-m.wake:
		}
		m.mu.Lock()
		wait := m.nextFetch()
		if wait <= 0 && m.flight == nil && m.ctx.Err() == nil {
			m.start().awaited = false
		}
		m.mu.Unlock()
		m.tell() // a token may have expired since
		if wait <= 0 {
			wait = glance // the fetch wakes us when it lands
		}
		timer.Reset(min(wait, glance))
	}
}

// nextFetch is how long from now the next fetch is due, at most 0 if it is. The caller holds m.mu.
func (m *Manager) nextFetch() time.Duration {
	due := time.Duration(0)
	if m.left() > 0 {
		due = m.cur.renew - m.used()
	}
	return max(due, time.Until(m.notBefore))
}

// Kick ends the waiting and fetches at once: something may have changed (a secret, a permission, a person's
// patience). It does not wait for the result; Token does. If the fetch fails, the waiting goes on where it was, so
// that probes of a long outage add one fetch each and no more. A Retry-After of the provider is still honoured:
// nothing happens before it has passed, and then Run fetches.
func (m *Manager) Kick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renewals = 0
	if m.ctx.Err() != nil || m.asked && time.Now().Before(m.notBefore) {
		return
	}
	m.notBefore = time.Time{}
	if m.flight != nil {
		m.flight.awaited, m.flight.again = true, true
		return
	}
	m.start()
}

// nudge lets Run look at its plan again.
func (m *Manager) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
