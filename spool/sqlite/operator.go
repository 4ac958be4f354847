package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// What an operator did, in a message's trace.
const (
	eventReleased = "released"
	eventRetried  = "retried"
	byAnOperator  = "by an operator"
)

// verb is something an operator does to a message.
type verb struct {
	word  string
	allow func(*row) error // says no before anything is written
	do    func(t *tx, r *row, now time.Time) error
	sends bool // it makes the message due, so there must be something to send
}

// Hold implements spool.Spool.
func (s *Spool) Hold(ctx context.Context, id mail.ID) error {
	return s.operate(ctx, id, verb{word: "hold", allow: allowHold, do: (*tx).hold})
}

// Release implements spool.Spool. The time for which it was held does not count towards max_age, because Release
// starts its age anew: an operator who sets mail aside for a week does not want it given up at the first 4xx.
func (s *Spool) Release(ctx context.Context, id mail.ID) error {
	return s.operate(ctx, id, verb{word: "release", sends: true, allow: allowRelease, do: func(t *tx, r *row, now time.Time) error {
		return t.requeue(r, now, eventReleased)
	}})
}

// Retry implements spool.Spool.
func (s *Spool) Retry(ctx context.Context, id mail.ID) error {
	return s.operate(ctx, id, verb{word: "retry", sends: true, allow: allowRetry, do: func(t *tx, r *row, now time.Time) error {
		return t.requeue(r, now, eventRetried)
	}})
}

// Drop implements spool.Spool.
func (s *Spool) Drop(ctx context.Context, id mail.ID) error {
	err := s.operate(ctx, id, verb{word: "drop", allow: func(*row) error { return nil }, do: func(t *tx, r *row, _ time.Time) error {
		return t.remove(r.id, r.kept())
	}})
	if err == nil {
		_ = os.Remove(bodyPath(s.opt.Dir, id)) // a short text has none; one that stays is removed at a later start
	}
	return err
}

// operate does a verb. A claim stands for an attempt that may be under way only while its owner lives: after a crash,
// and before the next start, the lock is free, and whoever holds it may do away with what was claimed.
func (s *Spool) operate(ctx context.Context, id mail.ID, v verb) error {
	err := s.operateOn(ctx, id, v, false)
	if errors.Is(err, spool.ErrBusy) && !s.opt.Owner {
		if lock, locked := takeLock(ctx, s.opt.Dir, 1); locked == nil {
			err = s.operateOn(ctx, id, v, true)
			_ = lock.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", v.word, id, err)
	}
	return nil
}

func (s *Spool) operateOn(ctx context.Context, id mail.ID, v verb, ownerless bool) error {
	return s.write(ctx, rowOctets, func(t *tx) error {
		now := s.opt.Clock()
		r, err := t.get(id)
		if err != nil {
			return err
		}
		lapsed, err := r.idle(now, ownerless)
		if err == nil {
			err = v.allow(r)
		}
		if err == nil && v.sends {
			err = s.sendable(t, r)
		}
		if err != nil {
			return refusal{err}
		}
		if lapsed {
			err = t.addEvent(id, mail.Event{Time: now, Event: eventInterrupted, Attempt: r.attempts, Detail: neverEnded})
		}
		if err == nil {
			err = v.do(t, r, now)
		}
		t.after(func() { s.watch.end(id); s.signal() })
		return err
	})
}

// sendable refuses to pretend that a message will be sent which cannot be.
func (s *Spool) sendable(t *tx, r *row) error {
	_, why, err := s.unsendable(t, r)
	if err == nil && why != nil {
		err = fmt.Errorf("%w. %s", why, s.mend(mail.ID(r.id), why))
	}
	return err
}

// idle says whether nothing is being done with a message, and makes a claim that has lapsed into a wait.
func (r *row) idle(now time.Time, ownerless bool) (lapsed bool, err error) {
	switch {
	case r.state == stateClaimed && (ownerless || r.lease <= millis(now)):
		r.state = stateWaiting
		return true, nil
	case r.state == stateClaimed:
		return false, spool.ErrBusy
	case r.state == stateFailed && r.watched && !ownerless:
		return false, fmt.Errorf("%w: its client is being told that it was refused", spool.ErrBusy)
	}
	return false, nil
}

// kept is what a message takes of max_size.
func (r *row) kept() int64 {
	if r.state == stateDelivered {
		return 0
	}
	return r.size
}

func allowHold(r *row) error {
	switch r.state {
	case stateFailed:
		return errors.New("it has failed, and will not be sent unless it is retried")
	case stateDelivered:
		return errors.New("it was delivered already")
	}
	return nil
}

func (t *tx) hold(r *row, now time.Time) error {
	if r.state == stateHeld {
		return nil
	}
	if _, err := t.exec(sqlHold, r.id); err != nil {
		return err
	}
	return t.addEvent(mail.ID(r.id), mail.Event{Time: now, Event: mail.EventHeld, Detail: byAnOperator})
}

func allowRelease(r *row) error {
	if r.state != stateHeld {
		return errors.New("it is not held")
	}
	return nil
}

func allowRetry(r *row) error {
	switch r.state {
	case stateHeld:
		return errors.New("it is held; release it")
	case stateDelivered:
		return errors.New("it was delivered already")
	}
	return nil
}

// requeue makes a message due at once and its failed recipients pending again. Due is when it was received, as after
// Put, so that mail that waited long goes first.
func (t *tx) requeue(r *row, now time.Time, event string) error {
	list, err := decodeRecipients(r.recipients)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].State == mail.Failed && event == eventRetried {
			list[i].State, list[i].Told = mail.Pending, false
		}
	}
	recipients, err := encode(list)
	if err != nil {
		return err
	}
	due := min(r.received, millis(now))
	if _, err := t.exec(sqlRequeue, r.id, due, millis(now), r.toTell(list), recipients); err != nil {
		return err
	}
	return t.addEvent(mail.ID(r.id), mail.Event{Time: now, Event: event, Detail: byAnOperator})
}

// ours says whether we wrote the message ourselves, so that nothing is ever reported about it. Its mark was set from the
// beginning, and nobody else's is before the message is over: so the record is asked, which may be damaged, only then.
func (r *row) ours() bool {
	if !r.over() {
		return r.report == reportDone
	}
	env, err := decodeEnvelope(r)
	return err == nil && env.Kind != ""
}

// remove takes a message out of the database; its file is removed after the commit.
func (t *tx) remove(id, kept int64) error {
	for _, query := range []string{sqlDropBody, sqlDropTrace, sqlDropMessage} {
		if _, err := t.exec(query, id); err != nil {
			return err
		}
	}
	t.used -= kept
	return nil
}
