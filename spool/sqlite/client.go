package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mailbearer/mailbearer/mail"
)

// clientsKept bounds the inventory: a port scanner with a new HELO each time must not fill the disk. What never got
// anything done is forgotten first, so that it cannot push the others out either.
const clientsKept = 10_000

// Saw implements spool.Spool.
func (s *Spool) Saw(ctx context.Context, visits []mail.Visit) error {
	err := s.write(ctx, rowOctets*len(visits), func(t *tx) error {
		for _, v := range visits {
			if err := t.saw(v); err != nil {
				return err
			}
		}
		_, err := t.exec(sqlForgetOld, clientsKept)
		return err
	})
	if err != nil {
		return fmt.Errorf("write down who was here: %w", err)
	}
	return nil
}

// saw merges one visit into what is known of its like.
func (t *tx) saw(v mail.Visit) error {
	var known mail.Visit
	var record string
	switch err := t.queryRow([]any{&record}, sqlClient, v.Key()); {
	case err == nil:
		_ = json.Unmarshal([]byte(record), &known) // one that cannot be read begins anew
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	known.Add(v)
	record, err := encode(known)
	if err != nil {
		return err
	}
	_, err = t.exec(sqlSaw, v.Key(), millis(known.Last), record, known.Served())
	return err
}

// Clients implements spool.Spool.
func (s *Spool) Clients(ctx context.Context) ([]mail.Visit, error) {
	var list []mail.Visit
	err := s.each(ctx, sqlClients, nil, func(rows *sql.Rows) error {
		var record string
		if err := rows.Scan(&record); err != nil {
			return err
		}
		var v mail.Visit
		if json.Unmarshal([]byte(record), &v) == nil {
			list = append(list, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read who was here: %w", err)
	}
	return list, nil
}
