package courier

import (
	"fmt"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// settlement turns what an attempt came to into what is written down:
//
//	judged, delivered       delivered
//	judged, refused         failed
//	judged, temporary       deferred to the time that Claim wrote; failed once older than max_age
//	no answer after the end deferred the same way, marked "in doubt"
//
// age is the message's, without the time in which its account was held.
func settlement(m spool.Claimed, r mail.Result, started, now time.Time, age, maxAge time.Duration) spool.Settlement {
	s := spool.Settlement{ID: m.Envelope.ID, Now: now, Outcomes: make(map[int]mail.Outcome)}
	for i, index := range m.Envelope.Unsettled() {
		o := r.Outcomes[i]
		if o.State == mail.Deferred && age > maxAge {
			o = expired(o, maxAge)
		}
		s.Outcomes[index] = o
	}
	s.Events = events(m, r, s.Outcomes, started, now)
	for i := range s.Events {
		s.Events[i].Expired = s.Events[i].Event == mail.EventFailed && age > maxAge && !mail.ParseReply(s.Events[i].Reply).Permanent()
	}
	return s
}

// expired gives a recipient up whose message has been tried long enough.
func expired(o mail.Outcome, maxAge time.Duration) mail.Outcome {
	o.State = mail.Failed
	o.Class = mail.ClassPermanent
	o.Cause = fmt.Sprintf("given up after %s of trying; the last trouble was: %s", maxAge, o.Cause)
	return o
}

// judged makes trouble that is a message's own into its outcome: other messages pass, so the account is well.
// Without a permanent reply it stays temporary.
func judged(t *mail.Trouble, recipients int) mail.Result {
	o := mail.Outcome{State: mail.Deferred, Reply: t.Reply, Class: t.Class, Cause: t.Cause, Fix: t.Fix}
	if t.Reply.Permanent() {
		o.State = mail.Failed
	}
	r := mail.Result{Outcomes: make([]mail.Outcome, recipients)}
	for i := range r.Outcomes {
		r.Outcomes[i] = o
	}
	return r
}

// events writes the trace of an attempt: one row for each different outcome, with the recipients that share it.
func events(m spool.Claimed, r mail.Result, outcomes map[int]mail.Outcome, started, now time.Time) []mail.Event {
	var list []mail.Event
	row := make(map[mail.Outcome]int)
	for _, index := range m.Envelope.Unsettled() {
		o := outcomes[index]
		address := m.Envelope.Recipients[index].Address
		if i, ok := row[o]; ok {
			list[i].Recipient += ", " + address
			continue
		}
		row[o] = len(list)
		list = append(list, event(m, r, o, address, started, now))
	}
	return list
}

func event(m spool.Claimed, r mail.Result, o mail.Outcome, address string, started, now time.Time) mail.Event {
	e := mail.Event{
		Time: now, Event: string(o.State), Attempt: m.Attempt, Recipient: address, Connection: r.Connection,
		Reply: o.Reply.String(), Class: o.Class, Cause: o.Cause, Fix: o.Fix,
		DurationMS: now.Sub(started).Milliseconds(), Reports: r.Reports,
	}
	if r.InDoubt {
		e.Detail = "in doubt: the end of data was sent and no clear answer came, so this message may arrive twice"
	}
	return e
}
