package sqlite

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/mailbearer/mailbearer/mail"
)

// watches are the clients that wait, by message. A waiter enters when its message is durable and leaves when its
// Wait returns; what is settled or ended is told by closing done.
type watches struct {
	mu      sync.Mutex
	waiting map[mail.ID]*waiter
}

type waiter struct {
	account string
	done    chan struct{}
	ended   bool // done is closed
	settled bool // outcome is known
	outcome mail.Outcome
}

func (w *watches) add(id mail.ID, account string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[id] = &waiter{account: account, done: make(chan struct{})}
}

func (w *watches) get(id mail.ID) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[id]
}

func (w *watches) has(id mail.ID) bool { return w.get(id) != nil }

func (w *watches) drop(id mail.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, id)
}

// settle gives a waiter its outcome. Only the first counts.
func (w *watches) settle(id mail.ID, o mail.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.waiting[id]; x != nil && !x.settled {
		x.settled, x.outcome = true, o
		x.end()
	}
}

func (w *watches) end(ids ...mail.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if x := w.waiting[id]; x != nil {
			x.end()
		}
	}
}

func (w *watches) endAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.waiting {
		x.end()
	}
}

// end wakes the waiter; the caller holds mu.
func (x *waiter) end() {
	if !x.ended {
		x.ended = true
		close(x.done)
	}
}

func (w *watches) outcome(x *waiter) (mail.Outcome, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return x.outcome, x.settled
}

// Wait implements spool.Spool. When the wait ends early the mark is taken off in the writer, so that a settlement is
// either before that, and its outcome is returned, or after it, and finds no mark. ctx does not apply there: it may
// be what ended.
func (s *Spool) Wait(ctx context.Context, id mail.ID) (mail.Outcome, bool) {
	x := s.watch.get(id)
	if x == nil {
		return mail.Outcome{}, false
	}
	select {
	case <-x.done:
	case <-ctx.Done():
	}
	if _, ok := s.watch.outcome(x); !ok {
		// If this fails the row keeps its mark, but Settle heeds no mark without a waiter.
		_ = s.write(context.WithoutCancel(ctx), rowOctets, func(t *tx) error {
			_, err := t.exec(sqlEndWait, int64(id))
			return err
		})
	}
	s.watch.drop(id)
	return s.watch.outcome(x)
}

// Watched implements spool.Spool.
func (s *Spool) Watched(account string) []mail.ID {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	var ids []mail.ID
	for id, x := range s.watch.waiting {
		if x.account == account && !x.ended {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Dismiss implements spool.Spool.
func (s *Spool) Dismiss(ids ...mail.ID) { s.watch.end(ids...) }

// Unwatch implements spool.Spool.
func (s *Spool) Unwatch(ctx context.Context, id mail.ID) error {
	err := s.write(ctx, rowOctets, func(t *tx) error {
		if _, err := t.get(id); err != nil {
			return err
		}
		_, err := t.exec(sqlUnwatch, int64(id))
		t.after(func() { s.watch.end(id); s.signal() })
		return err
	})
	if err != nil {
		return fmt.Errorf("unwatch %s: %w", id, err)
	}
	return nil
}

// Forget implements spool.Spool. It refuses any message but one that was wholly refused and is still watched: no
// other may leave without a trace.
func (s *Spool) Forget(ctx context.Context, id mail.ID) error {
	err := s.write(ctx, rowOctets, func(t *tx) error {
		r, err := t.get(id)
		if err != nil {
			return err
		}
		if r.state != stateFailed || !r.watched {
			return refuse("the message is not one that was wholly refused while its client waited")
		}
		return t.remove(r.id, r.size)
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", id, err)
	}
	_ = os.Remove(bodyPath(s.opt.Dir, id)) // a short text has none; one that stays is removed at the next start
	return nil
}
