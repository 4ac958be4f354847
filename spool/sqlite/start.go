package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// eventInterrupted is in the trace of a message whose attempt nobody ended: the relay died, or the claim lapsed. If
// the end of data had been sent, the message may arrive twice.
const eventInterrupted = "interrupted"

// Interrupted is an attempt that was under way when the owner before us died.
type Interrupted struct {
	ID      mail.ID
	Account string
	Attempt int
}

// Interrupted returns the attempts that Open found unfinished, no more than there were under way: whoever runs the relay
// is told of them, since these messages may arrive twice.
func (s *Spool) Interrupted() []Interrupted { return s.interrupted }

// A command may hold the lock for a moment while it makes the spool, so the owner tries for a little while.
const (
	lockTries = 10
	lockPause = 50 * time.Millisecond
)

// takeLock opens and locks the lock file, making directory and file if need be.
func takeLock(ctx context.Context, dir string, tries int) (*os.File, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		err = lockFile(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, spool.ErrLocked) || try == tries {
			break
		}
		if err = pause(ctx, lockPause); err != nil {
			break
		}
	}
	_ = f.Close()
	return nil, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// schema is the version of the database's schema; 0 before the first migration.
func (w *writer) schema() (version int, err error) {
	err = w.queryRow([]any{&version}, sqlUserVersion)
	return version, err
}

func tooNew(version int) error {
	if version > len(migrations) {
		return fmt.Errorf("the database has schema %d, and this mailbearer knows schemas up to %d: it was written by a newer version; use that one (nothing was changed)", version, len(migrations))
	}
	return nil
}

// migrate brings the schema up to date, one transaction for each step.
func (w *writer) migrate() error {
	version, err := w.schema()
	if err != nil {
		return err
	}
	if err := tooNew(version); err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if err := w.step(version); err != nil {
			return fmt.Errorf("migrate from schema %d: %w", version, err)
		}
	}
	return nil
}

func (w *writer) step(from int) error {
	ctx := context.Background()
	for _, query := range []string{sqlBegin, migrations[from], fmt.Sprintf("%s = %d", sqlUserVersion, from+1), sqlCommit} {
		if _, err := w.conn.ExecContext(ctx, query); err != nil {
			w.rollback()
			return err
		}
	}
	return nil
}

// reset makes the queue as if the owner before us had stopped in good order: claims are given back, with the attempt
// counted and noted, and marks for clients that are gone are taken off. If the clock was set back while nothing ran,
// due times follow it. The octets in use are counted anew, once.
func (s *Spool) reset() error {
	now := s.opt.Clock()
	o := &op{done: make(chan error, 1), do: func(t *tx) error {
		var err error
		if s.interrupted, err = t.noteInterrupted(now); err != nil {
			return err
		}
		if by := moment(s.w.noted).Sub(now); s.w.noted > 0 && by >= jumpFrom {
			if err := t.clockBack(now, by); err != nil {
				return err
			}
		}
		for _, query := range []string{sqlRelease, sqlClampDue} {
			if _, err := t.exec(query, millis(now)); err != nil {
				return err
			}
		}
		for _, query := range []string{sqlUnwatchWaiting, sqlUnwatchHeld, sqlUnwatchFailed} {
			if _, err := t.exec(query); err != nil {
				return err
			}
		}
		return t.queryRow([]any{&t.used}, sqlUsed)
	}}
	s.w.run([]*op{o})
	if err := <-o.done; err != nil {
		return err
	}
	s.w.time = keepTime(s.opt.Clock())
	return nil
}

// noteInterrupted writes into their traces which attempts the owner before us did not end.
func (t *tx) noteInterrupted(now time.Time) ([]Interrupted, error) {
	found, err := t.claimedAttempts()
	if err != nil {
		return nil, err
	}
	for _, x := range found {
		err := t.addEvent(x.ID, mail.Event{Time: now, Event: eventInterrupted, Attempt: x.Attempt,
			Detail: "in doubt: the relay stopped during this attempt; if the provider had the whole message, it arrives twice"})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (t *tx) claimedAttempts() (found []Interrupted, err error) {
	rows, err := t.query(sqlInterrupted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x Interrupted
		if err := rows.Scan(&x.ID, &x.Account, &x.Attempt); err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	return found, rows.Err()
}

// needsText says whether the text of a message must be kept.
func (s *Spool) needsText(ctx context.Context, id mail.ID) (bool, error) {
	var state int
	err := s.one(ctx, []any{&state}, sqlState, int64(id))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return state != stateDelivered, err
}

func (w *writer) close() error {
	var errs []error
	for _, st := range w.stmts {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}
