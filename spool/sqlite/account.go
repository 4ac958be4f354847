package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mailbearer/mailbearer/mail"
)

// SetAccount implements spool.Spool. The record is JSON, so that a field added to mail.Account needs no migration;
// the state stands beside it for whoever looks with sqlite3.
func (s *Spool) SetAccount(ctx context.Context, a mail.Account) error {
	record, err := encode(a)
	if err == nil {
		err = s.write(ctx, rowOctets, func(t *tx) error {
			_, err := t.exec(sqlSetAccount, a.Name, string(a.State), record)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("write the state of account %s: %w", a.Name, err)
	}
	return nil
}

// Accounts implements spool.Spool.
func (s *Spool) Accounts(ctx context.Context) (map[string]mail.Account, error) {
	rows, err := s.reading.QueryContext(ctx, sqlAccounts)
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	defer rows.Close()
	accounts := map[string]mail.Account{}
	for rows.Next() {
		var name, record string
		if err := rows.Scan(&name, &record); err != nil {
			return nil, fmt.Errorf("read the accounts: %w", err)
		}
		accounts[name] = decodeAccount(name, record)
	}
	return accounts, rows.Err()
}

// decodeAccount reads an account's record; one that cannot be read says so.
func decodeAccount(name, record string) mail.Account {
	var a mail.Account
	if err := json.Unmarshal([]byte(record), &a); err != nil {
		return mail.Account{Name: name, LastError: "the account's record cannot be read: " + err.Error()}
	}
	return a
}
