package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// verdict is what a settlement makes of a message.
type verdict struct {
	state   int
	list    []mail.Recipient
	reply   string // what List shows as the last reply
	refused bool   // every recipient was refused for good
	outcome mail.Outcome
}

// judge merges the outcomes of an attempt into a message's recipients. It is the one place that decides what a
// message's state is, and what a client that waits is told.
func judge(list []mail.Recipient, outcomes map[int]mail.Outcome) (verdict, error) {
	v := verdict{list: list}
	order := slices.Sorted(maps.Keys(outcomes))
	for _, i := range order {
		if err := settleOne(list, i, outcomes[i]); err != nil {
			return v, err
		}
	}
	count := map[mail.RecipientState]int{}
	for _, r := range list {
		count[r.State]++
	}
	v.outcome = worstOf(outcomes, order)
	switch len(list) {
	case count[mail.Delivered]:
		v.state = stateDelivered
	case count[mail.Failed]:
		v.state, v.refused = stateFailed, true
	case count[mail.Delivered] + count[mail.Failed]:
		v.state, v.outcome.State = stateFailed, mail.Deferred // some arrived, so the client may not send again
	default:
		v.state, v.outcome.State = stateWaiting, mail.Deferred
	}
	v.reply = lastReply(v, list)
	return v, nil
}

// lastReply is what an operator sees first: why a message failed, if it did, else what was said last. When no server
// said anything, our own words are better than none.
func lastReply(v verdict, list []mail.Recipient) string {
	if v.state == stateFailed {
		for _, r := range list {
			if r.State == mail.Failed && r.Reply != "" {
				return r.Reply
			}
		}
	}
	if said := v.outcome.Reply.String(); said != "" {
		return said
	}
	return v.outcome.Cause
}

func settleOne(list []mail.Recipient, i int, o mail.Outcome) error {
	if i < 0 || i >= len(list) {
		return fmt.Errorf("there is no recipient %d", i)
	}
	if list[i].State.Settled() {
		return fmt.Errorf("the recipient %s is %s already", list[i].Address, list[i].State)
	}
	if !o.State.Settled() && o.State != mail.Deferred {
		return fmt.Errorf("%q is not an outcome", o.State)
	}
	list[i].State = o.State
	if said := words(o.Reply.String()); said != "" {
		list[i].Reply = said
	}
	return nil
}

// worstOf picks the outcome that says most: the first failure, else the first deferral, else the first delivery.
func worstOf(outcomes map[int]mail.Outcome, order []int) mail.Outcome {
	for _, state := range []mail.RecipientState{mail.Failed, mail.Deferred, mail.Delivered} {
		for _, i := range order {
			if outcomes[i].State == state {
				return outcomes[i]
			}
		}
	}
	return mail.Outcome{}
}

// Settle implements spool.Spool. A file is unlinked after the commit; if we die between the two, the next start
// removes it, because its row says delivered.
func (s *Spool) Settle(ctx context.Context, st spool.Settlement) error {
	if st.Now.IsZero() {
		st.Now = s.opt.Clock()
	}
	var unlink bool
	err := s.write(ctx, rowOctets, func(t *tx) error {
		unlink = false
		r, v, err := t.judgeRow(st)
		if err != nil {
			return err
		}
		st := st
		if v.state == stateWaiting {
			missing, err := s.textMissing(t, r)
			if err != nil {
				return err
			}
			if missing {
				st.Due = st.Now // the next claim finds out and says so
			}
		}
		watched := r.watched && v.refused && s.watch.has(st.ID)
		if err := t.settle(r, v, st, watched); err != nil {
			return err
		}
		if v.state == stateDelivered {
			t.used -= r.size
			inline, err := t.exec(sqlDropBody, r.id)
			if err != nil {
				return err
			}
			unlink = inline == 0
		}
		t.after(func() { s.settled(r, v, st) })
		return nil
	})
	if err != nil {
		return fmt.Errorf("settle %s: %w", st.ID, err)
	}
	if unlink {
		_ = os.Remove(bodyPath(s.opt.Dir, st.ID))
	}
	return nil
}

// judgeRow reads the claimed row and judges it. Its errors are refusals: nothing has been written.
func (t *tx) judgeRow(st spool.Settlement) (*row, verdict, error) {
	r, err := t.get(st.ID)
	if err != nil {
		return nil, verdict{}, err
	}
	if r.state != stateClaimed {
		return nil, verdict{}, refuse("%w: it is not claimed", spool.ErrUnfit)
	}
	var v verdict
	list, err := decodeRecipients(r.recipients)
	if err == nil {
		v, err = judge(list, st.Outcomes)
	}
	if err != nil {
		return nil, v, refuse("%w: %w", spool.ErrUnfit, err)
	}
	return r, v, nil
}

func (t *tx) get(id mail.ID) (*row, error) {
	r := new(row)
	err := t.queryRow(r.fields(), sqlGet, int64(id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, refusal{spool.ErrNotFound}
	}
	return r, err
}

func (t *tx) settle(r *row, v verdict, st spool.Settlement, watched bool) error {
	due, settled, reply := r.due, int64(0), r.last
	if v.state != stateWaiting {
		settled = millis(st.Now)
	} else if !st.Due.IsZero() {
		due = millis(st.Due)
	}
	if v.reply != "" {
		reply = words(v.reply)
	}
	recipients, err := encode(v.list)
	if err != nil {
		return err
	}
	if _, err := t.exec(sqlSettle, r.id, v.state, due, settled, watched, recipients, reply, r.toTell(v.list)); err != nil {
		return err
	}
	for _, e := range st.Events {
		if e.Time.IsZero() {
			e.Time = st.Now
		}
		if err := t.addEvent(st.ID, e); err != nil {
			return err
		}
	}
	return nil
}

// settled tells whoever waits, once it is durable.
func (s *Spool) settled(r *row, v verdict, st spool.Settlement) {
	if r.watched {
		s.watch.settle(st.ID, v.outcome)
	}
	if v.state == stateWaiting {
		s.signal() // it may be due sooner than anyone expects
	}
}
