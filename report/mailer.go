package report

import (
	"context"
	"fmt"
	"time"
)

// mailer puts alerts into e-mails: at most so many in any hour, and what is beyond that into one digest. Run alone
// touches it.
type mailer struct {
	opts    AlertOptions
	sent    []time.Time // within the last hour, oldest first
	waiting []telling   // for the digest
	dropped int         // that the digest has no room for
	failed  int         // times in a row that the spool refused
	retry   time.Time   // when it is tried again
}

// digestLimit is how many alerts a digest lists; the rest is counted.
const digestLimit = 200

// putFor is how long the spool may take for one e-mail, so that a stuck disk does not stop webhooks.
const putFor = 10 * time.Second

func newMailer(o AlertOptions) *mailer {
	if o.MailsPerHour <= 0 {
		o.MailsPerHour = DefaultMailsPerHour
	}
	return &mailer{opts: o}
}

// tell sends one e-mail, or keeps it for the digest when the hour is used up, others wait already, or the spool
// refuses.
func (m *mailer) tell(ctx context.Context, t telling, now time.Time) {
	switch {
	case len(m.waiting) >= digestLimit:
		m.dropped++
	case len(m.waiting) > 0 || !m.room(now):
		m.waiting = append(m.waiting, t)
	default:
		if !m.put(ctx, []telling{t}, now) {
			m.waiting = append(m.waiting, t)
		}
	}
}

// room says whether another e-mail may go in this hour.
func (m *mailer) room(now time.Time) bool {
	for len(m.sent) > 0 && now.Sub(m.sent[0]) >= time.Hour {
		m.sent = m.sent[1:]
	}
	return len(m.sent) < m.opts.MailsPerHour
}

// next says when the digest is due: when the hour has room again and the spool may be tried. Zero when there is none.
func (m *mailer) next() time.Time {
	if len(m.waiting) == 0 {
		return time.Time{}
	}
	due := m.retry
	if len(m.sent) >= m.opts.MailsPerHour && m.sent[0].Add(time.Hour).After(due) {
		due = m.sent[0].Add(time.Hour)
	}
	return due
}

// flush sends the digest when it is due.
func (m *mailer) flush(ctx context.Context, now time.Time) {
	if len(m.waiting) > 0 && !m.next().After(now) && m.room(now) {
		m.last(ctx, now)
	}
}

// last sends what waits, due or not.
func (m *mailer) last(ctx context.Context, now time.Time) {
	if len(m.waiting) > 0 && m.put(ctx, m.waiting, now) {
		m.waiting, m.dropped = nil, 0
	}
}

// put puts one e-mail about these alerts into the spool. While that fails it is tried again ever less often: the
// alert may be about the spool itself.
func (m *mailer) put(ctx context.Context, list []telling, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, putFor)
	defer cancel()
	subject, body := alertText(m.opts.Hostname, list, m.dropped)
	err := m.opts.Put(ctx, m.opts.Email, subject, []byte(body), list[len(list)-1].Alert)
	if err != nil {
		m.failed++
		m.retry = now.Add(min(time.Minute<<min(m.failed-1, 6), time.Hour))
		m.opts.Log(fmt.Sprintf("cannot put an alert into the spool, trying again at %s: %s", m.retry.Format(time.TimeOnly), line(subject)), err)
		return false
	}
	m.failed = 0
	m.sent = append(m.sent, now)
	return true
}
