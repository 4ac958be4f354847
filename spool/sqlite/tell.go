package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// toTell says what is still to be told about a message whose recipients stand like this: nothing, ever, of what we wrote
// ourselves.
func (r *row) toTell(list []mail.Recipient) int {
	told, open := false, false
	for _, x := range list {
		told, open = told || x.Told, open || !x.State.Settled()
	}
	switch {
	case r.ours():
		return reportDone
	case slices.ContainsFunc(list, mail.Recipient.Untold):
		return reportDue
	case told && !open:
		return reportDone
	}
	return reportNone
}

// marksOf are the marks that a new message has from the beginning.
func marksOf(env *mail.Envelope) (report, warned int) {
	if env.Kind != "" {
		return reportDone, 1
	}
	return reportNone, 0
}

// markAbout marks the message that a report is about, or refuses the report.
func (t *tx) markAbout(env *mail.Envelope) (err error) {
	if env.About == 0 {
		return nil
	}
	switch env.Kind {
	case mail.KindFailure:
		err = t.toldAnew(env, mail.Failed)
	case mail.KindSuccess:
		err = t.toldAnew(env, mail.Delivered)
	case mail.KindDelay:
		err = t.warned(env.About, warnable)
	}
	var no refusal
	if errors.As(err, &no) {
		return refusal{fmt.Errorf("a report about %s: %w", env.About, no.error)}
	}
	return err
}

// toldAnew notes whom a report tells of: recipients that all met one fate, and none of which was told of before.
func (t *tx) toldAnew(report *mail.Envelope, fate mail.RecipientState) error {
	r, err := t.get(report.About)
	switch {
	case err != nil:
		return err
	case r.report == reportDone:
		return refusal{spool.ErrAlreadyReported}
	case len(report.Tells) == 0:
		return refuse("%w: it tells of nobody", spool.ErrNotDue)
	}
	return t.told(r, report.Tells, func(x mail.Recipient) error {
		switch {
		case x.State != fate:
			return fmt.Errorf("%w: %s is %s", spool.ErrNotDue, x.Address, x.State)
		case x.Told:
			return spool.ErrAlreadyReported
		}
		return nil
	})
}

// told notes that the fate of some recipients has been told; may refuses that for one of them. In a list that cannot be
// read there is nobody to name.
func (t *tx) told(r *row, recipients []int, may func(mail.Recipient) error) error {
	list, err := decodeRecipients(r.recipients)
	if err != nil {
		_, err = t.exec(sqlSetTold, r.id, reportDone, r.recipients)
		return err
	}
	for _, i := range recipients {
		if i < 0 || i >= len(list) {
			return refuse("%w: there is no recipient %d", spool.ErrNotDue, i)
		}
		if err := may(list[i]); err != nil {
			return refusal{err}
		}
		list[i].Told = true
	}
	text, err := encode(list)
	if err == nil {
		_, err = t.exec(sqlSetTold, r.id, r.toTell(list), text)
	}
	return err
}

// warned notes that a message's delay has been told; may refuses that.
func (t *tx) warned(id mail.ID, may func(*row) error) error {
	r, err := t.get(id)
	if err != nil {
		return err
	}
	if no := may(r); no != nil {
		return refusal{no}
	}
	_, err = t.exec(sqlSetWarned, r.id)
	return err
}

func (r *row) over() bool { return r.state == stateFailed || r.state == stateDelivered }

func warnable(r *row) error {
	switch {
	case r.warned:
		return spool.ErrAlreadyReported
	case r.over():
		return fmt.Errorf("%w: it waits no longer", spool.ErrNotDue)
	}
	return nil
}

// Told implements spool.Spool.
func (s *Spool) Told(ctx context.Context, id mail.ID, recipients ...int) error {
	return s.setMark(ctx, id, func(t *tx) error {
		r, err := t.get(id)
		if err != nil {
			return err
		}
		return t.told(r, recipients, func(x mail.Recipient) error {
			if !x.State.Settled() {
				return fmt.Errorf("%w: %s is %s", spool.ErrNotDue, x.Address, x.State)
			}
			return nil
		})
	})
}

// Warned implements spool.Spool.
func (s *Spool) Warned(ctx context.Context, id mail.ID) error {
	return s.setMark(ctx, id, func(t *tx) error { return t.warned(id, func(*row) error { return nil }) })
}

func (s *Spool) setMark(ctx context.Context, id mail.ID, set func(*tx) error) error {
	if err := s.write(ctx, rowOctets, set); err != nil {
		return fmt.Errorf("mark %s as told: %w", id, err)
	}
	return nil
}

// Untold implements spool.Spool.
func (s *Spool) Untold(ctx context.Context, limit int) ([]spool.Message, error) {
	return s.messages(ctx, limit, sqlUntold, limit)
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
