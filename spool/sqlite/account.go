package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// SetAccount implements spool.Spool. The record is JSON, so that a field added to mail.Account needs no migration;
// the state stands beside it for whoever looks with sqlite3.
func (s *Spool) SetAccount(ctx context.Context, a mail.Account) error {
	record, err := encode(a)
	if err == nil {
		err = s.write(ctx, rowOctets, func(t *tx) error {
			if _, err := t.exec(sqlSetAccount, a.Name, string(a.State), record); err != nil {
				return err
			}
			return t.keepHold(a, s.opt.Clock())
		})
	}
	if err != nil {
		return fmt.Errorf("write the state of account %s: %w", a.Name, err)
	}
	return nil
}

// keepHold begins or ends the time in which an account is held. An account that refreshes its token is neither held
// nor ready yet, so nothing changes.
func (t *tx) keepHold(a mail.Account, now time.Time) error {
	switch a.State {
	case mail.AccountHeld:
		var held int
		if err := t.queryRow([]any{&held}, sqlIsHeld, a.Name); err != nil || held > 0 {
			return err
		}
		since := a.Since
		if since.IsZero() || since.After(now) {
			since = now
		}
		_, err := t.exec(sqlBeginHold, a.Name, millis(since))
		return err
	case mail.AccountReady:
		_, err := t.exec(sqlEndHold, a.Name, millis(now))
		return err
	}
	return nil
}

// HeldSince implements spool.Spool. It is asked in the writer's turn, whose transactions first notice that the clock was
// set: a message must not be given up in the moment before.
func (s *Spool) HeldSince(ctx context.Context, account string, since time.Time) (held time.Duration, err error) {
	err = s.write(ctx, 0, func(t *tx) error {
		held, err = t.heldSince(account, millis(since), millis(s.opt.Clock()))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read for how long account %s was held: %w", account, err)
	}
	return held, nil
}

// heldSince joins the times and does not add them up: they overlap if the clock was set back.
func (t *tx) heldSince(account string, seen, now int64) (held time.Duration, err error) {
	rows, err := t.query(sqlHolds, account, seen)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var from, until int64
		if err := rows.Scan(&from, &until); err != nil {
			return 0, err
		}
		if until == 0 {
			until = now
		}
		if from = max(from, seen); min(until, now) > from {
			held += time.Duration(min(until, now)-from) * time.Millisecond
			seen = min(until, now)
		}
	}
	return held, rows.Err()
}

// Accounts implements spool.Spool.
func (s *Spool) Accounts(ctx context.Context) (map[string]mail.Account, error) {
	accounts := map[string]mail.Account{}
	err := s.each(ctx, sqlAccounts, nil, func(rows *sql.Rows) error {
		var name, record string
		if err := rows.Scan(&name, &record); err != nil {
			return err
		}
		accounts[name] = decodeAccount(name, record)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	return accounts, nil
}

// decodeAccount reads an account's record; one that cannot be read says so.
func decodeAccount(name, record string) mail.Account {
	var a mail.Account
	if err := json.Unmarshal([]byte(record), &a); err != nil {
		return mail.Account{Name: name, LastError: "the account's record cannot be read: " + err.Error()}
	}
	return a
}
