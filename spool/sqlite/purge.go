package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// old is a message to be purged, and what it takes of max_size.
type old struct{ id, kept int64 }

// Purge implements spool.Spool. Files go after the commit; what a crash leaves is removed at a later start. When no
// message is left to purge, the times in which accounts were held are looked at.
func (s *Spool) Purge(ctx context.Context, delivered, failed time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	leapt, err := s.leapt(ctx)
	if err != nil {
		return 0, fmt.Errorf("purge: %w", err)
	}
	oldest := delivered
	if !failed.IsZero() && (oldest.IsZero() || failed.Before(oldest)) {
		oldest = failed
	}
	delivered, failed = before(delivered, leapt), before(failed, leapt)
	var gone []old
	err = s.write(ctx, limit*rowOctets, func(t *tx) (err error) {
		gone, err = t.purge(delivered, failed, limit)
		return err
	})
	for _, o := range gone {
		if err == nil && o.kept > 0 {
			_ = os.Remove(bodyPath(s.opt.Dir, mail.ID(o.id)))
		}
	}
	if err == nil && len(gone) == 0 {
		err = s.purgeHolds(ctx, oldest)
	}
	if err != nil {
		return 0, fmt.Errorf("purge: %w", err)
	}
	return len(gone), nil
}

// leapt is the time by which the clock was set forward, as far back as anything is kept because of it. It is asked for in
// the writer's turn, as HeldSince is.
func (s *Spool) leapt(ctx context.Context) (by time.Duration, err error) {
	err = s.write(ctx, 0, func(t *tx) error {
		var ms int64
		err := t.queryRow([]any{&ms}, sqlAllLeapt)
		by = time.Duration(ms) * time.Millisecond
		return err
	})
	return by, err
}

// before moves a time back; the zero time stays what it is.
func before(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-by)
}

func (t *tx) purge(delivered, failed time.Time, limit int) ([]old, error) {
	gone, err := t.old(nil, sqlOldDelivered, delivered, limit)
	if err == nil && len(gone) < limit {
		gone, err = t.old(gone, sqlOldFailed, failed, limit-len(gone))
	}
	for _, o := range gone {
		if err == nil {
			err = t.remove(o.id, o.kept)
		}
	}
	return gone, err
}

func (t *tx) old(list []old, query string, before time.Time, limit int) ([]old, error) {
	if before.IsZero() {
		return list, nil
	}
	rows, err := t.query(query, millis(before), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o old
		if err := rows.Scan(&o.id, &o.kept); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// purgeHolds removes the times that no waiting message's age can touch any more. The oldest of those is looked for
// by a reader, because that may take a second with a million waiting, and only if there is something to remove.
func (s *Spool) purgeHolds(ctx context.Context, before time.Time) error {
	var candidates int
	err := s.one(ctx, []any{&candidates}, sqlOldHolds, millis(before))
	if err != nil || candidates == 0 {
		return err
	}
	var oldest sql.NullInt64
	if err := s.one(ctx, []any{&oldest}, sqlOldestSince); err != nil {
		return err
	}
	limit := millis(before)
	if oldest.Valid {
		limit = min(limit, oldest.Int64)
	}
	return s.write(ctx, rowOctets, func(t *tx) error {
		_, err := t.exec(sqlDropHolds, limit)
		return err
	})
}
