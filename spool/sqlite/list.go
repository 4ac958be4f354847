package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/mailbearer/mailbearer/spool"
)

// longQueue is from how many messages in one state a listing walks the table instead of gathering ids: a page of a
// short queue must not read a long history, and a page of a long queue must not gather a million ids.
const longQueue = 20_000

// errEnough ends a listing that is full.
var errEnough = errors.New("enough")

// List implements spool.Spool. Senders are matched here and not in SQL: the engines' LIKEs differ in what they take
// for the same letter.
func (s *Spool) List(ctx context.Context, f spool.Filter) ([]spool.Message, error) {
	states, ok := listStates[f.State]
	if !ok {
		return nil, fmt.Errorf("list: %q is not a state", f.State)
	}
	if f.Now.IsZero() {
		f.Now = s.opt.Clock()
	}
	walk, err := s.isLong(ctx, states)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	list := []spool.Message{}
	query, args := listQuery(states, f, walk)
	err = s.each(ctx, query, args, func(rows *sql.Rows) error {
		var r row
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		if f.Sender == "" || matches(f.Sender, r.sender) {
			list = append(list, r.message(f.Now))
		}
		if f.Limit > 0 && len(list) == f.Limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("list: %w", err)
	}
	return list, nil
}

// isLong says whether the table is to be walked: for the history, which has no other order, and for a long queue.
func (s *Spool) isLong(ctx context.Context, states []string) (bool, error) {
	counts := make([]string, len(states))
	for i, condition := range states {
		if condition == listDelivered {
			return true, nil
		}
		state, _, _ := strings.Cut(condition, " AND ")
		counts[i] = sqlCountHead + state + sqlCountTail
	}
	var n int
	err := s.one(ctx, []any{&n}, "SELECT "+strings.Join(counts, " + "), longQueue)
	return n >= longQueue, err
}

func listQuery(states []string, f spool.Filter, walk bool) (query string, args []any) {
	before := int64(math.MaxInt64)
	if f.OlderThan > 0 {
		before = millis(f.Now.Add(-f.OlderThan))
	}
	args = []any{f.Account, before, int64(f.After)}
	if walk {
		query = sqlListHead + "(" + strings.Join(states, " OR ") + ")" + sqlListTail
	} else {
		query = sqlListHead + "id IN (" + sqlListBranch + strings.Join(states, " UNION ALL "+sqlListBranch) + ")" + sqlListTail
	}
	if strings.Contains(query, "$4") {
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
