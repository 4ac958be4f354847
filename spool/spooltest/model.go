package spooltest

import (
	"fmt"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// model is a spool as simple as it can be: a map, and the rules of the interface.
type model struct {
	account  string
	messages map[mail.ID]*modelMessage
}

type modelMessage struct {
	id         mail.ID
	recipients []mail.RecipientState
	received   time.Time
	about      mail.ID // it is a report about this message
	claimed    bool
	held       bool
	lost       bool   // its text is gone
	claims     int    // in all, returned ones too
	told       []bool // of each recipient
	asked      []bool // its sender wants to hear of a delivery
	warned     bool
	attempts   int
	due        time.Time
	dueBefore  time.Time
	leaseUntil time.Time
	watched    bool
	waiter     *modelWaiter
	events     []string
}

type modelWaiter struct {
	ended, settled bool
	state          mail.RecipientState
}

func (m *modelMessage) count(s mail.RecipientState) (n int) {
	for _, r := range m.recipients {
		if r == s {
			n++
		}
	}
	return n
}

func (m *modelMessage) open() bool {
	return m.count(mail.Delivered)+m.count(mail.Failed) < len(m.recipients)
}

func (m *modelMessage) refused() bool { return m.count(mail.Failed) == len(m.recipients) }

func (m *modelMessage) state(now time.Time) mail.State {
	switch {
	case m.count(mail.Delivered) == len(m.recipients):
		return mail.StateDelivered
	case !m.open():
		return mail.StateFailed
	case m.held:
		return mail.StateHeld
	case !m.claimed && m.attempts > 0 && m.due.After(now):
		return mail.StateDeferred
	}
	return mail.StateReady
}

// since is when a message may be claimed, if it may.
func (m *modelMessage) since(now time.Time, dueOrNot bool) (time.Time, bool) {
	switch {
	case !m.open() || m.held:
		return time.Time{}, false
	case m.claimed:
		return m.leaseUntil, !m.leaseUntil.After(now)
	}
	return m.due, dueOrNot || !m.due.After(now)
}

func (m *model) claim(req spool.ClaimRequest) (claimed, spoilt []mail.ID) {
	type candidate struct {
		*modelMessage
		since time.Time
	}
	var found []candidate
	for _, x := range m.messages {
		if since, may := x.since(req.Now, req.DueOrNot); may {
			found = append(found, candidate{x, since})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return int(a.id - b.id)
	})
	for _, x := range found {
		if len(claimed)+len(spoilt) == req.Limit || x.id == req.Except && len(found) > 1 {
			continue
		}
		if x.claimed {
			x.events = append(x.events, "interrupted")
		}
		if x.lost {
			x.spoil()
			spoilt = append(spoilt, x.id)
			continue
		}
		x.claims++
		x.claimed, x.attempts = true, x.attempts+1
		x.dueBefore, x.due, x.leaseUntil = x.since, req.Next(x.attempts), req.Now.Add(req.Lease)
		claimed = append(claimed, x.id)
	}
	return claimed, spoilt
}

// spoil makes a message failed that cannot be sent.
func (m *modelMessage) spoil() {
	for i, s := range m.recipients {
		if !s.Settled() {
			m.recipients[i] = mail.Failed
		}
	}
	m.claimed, m.watched = false, false
	if m.waiter != nil {
		m.waiter.ended = true
	}
	m.events = append(m.events, mail.EventFailed)
}

// settle says whether the settlement is allowed, and does it.
func (m *model) settle(st spool.Settlement) bool {
	x := m.messages[st.ID]
	if x == nil || !x.claimed {
		return false
	}
	for i, o := range st.Outcomes {
		if i >= len(x.recipients) || x.recipients[i].Settled() || o.State == mail.Pending {
			return false
		}
	}
	for i, o := range st.Outcomes {
		x.recipients[i] = o.State
	}
	x.claimed = false
	switch {
	case x.open() && x.lost:
		x.due = st.Now
	case x.open() && !st.Due.IsZero():
		x.due = st.Due
	}
	for _, e := range st.Events {
		x.events = append(x.events, e.Event)
	}
	if x.watched && x.waiter != nil {
		x.tell()
	}
	x.watched = x.watched && x.waiter != nil && x.refused()
	return true
}

func (m *modelMessage) tell() {
	m.waiter.settled, m.waiter.ended = true, true
	switch {
	case m.refused():
		m.waiter.state = mail.Failed
	case m.count(mail.Delivered) == len(m.recipients):
		m.waiter.state = mail.Delivered
	default:
		m.waiter.state = mail.Deferred
	}
}

func (m *model) giveBack(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.claimed {
		return false
	}
	x.claimed, x.attempts, x.due = false, x.attempts-1, x.dueBefore
	return true
}

// wait is Wait with a context that has ended.
func (m *model) wait(id mail.ID) (mail.RecipientState, bool) {
	x := m.messages[id]
	if x == nil || x.waiter == nil {
		return "", false
	}
	w := x.waiter
	x.waiter = nil
	if !w.settled {
		x.watched = false
		return "", false
	}
	return w.state, true
}

func (m *model) forget(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.watched || x.open() || x.claimed {
		return false
	}
	delete(m.messages, id)
	return true
}

func (m *model) unwatch(id mail.ID) bool {
	x := m.messages[id]
	if x == nil {
		return false
	}
	x.watched = false
	if x.waiter != nil {
		x.waiter.ended = true
	}
	return true
}

func (m *model) watchedIDs() (list []mail.ID) {
	for id, x := range m.messages {
		if x.waiter != nil && !x.waiter.ended {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

func (m *model) nextDue() (at time.Time, waits bool) {
	for _, x := range m.messages {
		due := x.due
		if x.claimed {
			due = x.leaseUntil
		}
		if x.open() && !x.held && (!waits || due.Before(at)) {
			at, waits = due, true
		}
	}
	return at, waits
}

// describe is all there is to see of the model at a time, in lines.
func (m *model) describe(now time.Time, traces bool) (lines []string) {
	for _, x := range m.messages {
		next := x.due
		if !x.open() || x.held {
			next = time.Time{}
		}
		lines = append(lines, describe(x.id, x.state(now), x.attempts, next, x.marks(), x.recipients))
		if traces {
			lines = append(lines, describeTrace(x.id, x.events))
		}
	}
	slices.Sort(lines)
	return lines
}

// marked are the marks of a message.
type marked struct{ Watched, Reported, Warned bool }

func (m *modelMessage) marks() marked { return marked{m.watched, m.reported(), m.warned} }

// untold says whether somebody has to be told something.
func (m *modelMessage) untold() bool {
	for i, s := range m.recipients {
		if m.about == 0 && !m.told[i] && (s == mail.Failed || s == mail.Delivered && m.asked[i]) {
			return true
		}
	}
	return false
}

// reported says whether all has been told, of what we wrote ourselves from the beginning.
func (m *modelMessage) reported() bool {
	return m.about != 0 || !m.open() && slices.Contains(m.told, true) && !m.untold()
}

func describe(id mail.ID, s mail.State, attempts int, next time.Time, marks marked, recipients []mail.RecipientState) string {
	due := int64(0)
	if !next.IsZero() {
		due = next.UnixMilli()
	}
	return fmt.Sprintf("%s %s attempts=%d next=%d %+v %v", id, s, attempts, due, marks, recipients)
}

func describeTrace(id mail.ID, events []string) string { return fmt.Sprintf("%s trace %q", id, events) }
