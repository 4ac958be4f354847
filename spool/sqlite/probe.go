package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// AskProbe implements spool.Spool. Requests are counted and not timed: clocks of processes may differ, numbers only grow.
func (s *Spool) AskProbe(ctx context.Context, account string) error {
	err := s.write(ctx, rowOctets, func(t *tx) error {
		_, err := t.exec(sqlAskProbe, account)
		t.after(s.signal)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for a probe of account %s: %w", account, err)
	}
	return nil
}

// ProbesAsked implements spool.Spool.
func (s *Spool) ProbesAsked(ctx context.Context) (map[string]int64, error) {
	asked := map[string]int64{}
	err := s.each(ctx, sqlProbes, nil, func(rows *sql.Rows) error {
		var account string
		var n int64
		if err := rows.Scan(&account, &n); err != nil {
			return err
		}
		asked[account] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read which accounts are to be probed: %w", err)
	}
	return asked, nil
}
