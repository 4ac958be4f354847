package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// row is a row of the table message as it is read.
type row struct {
	id                                 int64
	account                            string
	state, report, attempts            int
	due, lease, size                   int64
	received, settled, since           int64
	watched, warned                    bool
	sender, recipients, envelope, last string
}

// fields are the places for messageColumns, in their order.
func (r *row) fields() []any {
	return []any{&r.id, &r.account, &r.state, &r.due, &r.lease, &r.attempts, &r.size, &r.received, &r.settled, &r.watched,
		&r.since, &r.report, &r.warned, &r.sender, &r.recipients, &r.envelope, &r.last}
}

// millis is how a time is kept: milliseconds since 1970, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment reads what millis wrote.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// encode writes v as JSON on one line, "<" and ">" as themselves: an administrator reads these with sqlite3.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// encodeEnvelope gives the two JSON columns of a message. The envelope column holds the whole struct but what has
// a column of its own, so that a field added to mail.Envelope is kept without a change here.
func encodeEnvelope(env *mail.Envelope) (recipients, rest string, err error) {
	if err := checkEnvelope(env); err != nil {
		return "", "", err
	}
	list := append([]mail.Recipient(nil), env.Recipients...)
	for i := range list {
		if list[i].State == "" {
			list[i].State = mail.Pending
		}
	}
	if recipients, err = encode(list); err != nil {
		return "", "", err
	}
	without := *env
	without.Sender, without.Recipients = "", nil
	rest, err = encode(without)
	return recipients, rest, err
}

// checkEnvelope refuses what could not be read back as it was: JSON would put U+FFFD for octets that are not
// UTF-8, and mail would go to another address than the client named. PostgreSQL takes no NUL.
func checkEnvelope(env *mail.Envelope) error {
	if env.ID <= 0 {
		return fmt.Errorf("message id %d is not a positive number", env.ID)
	}
	if len(env.Recipients) == 0 {
		return fmt.Errorf("message %s has no recipient", env.ID)
	}
	if !storable(env.Sender) || !storable(env.Account) {
		return fmt.Errorf("message %s: the sender %q or the account %q is not UTF-8 text", env.ID, env.Sender, env.Account)
	}
	for _, r := range env.Recipients {
		if !storable(r.Address) || !storable(r.Original) {
			return fmt.Errorf("message %s: the recipient %q is not UTF-8 text", env.ID, r.Address)
		}
	}
	return nil
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// words makes a server's reply storable.
func words(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// decodeRecipients reads the recipients column.
func decodeRecipients(text string) ([]mail.Recipient, error) {
	var list []mail.Recipient
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("the list of recipients cannot be read: %w", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the list of recipients is empty")
	}
	return list, nil
}

// decodeEnvelope fills an envelope from a row. On error it is as full as it can be.
func decodeEnvelope(r *row) (mail.Envelope, error) {
	var env mail.Envelope
	err := json.Unmarshal([]byte(r.envelope), &env)
	if err != nil {
		err = fmt.Errorf("the envelope cannot be read: %w", err)
	}
	list, bad := decodeRecipients(r.recipients)
	if bad != nil {
		err = bad
	}
	env.ID, env.Account, env.Sender, env.Recipients = mail.ID(r.id), r.account, r.sender, list
	env.Size, env.Received = r.size, moment(r.received)
	return env, err
}

// message is a row as an operator sees it. A record that cannot be read is shown, not hidden: its last reply says so.
func (r *row) message(now time.Time) spool.Message {
	env, err := decodeEnvelope(r)
	m := spool.Message{Envelope: env, State: r.shown(now), Attempts: r.attempts, LastReply: r.last,
		Settled: moment(r.settled), Watched: r.watched, Since: r.ageFrom(), Reported: r.report == reportDone, Warned: r.warned}
	if r.state == stateWaiting || r.state == stateClaimed {
		m.NextAttempt = moment(r.due)
	}
	if err != nil {
		m.LastReply = err.Error()
	}
	return m
}

// ageFrom is what max_age counts from. Rows of schema 1 say nothing, which means their receipt.
func (r *row) ageFrom() time.Time {
	if r.since == 0 {
		return moment(r.received)
	}
	return moment(r.since)
}

// shown is the word for a row's state. A claimed message is having its turn, so it is ready.
func (r *row) shown(now time.Time) mail.State {
	switch r.state {
	case stateHeld:
		return mail.StateHeld
	case stateFailed:
		return mail.StateFailed
	case stateDelivered:
		return mail.StateDelivered
	}
	if r.state == stateWaiting && r.attempts > 0 && r.due > now.UnixMilli() {
		return mail.StateDeferred
	}
	return mail.StateReady
}
