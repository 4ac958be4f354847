package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// neverEnded goes with eventInterrupted, when the relay itself went on.
const neverEnded = "in doubt: this attempt was never ended; if the provider had the whole message, it arrives twice"

// candidate is a message that may be claimed, and since when it was due.
type candidate struct {
	row
	ripe int64
}

// Claim implements spool.Spool. A claim whose lease has run out is due again from then on; its attempt counts.
func (s *Spool) Claim(ctx context.Context, req spool.ClaimRequest) ([]spool.Claimed, []spool.Spoilt, error) {
	if req.Limit <= 0 {
		return nil, nil, nil
	}
	if req.Next == nil {
		return nil, nil, errors.New("claim: the request has no retry schedule")
	}
	var found taken
	err := s.write(ctx, req.Limit*rowOctets, func(t *tx) (err error) {
		found, err = s.claim(t, req)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("claim for %s: %w", req.Account, err)
	}
	return found.claimed, found.spoilt, nil
}

// taken is what a claim came to.
type taken struct {
	claimed []spool.Claimed
	spoilt  []spool.Spoilt
}

func (s *Spool) claim(t *tx, req spool.ClaimRequest) (all taken, err error) {
	found, err := t.candidates(req)
	for i := range found {
		if err == nil {
			err = s.claimOne(t, &found[i], req, &all)
		}
	}
	return all, err
}

// candidates reads what may be claimed, one more than asked for if one is to be passed over.
func (t *tx) candidates(req spool.ClaimRequest) ([]candidate, error) {
	latest, limit := millis(req.Now), req.Limit
	if req.DueOrNot {
		latest = math.MaxInt64
	}
	if req.Except != 0 {
		limit++
	}
	rows, err := t.query(sqlDue, req.Account, latest, millis(req.Now), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []candidate
	for rows.Next() {
		var c candidate
		if err := rows.Scan(append(c.fields(), &c.ripe)...); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return passOver(found, req), rows.Err()
}

// passOver leaves the exception out if there is another, and cuts to the limit.
func passOver(found []candidate, req spool.ClaimRequest) []candidate {
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(c candidate) bool { return mail.ID(c.id) == req.Except })
	}
	return found[:min(len(found), req.Limit)]
}

// claimOne writes attempt and next due time. A message that cannot be sent is set aside as failed, where an operator
// sees it; it must not stand in the way of the mail behind it.
func (s *Spool) claimOne(t *tx, c *candidate, req spool.ClaimRequest, all *taken) error {
	env, why, err := s.unsendable(t, &c.row)
	if err == nil && c.state == stateClaimed {
		err = t.addEvent(env.ID, mail.Event{Time: req.Now, Event: eventInterrupted, Attempt: c.attempts, Detail: neverEnded})
	}
	if err != nil {
		return err
	}
	if why != nil {
		x := spool.Spoilt{Envelope: &env, Attempts: c.attempts, Cause: why, Fix: s.mend(env.ID, why)}
		all.spoilt = append(all.spoilt, x)
		return s.setAside(t, &c.row, req.Now, x)
	}
	attempt := c.attempts + 1
	next := req.Next(attempt)
	all.claimed = append(all.claimed, spool.Claimed{
		Envelope: &env, Attempt: attempt, Next: moment(millis(next)), Since: c.ageFrom(), First: attempt == 1 && c.lease == 0,
	})
	_, err = t.exec(sqlClaim, c.id, millis(next), c.ripe, millis(req.Now.Add(req.Lease)))
	return err
}

// addEvent appends to a message's trace.
func (t *tx) addEvent(id mail.ID, e mail.Event) error {
	text, err := encode(e)
	if err != nil {
		return err
	}
	_, err = t.exec(sqlAddEvent, int64(id), millis(e.Time), text)
	return err
}

// Return implements spool.Spool. Ids that are not claimed are named in the error; the others are returned all the
// same.
func (s *Spool) Return(ctx context.Context, ids ...mail.ID) error {
	if len(ids) == 0 {
		return nil
	}
	var not []string
	err := s.write(ctx, len(ids)*rowOctets, func(t *tx) error {
		not = not[:0]
		for _, id := range ids {
			changed, err := t.exec(sqlReturn, int64(id))
			if err != nil {
				return err
			}
			if changed == 0 {
				not = append(not, id.String())
			}
		}
		t.after(s.signal)
		return nil
	})
	if err == nil && len(not) > 0 {
		err = fmt.Errorf("not claimed: %s", strings.Join(not, ", "))
	}
	if err != nil {
		return fmt.Errorf("return: %w", err)
	}
	return nil
}
