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
	"math"
	"os"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// Open implements spool.Spool.
func (s *Spool) Open(ctx context.Context, id mail.ID) (io.ReadCloser, error) {
	var text []byte
	err := s.reading.QueryRowContext(ctx, sqlBody, int64(id)).Scan(&text)
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
		err = errors.New("its text is missing from the data directory")
	}
	if err == nil {
		err = spool.ErrNotFound
	}
	return err
}

// NextDue implements spool.Spool.
func (s *Spool) NextDue(ctx context.Context, account string) (time.Time, bool, error) {
	var at sql.NullInt64
	if err := s.reading.QueryRowContext(ctx, sqlNextDue, account).Scan(&at); err != nil {
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
	err := s.reading.QueryRowContext(ctx, sqlGet, int64(id)).Scan(r.fields()...)
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
	rows, err := s.reading.QueryContext(ctx, sqlTrace, int64(id))
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("trace %s: %w", id, err)
		}
		events = append(events, decodeEvent(text))
	}
	return events, rows.Err()
}

// decodeEvent reads one row of a trace; what cannot be read is shown as it stands.
func decodeEvent(text string) mail.Event {
	var e mail.Event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return mail.Event{Event: "unreadable", Detail: text}
	}
	return e
}

// List implements spool.Spool. Senders are matched here and not in SQL: the engines' LIKEs differ in what they take
// for the same letter.
func (s *Spool) List(ctx context.Context, f spool.Filter) ([]spool.Message, error) {
	branches, ok := listStates[f.State]
	if !ok {
		return nil, fmt.Errorf("list: %q is not a state", f.State)
	}
	if f.Now.IsZero() {
		f.Now = s.opt.Clock()
	}
	query, args := listQuery(branches, f)
	rows, err := s.reading.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	defer rows.Close()
	list := []spool.Message{}
	for rows.Next() && (f.Limit <= 0 || len(list) < f.Limit) {
		var r row
		if err := rows.Scan(r.fields()...); err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		if f.Sender == "" || matches(f.Sender, r.sender) {
			list = append(list, r.message(f.Now))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return list, nil
}

func listQuery(branches []string, f spool.Filter) (query string, args []any) {
	before := int64(math.MaxInt64)
	if f.OlderThan > 0 {
		before = millis(f.Now.Add(-f.OlderThan))
	}
	args = []any{f.Account, before}
	parts := make([]string, len(branches))
	for i, state := range branches {
		parts[i] = sqlListBranch + state
	}
	query = sqlListHead + strings.Join(parts, " UNION ALL ") + sqlListTail
	if strings.Contains(query, "$3") {
		args = append(args, millis(f.Now))
	}
	return query, args
}

// matches compares a whole text with a pattern in which `*` is any run of characters, ignoring case.
func matches(pattern, text string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	text = strings.ToLower(text)
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == first
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// Counts implements spool.Spool. The history is not counted and not read.
func (s *Spool) Counts(ctx context.Context) (map[string]spool.Counts, error) {
	rows, err := s.reading.QueryContext(ctx, sqlCounts, millis(s.opt.Clock()))
	if err != nil {
		return nil, fmt.Errorf("counts: %w", err)
	}
	defer rows.Close()
	counts := map[string]spool.Counts{}
	for rows.Next() {
		var account string
		var state, ready, all int
		if err := rows.Scan(&account, &state, &ready, &all); err != nil {
			return nil, fmt.Errorf("counts: %w", err)
		}
		counts[account] = addCount(counts[account], state, ready, all)
	}
	return counts, rows.Err()
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
