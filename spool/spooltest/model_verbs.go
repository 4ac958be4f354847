package spooltest

import (
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// The engine's own clock is years ahead of the play, so to an operator every claim of the play has lapsed.

// idle ends a lapsed claim, unless the client of a refused message is being told.
func (m *modelMessage) idle() bool { return m.open() || !m.watched }

// touch is what every verb but Drop does to a message on which it has an effect.
func (m *modelMessage) touch() {
	if m.claimed {
		m.claimed = false
		m.events = append(m.events, "interrupted")
	}
	if m.waiter != nil {
		m.waiter.ended = true
	}
}

func (m *model) hold(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.idle() || !x.open() {
		return false
	}
	x.touch()
	if !x.held {
		x.held, x.watched = true, false
		x.events = append(x.events, "held")
	}
	return true
}

func (m *model) release(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.held || x.lost {
		return false
	}
	x.touch()
	x.held, x.due = false, x.received
	x.events = append(x.events, "released")
	return true
}

func (m *model) retry(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.idle() || x.held || x.lost || x.count(mail.Delivered) == len(x.recipients) {
		return false
	}
	x.touch()
	for i, s := range x.recipients {
		if s == mail.Failed {
			x.recipients[i], x.told[i] = mail.Pending, false
		}
	}
	x.due = x.received
	x.events = append(x.events, "retried")
	return true
}

func (m *model) drop(id mail.ID) bool {
	x := m.messages[id]
	if x == nil || !x.idle() {
		return false
	}
	x.touch()
	delete(m.messages, id)
	return true
}

// setTold and setWarned mark a message; again says whether it may be marked already, fate what its recipients must have
// met, if that matters.
func (m *model) setTold(id mail.ID, recipients []int, fate mail.RecipientState, again bool) bool {
	x := m.messages[id]
	if x == nil || !again && (x.reported() || len(recipients) == 0) {
		return false
	}
	for _, i := range recipients {
		if i >= len(x.recipients) || !x.recipients[i].Settled() || fate != "" && x.recipients[i] != fate || !again && x.told[i] {
			return false
		}
	}
	for _, i := range recipients {
		x.told[i] = true
	}
	return true
}

func (m *model) setWarned(id mail.ID, again bool) bool {
	x := m.messages[id]
	if x == nil || !again && (x.warned || !x.open()) {
		return false
	}
	x.warned = true
	return true
}

// purge removes what was settled, whenever that was.
func (m *model) purge() (n int) {
	for id, x := range m.messages {
		failed := x.count(mail.Failed) > 0
		if x.open() || failed && (x.watched || !x.reported()) {
			continue
		}
		delete(m.messages, id)
		n++
	}
	return n
}

func (m *model) untold() []mail.ID {
	return m.choose(func(x *modelMessage) bool { return x.untold() && !x.watched })
}

func (m *model) late(before time.Time) []mail.ID {
	return m.choose(func(x *modelMessage) bool {
		return x.open() && !x.held && !x.claimed && !x.warned && x.received.Before(before)
	})
}

// choose lists messages in the order of their receipt, which in the play is that of their ids.
func (m *model) choose(fits func(*modelMessage) bool) (list []mail.ID) {
	for id, x := range m.messages {
		if fits(x) {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}
