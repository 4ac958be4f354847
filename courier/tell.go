package courier

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

const (
	// tellEvery is how often it is looked for somebody to tell, besides at once when a message has failed.
	tellEvery = time.Minute
	// tellBatch is how many messages are looked at in one go.
	tellBatch = 100
	// lateAfter is how old a message is when its sender is warned, once.
	lateAfter = 4 * time.Hour
)

// teller tells people about messages that failed or are late: senders by reports, which are put into the spool like
// all mail, and the operators by alerts. What is still to be told is in the spool, so that a crash forgets nothing and
// repeats nothing.
type teller struct {
	opts     Options
	accounts map[string]Account
	wake     chan struct{}
	log      zerolog.Logger
}

func newTeller(o Options) *teller {
	t := &teller{opts: o, accounts: make(map[string]Account), wake: make(chan struct{}, 1), log: o.Log}
	for _, a := range o.Accounts {
		t.accounts[a.Name] = a
	}
	return t
}

func (t *teller) run(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		t.each(ctx, func() ([]spool.Message, error) { return t.opts.Spool.Untold(ctx, tellBatch) }, t.fates)
		t.each(ctx, func() ([]spool.Message, error) {
			return t.opts.Spool.Late(ctx, time.Now().Add(-lateAfter), tellBatch)
		}, t.late)
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-tick.C:
		}
	}
}

// each tells about every message that a list gives until it gives no more. Telling takes a message off its list, so a
// full batch of failures to do that would go round for ever: it ends the round.
func (t *teller) each(ctx context.Context, list func() ([]spool.Message, error), tell func(context.Context, spool.Message) error) {
	for told := true; told && ctx.Err() == nil; {
		messages, err := list()
		if err != nil {
			t.log.Error().Err(err).Msg("the spool cannot be read to tell people")
			return
		}
		told = false
		for _, m := range messages {
			if err := tell(ctx, m); err != nil {
				t.log.Error().Err(err).Str("id", m.Envelope.ID.String()).Msg("a report could not be written; trying again in a minute")
				continue
			}
			told = len(messages) == tellBatch
		}
	}
}

// fates tells what became of the recipients that nobody has been told of, while others may still be tried: failures to
// the sender, if the rules allow, and to the operators; deliveries to a sender who asked for word of them.
func (t *teller) fates(ctx context.Context, m spool.Message) error {
	trace, err := t.opts.Spool.Trace(ctx, m.Envelope.ID)
	if err != nil {
		return err
	}
	failed, delivered := m.Envelope.Untold(mail.Failed), m.Envelope.Untold(mail.Delivered)
	if len(failed)+len(delivered) == 0 {
		return t.opts.Spool.Told(ctx, m.Envelope.ID) // its record cannot be read: there is nobody to name
	}
	if len(failed) > 0 {
		err = t.failure(ctx, m, trace, recipients(m, trace, failed))
	}
	if err == nil && len(delivered) > 0 {
		err = t.success(ctx, m, trace, recipients(m, trace, delivered))
	}
	return err
}

func (t *teller) failure(ctx context.Context, m spool.Message, trace []mail.Event, told []report.Recipient) error {
	if err := t.report(ctx, m, told, lastAttempt(trace), report.Rules{MayReport: t.mayReport(&m.Envelope)}); err != nil {
		return err
	}
	t.opts.Alert(failedAlert(m, told))
	return nil
}

// success confirms deliveries, unless the provider will.
func (t *teller) success(ctx context.Context, m spool.Message, trace []mail.Event, told []report.Recipient) error {
	rules := report.Rules{MayReport: t.mayReport(&m.Envelope)}
	for _, e := range trace {
		rules.ProviderReports = rules.ProviderReports || e.Event == mail.EventDelivered && e.Reports
	}
	return t.report(ctx, m, told, lastAttempt(trace), rules)
}

// late warns the sender of a message that waits for hours.
func (t *teller) late(ctx context.Context, m spool.Message) error {
	trace, err := t.opts.Spool.Trace(ctx, m.Envelope.ID)
	if err != nil {
		return err
	}
	told := recipients(m, trace, m.Envelope.Unsettled())
	if accounts, err := t.opts.Spool.Accounts(ctx); err == nil {
		blameAccount(told, accounts[m.Envelope.Account])
	}
	return t.report(ctx, m, told, lastAttempt(trace), report.Rules{MayReport: t.mayReport(&m.Envelope), Late: true})
}

// mayReport says whether a message's sender is one of ours.
func (t *teller) mayReport(env *mail.Envelope) func(string) bool {
	return func(string) bool { return t.opts.MayReport != nil && t.opts.MayReport(env) }
}

