package upstream

import (
	"context"
	"fmt"

	"github.com/mailbearer/mailbearer/mail"
)

// conclude turns what was said into a result. Trouble of the account comes first, unless somebody has the message, or
// may have it.
func (t *dialogue) conclude(ctx context.Context) mail.Result {
	if !t.taken() {
		if trouble := t.trouble(ctx); trouble != nil {
			return mail.Result{Trouble: trouble}
		}
	}
	r := mail.Result{InDoubt: t.doubtful()}
	for i := range t.rcpts {
		r.Outcomes = append(r.Outcomes, t.outcome(&t.rcpts[i]))
	}
	return r
}

// trouble returns the trouble of the account that kept the message from being judged, or nil.
func (t *dialogue) trouble(ctx context.Context) *mail.Trouble {
	if t.mail.Code >= 400 {
		return explain(phaseMail, t.mail).trouble(t.mail)
	}
	for _, a := range t.rcpts {
		if a.reply.Code < 400 || t.doubtful() && a.reply.Code != 421 { // after a 421 no text is taken
			continue
		}
		if trouble := explain(phaseRcpt, a.reply).trouble(a.reply); trouble != nil {
			return trouble
		}
	}
	if !t.anyOpen() {
		return nil
	}
	if p, reply := t.last(); reply.Code >= 400 {
		return explain(p, reply).trouble(reply)
	}
	switch {
	case t.doubtful():
		return nil
	case ctx.Err() != nil:
		return stopped(ctx)
	case t.broken != nil:
		return nil
	}
	return networkTrouble(ctx, t.lost)
}

// last returns the reply that is about everybody who was accepted.
func (t *dialogue) last() (phase, mail.Reply) {
	switch {
	case t.sent:
		return phaseEnd, t.end
	case t.end.Code != 0:
		return phaseData, t.end // refused while it was on its way
	}
	return phaseData, t.data
}

// outcome says what became of one recipient.
func (t *dialogue) outcome(a *answer) mail.Outcome {
	p, last := t.last()
	switch {
	case a.own != nil:
		return *a.own
	case t.mail.Code >= 400:
		return explain(phaseMail, t.mail).outcome(t.mail)
	case a.reply.Code >= 400:
		return explain(phaseRcpt, a.reply).outcome(a.reply)
	case t.taken() && a.accepted():
		return mail.Outcome{State: mail.Delivered, Reply: t.end}
	case last.Code >= 400:
		return explain(p, last).outcome(last)
	case t.broken != nil:
		return unreadable(t.broken)
	}
	return inDoubt(t.lost)
}

// unreadable is the outcome when the text did not come out of the spool whole.
func unreadable(err error) mail.Outcome {
	return mail.Outcome{
		State: mail.Deferred, Class: mail.ClassTransient,
		Cause: cutText(printable(fmt.Sprintf("the message could not be read from the spool: %v", err))),
		Fix:   "The provider is not at fault. Check the disk that holds data_dir; the message is tried again.",
	}
}

// inDoubt is the outcome when the end of data was sent and no answer came, or none that can be read.
func inDoubt(err error) mail.Outcome {
	return mail.Outcome{
		State: mail.Deferred, Class: mail.ClassTransient,
		Cause: cutText(printable(fmt.Sprintf("the whole message was sent and no clear answer came, so it may arrive twice (%v)", err))),
		Fix:   "Nothing to do now: it is tried again.",
	}
}
