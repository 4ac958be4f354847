package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// toTell says what is to be told about a message that a settlement leaves like this. What we wrote ourselves is
// marked as told from the beginning, and stays so.
func toTell(r *row, v verdict) int {
	switch {
	case r.report == reportDone:
		return reportDone
	case v.state == stateFailed, v.state == stateDelivered && v.confirm:
		return reportDue
	}
	return reportNone
}

// wantsWord says whether a recipient was delivered whose sender asked to be told so (RFC 3461 §4.1).
func wantsWord(r mail.Recipient) bool {
	return r.State == mail.Delivered &&
		slices.ContainsFunc(r.Notify, func(n string) bool { return strings.EqualFold(n, "SUCCESS") })
}

// marksOf are the marks that a new message has from the beginning.
func marksOf(env *mail.Envelope) (report, warned int) {
	if env.Kind != "" {
		return reportDone, 1
	}
	return reportNone, 0
}

// markAbout marks the message that a report is about, or refuses the report.
func (t *tx) markAbout(env *mail.Envelope) error {
	if env.About == 0 {
		return nil
	}
	switch env.Kind {
	case mail.KindFailure, mail.KindSuccess:
		return t.mark(env.About, sqlSetReported, reportable)
	case mail.KindDelay:
		return t.mark(env.About, sqlSetWarned, warnable)
	}
	return nil
}

// mark sets a mark if it may be set; no is a refusal.
func (t *tx) mark(id mail.ID, query string, may func(*row) error) error {
	r, err := t.get(id)
	if err == nil {
		if no := may(r); no != nil {
			err = refusal{fmt.Errorf("a report about %s: %w", id, no)}
		}
	}
	if err == nil {
		_, err = t.exec(query, r.id)
	}
	return err
}

func (r *row) over() bool { return r.state == stateFailed || r.state == stateDelivered }

func reportable(r *row) error {
	switch {
	case r.report == reportDone:
		return spool.ErrAlreadyReported
	case !r.over():
		return fmt.Errorf("%w: it is not settled", spool.ErrNotDue)
	}
	return nil
}

func warnable(r *row) error {
	switch {
	case r.warned:
		return spool.ErrAlreadyReported
	case r.over():
		return fmt.Errorf("%w: it waits no longer", spool.ErrNotDue)
	}
	return nil
}

// Reported implements spool.Spool.
func (s *Spool) Reported(ctx context.Context, id mail.ID) error {
	return s.setMark(ctx, id, sqlSetReported, func(r *row) error {
		if r.report != reportDone && !r.over() {
			return fmt.Errorf("%w: it is not settled", spool.ErrNotDue)
		}
		return nil
	})
}

// Warned implements spool.Spool.
func (s *Spool) Warned(ctx context.Context, id mail.ID) error {
	return s.setMark(ctx, id, sqlSetWarned, func(*row) error { return nil })
}

func (s *Spool) setMark(ctx context.Context, id mail.ID, query string, may func(*row) error) error {
	err := s.write(ctx, rowOctets, func(t *tx) error { return t.mark(id, query, may) })
	if err != nil {
		return fmt.Errorf("mark %s as told: %w", id, err)
	}
	return nil
}

// Unreported implements spool.Spool.
func (s *Spool) Unreported(ctx context.Context, limit int) ([]spool.Message, error) {
	return s.messages(ctx, limit, sqlUntold, stateFailed, limit)
}

// Unconfirmed implements spool.Spool.
func (s *Spool) Unconfirmed(ctx context.Context, limit int) ([]spool.Message, error) {
	return s.messages(ctx, limit, sqlUntold, stateDelivered, limit)
}

// Late implements spool.Spool.
func (s *Spool) Late(ctx context.Context, before time.Time, limit int) ([]spool.Message, error) {
	return s.messages(ctx, limit, sqlLate, millis(before), limit)
}

// messages reads whole rows.
func (s *Spool) messages(ctx context.Context, limit int, query string, args ...any) ([]spool.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	now, list := s.opt.Clock(), []spool.Message{}
	err := s.each(ctx, query, args, func(rows *sql.Rows) error {
		var r row
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		list = append(list, r.message(now))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is to be told: %w", err)
	}
	return list, nil
}