// report writes one report into the spool, or notes that none is wanted. The spool takes the report and the note that
// it was made in one transaction.
func (t *teller) report(ctx context.Context, m spool.Message, told []report.Recipient, attempted time.Time, rules report.Rules) error {
	outcomes, all := make(map[int]mail.Outcome), []int(nil)
	for _, r := range told {
		outcomes[r.Index], all = r.Outcome, append(all, r.Index)
	}
	due := report.Due(&m.Envelope, outcomes, rules)
	if len(due) == 0 {
		return t.note(ctx, m.Envelope.ID, all, rules.Late)
	}
	env, text, err := t.write(ctx, m, told, due[0], attempted)
	if err != nil {
		t.log.Error().Err(err).Str("id", m.Envelope.ID.String()).Msg("no report can be written about this message; its sender is not told")
		return t.note(ctx, m.Envelope.ID, all, rules.Late)
	}
	env.Tells = all // those of them, too, for whom no report is wanted
	body := t.opts.Spool.NewBody(env.ID)
	if _, err := body.Write(text); err != nil {
		body.Discard()
		return err
	}
	switch err := t.opts.Spool.Put(ctx, env, body, false); {
	case errors.Is(err, spool.ErrAlreadyReported), errors.Is(err, spool.ErrNotDue), errors.Is(err, spool.ErrNotFound):
		return nil // settled, retried or dropped meanwhile
	case err != nil:
		return err
	}
	t.log.Info().Str("id", m.Envelope.ID.String()).Str("account", m.Envelope.Account).Str("recipient", m.Envelope.Sender).
		Str("detail", string(env.Kind)).Str("report", env.ID.String()).Msg("the sender is told by a report")
	return nil
}

// note writes down that nobody needs to be told.
func (t *teller) note(ctx context.Context, id mail.ID, recipients []int, late bool) error {
	if late {
		return t.opts.Spool.Warned(ctx, id)
	}
	return t.opts.Spool.Told(ctx, id, recipients...)
}

// write makes the report of one notice.
func (t *teller) write(ctx context.Context, m spool.Message, told []report.Recipient, n report.Notice, attempted time.Time) (*mail.Envelope, []byte, error) {
	now := time.Now()
	in := report.Input{
		ID: mail.NewID(now), Kind: n.Kind, Now: now, Hostname: t.opts.Hostname, Mailbox: t.accounts[m.Envelope.Account].Mailbox,
		Remote: t.accounts[m.Envelope.Account].Remote, Envelope: &m.Envelope, Attempted: attempted,
	}
	for _, r := range told {
		for _, i := range n.Recipients {
			if r.Index == i {
				in.Recipients = append(in.Recipients, r)
			}
		}
	}
	if n.Kind == mail.KindDelay {
		in.Until = m.Envelope.Received.Add(t.opts.MaxAge)
	}
	original, err := t.opts.Spool.Open(ctx, m.Envelope.ID)
	if err == nil {
		defer original.Close()
		in.Original = io.Reader(original)
	}
	return report.Message(in)
}

// recipients finds what became of some recipients, with the words of the trace.
func recipients(m spool.Message, trace []mail.Event, indexes []int) []report.Recipient {
	var list []report.Recipient
	for _, i := range indexes {
		r := m.Envelope.Recipients[i]
		o, expired := mail.Outcome{State: r.State, Reply: mail.ParseReply(r.Reply)}, false
		if o.State == mail.Pending {
			o.State = mail.Deferred
		}
		for _, e := range trace { // the last row that speaks of this state in these words counts
			if e.Event == string(r.State) && (r.Reply == "" || e.Reply == r.Reply) {
				o.Class, o.Cause, o.Fix, expired = e.Class, e.Cause, e.Fix, e.Expired
			}
		}
		list = append(list, report.Recipient{Index: i, Outcome: o, Expired: expired})
	}
	return list
}

// lastAttempt is when the provider was last spoken to about a message; zero if it never was.
func lastAttempt(trace []mail.Event) (at time.Time) {
	for _, e := range trace {
		if e.Attempt > 0 && e.Connection != "" {
			at = e.Time
		}
	}
	return at
}

// blameAccount gives what waits for its account the account's own reason.
func blameAccount(told []report.Recipient, a mail.Account) {
	if a.State != mail.AccountHeld {
		return
	}
	for i := range told {
		told[i].Outcome.Cause, told[i].Outcome.Fix = a.Reason, a.Fix
	}
}
