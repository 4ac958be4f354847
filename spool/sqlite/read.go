package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// each runs a query and hands its rows to do.
func (s *Spool) each(ctx context.Context, query string, args []any, do func(*sql.Rows) error) error {
	st, err := s.statement(ctx, query)
	if err != nil {
		return s.plain(err)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return s.plain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return s.plain(err)
		}
	}
	return s.plain(rows.Err())
}

// one reads the only row of a query; sql.ErrNoRows if there is none.
func (s *Spool) one(ctx context.Context, dest []any, query string, args ...any) error {
	st, err := s.statement(ctx, query)
	if err == nil {
		err = st.QueryRowContext(ctx, args...).Scan(dest...)
	}
	return s.plain(err)
}

// statement compiles a reader's query on its first use, which takes longer than most queries do. There are some
// thirty; they end with the connections.
func (s *Spool) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.compiled.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.reading.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, raced := s.compiled.LoadOrStore(query, st); raced {
		_ = st.Close()
		return first.(*sql.Stmt), nil
	}
	return st, nil
}

// Open implements spool.Spool.
func (s *Spool) Open(ctx context.Context, id mail.ID) (io.ReadCloser, error) {
	var text []byte
	err := s.one(ctx, []any{&text}, sqlBody, int64(id))
	if err == nil {
		return io.NopCloser(bytes.NewReader(text)), nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	f, err := os.Open(bodyPath(s.opt.Dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		err = s.whyNoText(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	return f, nil
}

// whyNoText tells a message that is gone or delivered, which has no text, from one whose text is missing.
func (s *Spool) whyNoText(ctx context.Context, id mail.ID) error {
	needed, err := s.needsText(ctx, id)
	if err == nil && needed {
		err = spool.ErrTextMissing
	}
	if err == nil {
		err = spool.ErrNotFound
	}
	return err
}

// NextDue implements spool.Spool.
func (s *Spool) NextDue(ctx context.Context, account string) (time.Time, bool, error) {
	var at sql.NullInt64
	if err := s.one(ctx, []any{&at}, sqlNextDue, account); err != nil {
		return time.Time{}, false, fmt.Errorf("next due of %s: %w", account, err)
	}
	return moment(at.Int64), at.Valid, nil
}

// Get implements spool.Spool.
func (s *Spool) Get(ctx context.Context, id mail.ID) (spool.Message, error) {
	r, err := s.getRow(ctx, id)
	if err != nil {
		return spool.Message{}, fmt.Errorf("get %s: %w", id, err)
	}
	return r.message(s.opt.Clock()), nil
}

func (s *Spool) getRow(ctx context.Context, id mail.ID) (*row, error) {
	r := new(row)
	err := s.one(ctx, r.fields(), sqlGet, int64(id))
	if errors.Is(err, sql.ErrNoRows) {
		err = spool.ErrNotFound
	}
	return r, err
}

// Trace implements spool.Spool. The first event is made from the message itself, so that Put need not write it.
func (s *Spool) Trace(ctx context.Context, id mail.ID) ([]mail.Event, error) {
	r, err := s.getRow(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", id, err)
	}
	env, _ := decodeEnvelope(r)
	events := []mail.Event{{Time: env.Received, Event: mail.EventAccepted, Client: &env.Client}}
	err = s.each(ctx, sqlTrace, []any{int64(id)}, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		events = append(events, decodeEvent(text))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", id, err)
	}
	return events, nil
}

// decodeEvent reads one row of a trace; what cannot be read is shown as it stands.
func decodeEvent(text string) mail.Event {
	var e mail.Event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return mail.Event{Event: "unreadable", Detail: text}
	}
	return e
}

// Counts implements spool.Spool. The history is not counted and not read.
func (s *Spool) Counts(ctx context.Context) (map[string]spool.Counts, error) {
	counts := map[string]spool.Counts{}
	err := s.each(ctx, sqlCounts, []any{millis(s.opt.Clock())}, func(rows *sql.Rows) error {
		var account string
		var state, ready, all int
		err := rows.Scan(&account, &state, &ready, &all)
		counts[account] = addCount(counts[account], state, ready, all)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("counts: %w", err)
	}
	return counts, nil
}

func addCount(c spool.Counts, state, ready, all int) spool.Counts {
	switch state {
	case stateHeld:
		c.Held += all
	case stateFailed:
		c.Failed += all
	default:
		c.Ready += ready
		c.Deferred += all - ready
	}
	return c
}

// Room says how many octets the texts take of max_size, and why a message would be refused at this moment: nil when a
// short one would not be.
func (s *Spool) Room(ctx context.Context) (used int64, full, err error) {
	var clock int64
	if err = s.one(ctx, []any{&used, &clock}, sqlLedger); err != nil {
		return 0, nil, fmt.Errorf("read how full the spool is: %w", err)
	}
	if s.opt.MaxSize > 0 && used+shortText > s.opt.MaxSize {
		return used, spool.ErrFull, nil
	}
	return used, s.room(shortText), nil
}

// shortText is more than a short message has.
const shortText = 16 << 10
