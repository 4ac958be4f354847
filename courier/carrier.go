package courier

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// carrier works for one account. Its run goroutine owns every field; attempts report back on done.
type carrier struct {
	Account
	opts Options
	log  zerolog.Logger

	changed chan struct{} // mail may have become due
	hurry   chan struct{} // probe at once
	touched chan struct{} // the token source has changed
	done    chan finished // attempts that came back
	failed  func()        // wakes the teller: somebody may have to be told
	slots   chan struct{} // one for each connection: attempts under way whose outcome is not on disk yet
	held    atomic.Bool   // the account is in trouble: attempts that have not begun do not begin

	retired   atomic.Bool // another courier's carrier works for the account
	cond      condition
	underway  map[mail.ID]struct{}
	again     map[mail.ID]struct{} // of these, what was claimed once more
	more      bool                 // more may be due than the last claim took
	nextDue   time.Time            // when waiting mail is due; zero when none waits
	signed    signed               // what the token source showed last
	delivered time.Time
	lastError string
	erredAt   time.Time

	expires  time.Time // of what the account signs in with
	expiryAt time.Time // when that was looked at

	published   mail.Account
	publishedAt time.Time
}

// finished is an attempt that came back.
type finished struct {
	claimed spool.Claimed
	since   time.Time // when it was claimed
	started time.Time
	result  mail.Result
	moot    bool // not sent: a warning about a message that has been settled meanwhile
}

func newCarrier(a Account, o Options, failed func()) *carrier {
	return &carrier{
		failed: failed, slots: make(chan struct{}, max(a.Pace.Connections(time.Now()), 1)),
		Account: a, opts: o, log: o.Log.With().Str("account", a.Name).Logger(),
		changed: make(chan struct{}, 1), hurry: make(chan struct{}, 1), touched: make(chan struct{}, 1),
		done: make(chan finished), underway: make(map[mail.ID]struct{}), again: make(map[mail.ID]struct{}), more: true,
	}
}

// run works until ctx ends, then waits for the attempts under way. Each turn starts what may be started and sleeps
// until something happens or the time it named has come.
func (k *carrier) run(ctx context.Context) {
	k.recall(ctx)
	k.heed()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := min(k.turn(ctx, time.Now()), k.tellSigned(time.Now()))
		timer.Reset(min(wait, k.publish(ctx)))
		select {
		case <-ctx.Done():
			k.drain(context.WithoutCancel(ctx))
			return
		case f := <-k.done:
			k.finish(ctx, f)
			k.finishReady(ctx)
		case <-k.changed:
			k.more = true
		case <-k.hurry:
			k.cond.hurry(time.Now())
			k.more = true
		case <-k.touched:
			k.heed()
		case <-timer.C:
			k.more = true
		}
	}
}

// idle is how long a carrier sleeps when nothing is due: anything that matters wakes it before.
const idle = time.Hour

// turn starts what may be started now and returns how long nothing else will be.
func (k *carrier) turn(ctx context.Context, now time.Time) time.Duration {
	if k.cond.trouble != nil {
		return k.probe(ctx, now)
	}
	room, next := k.Pace.Room(now)
	connections := k.Pace.Connections(now)
	k.widen(connections)
	switch {
	case room == 0:
		k.dismissLate(now, next)
		return next.Sub(now)
	case len(k.underway) > connections || !k.more:
		return k.untilDue()
	}
	// As many again as there are connections wait for one, so that none is idle while the disk is written; and claims
	// are made for many messages at once, since each is a write.
	n := min(room, 2*connections-len(k.underway))
	claimed, err := k.claim(ctx, spool.ClaimRequest{Limit: n})
	if err != nil {
		return claimAgain
	}
	k.start(ctx, claimed, false)
	k.more = len(claimed) == n
	if !k.more {
		k.findDue(ctx)
	}
	return k.untilDue()
}

// claimAgain is how soon a claim is tried again that the spool could not make.
const claimAgain = time.Second

// probe sends one message of a held account when it is time, and makes nobody wait for the others.
func (k *carrier) probe(ctx context.Context, now time.Time) time.Duration {
	k.opts.Spool.Dismiss(k.opts.Spool.Watched(k.Name)...)
	if len(k.underway) > 0 {
		return idle // one of them may end the trouble, and all of them report back
	}
	if wait := k.cond.probeAt.Sub(now); wait > 0 {
		return wait
	}
	k.renew()
	claimed, err := k.claim(ctx, spool.ClaimRequest{Limit: 1, Except: k.cond.probed, DueOrNot: true})
	if err == nil && len(claimed) == 1 && claimed[0].Envelope.Kind == mail.KindDelay {
		k.giveBack(ctx, finished{claimed: claimed[0]}) // a warning is no probe if there is other mail
		claimed, err = k.claim(ctx, spool.ClaimRequest{Limit: 1, Except: claimed[0].Envelope.ID, DueOrNot: true})
	}
	k.start(ctx, claimed, true)
	switch {
	case err != nil:
		return claimAgain
	case len(claimed) == 0 && k.cond.accused != nil:
		k.acquit(ctx) // there is no other message to compare with
		k.cond.probeAt = now.Add(probeDelay(k.cond.trouble, k.cond.probes, now.Sub(k.cond.since), k.opts.Retry))
		return k.cond.probeAt.Sub(now)
	}
	return idle // its return, or new mail, wakes us
}

// renew asks for a new token before a probe of an account whose trouble a token can cure. An outage of the mail
// endpoint is none: the token endpoint is left alone then.
func (k *carrier) renew() {
	if k.Renew != nil && (k.cond.trouble.Kind == mail.Refused || k.Sign != nil && k.Sign().State == mail.AccountHeld) {
		k.Renew()
	}
}

// claim takes messages from the spool. What it finds spoilt stands in nobody's way: it goes on until there is something
// to send or nothing left.
func (k *carrier) claim(ctx context.Context, req spool.ClaimRequest) (all []spool.Claimed, err error) {
	req.Account, req.Lease, req.Now = k.Name, lease, k.opts.Clock()
	req.Next = func(attempt int) time.Time { return req.Now.Add(jittered(k.opts.Retry, attempt)) }
	for err == nil && req.Limit > 0 {
		var claimed []spool.Claimed
		var spoilt []spool.Spoilt
		claimed, spoilt, err = k.opts.Spool.Claim(ctx, req)
		k.reportSpoilt(spoilt)
		all = append(all, claimed...)
		if len(spoilt) == 0 {
			break
		}
		req.Limit -= len(claimed)
	}
	if len(all) > 0 {
		return all, nil // what is claimed is attempted, whatever comes of the rest
	}
	if err != nil && ctx.Err() == nil {
		k.log.Error().Err(err).Msg("cannot claim mail from the spool; trying again in a second")
	}
	return nil, err
}

// widen makes slots for connections that came back: we may have begun while the account was being slowed down. What has
// a slot, or waits for one, keeps to the ones it was given.
func (k *carrier) widen(connections int) {
	if connections > cap(k.slots) {
		k.slots = make(chan struct{}, connections)
	}
}

// start attempts what has been claimed. What is under way already is not sent a second time beside itself: either its
// claim lapsed while the disk refused to write its outcome down, which then settles the new claim, or it was settled,
// is due again, and has only not come back to us yet; finish finds out.
func (k *carrier) start(ctx context.Context, claimed []spool.Claimed, probe bool) {
	for _, m := range claimed {
		if _, already := k.underway[m.Envelope.ID]; already {
			k.again[m.Envelope.ID] = struct{}{}
			continue
		}
		if m.First {
			k.reportAccepted(m.Envelope)
		}
		k.Pace.Start(time.Now())
		k.underway[m.Envelope.ID] = struct{}{}
		go k.attempt(ctx, finished{claimed: m, since: time.Now()}, k.slots, probe)
	}
}

// yield gives back what was claimed again before its attempt came back. Nothing is claimed any more if that attempt's
// outcome has settled it, and Return's error says no more than that.
func (k *carrier) yield(ctx context.Context, id mail.ID) {
	if _, claimed := k.again[id]; !claimed {
		return
	}
	delete(k.again, id)
	if err := k.opts.Spool.Return(context.WithoutCancel(ctx), id); err != nil {
		k.log.Debug().Str("id", id.String()).Err(err).Msg("the outcome settled a second claim too")
	}
	k.more = true
}

// findDue looks up when mail that waits is due next.
func (k *carrier) findDue(ctx context.Context) {
	due, ok, err := k.opts.Spool.NextDue(ctx, k.Name)
	switch {
	case err != nil:
		k.nextDue = k.opts.Clock().Add(claimAgain) // not known: look again
	case ok:
		k.nextDue = due
	default:
		k.nextDue = time.Time{}
	}
}

// untilDue is by the wall clock, as due times are. The spool wakes us when that was set.
func (k *carrier) untilDue() time.Duration {
	if k.nextDue.IsZero() || k.more {
		return idle
	}
	return max(k.nextDue.Sub(k.opts.Clock()), time.Millisecond)
}

// dismissLate ends the waits of clients whose message cannot be started before they would have left: next is when
// the first that waits may start.
func (k *carrier) dismissLate(now, next time.Time) {
	if next.Sub(now) > patience {
		k.opts.Spool.Dismiss(k.opts.Spool.Watched(k.Name)...)
	}
}

// patience is the longest start that a waiting client is let wait for; wait_timeout ends it sooner.
const patience = 20 * time.Second

// finish takes note of an attempt that came back: a judged message shows that the account is well, trouble holds it
// and gives the message back.
func (k *carrier) finish(ctx context.Context, f finished) {
	delete(k.underway, f.claimed.Envelope.ID)
	switch t := f.result.Trouble; {
	case f.moot:
		k.withdraw(ctx, f)
	case t == nil:
		k.noteOutcome(f)
		if k.cond.passed(f) {
			k.well(ctx, f)
		}
	case t.Kind == mail.Stopped:
		k.giveBack(ctx, f)
	default:
		k.hold(ctx, f)
	}
	k.yield(ctx, f.claimed.Envelope.ID)
}

// finishReady takes note of the attempts that have come back meanwhile.
func (k *carrier) finishReady(ctx context.Context) {
	for {
		select {
		case f := <-k.done:
			k.finish(ctx, f)
		default:
			return
		}
	}
}

// well lets an account's mail flow again, and judges the message that was accused of its trouble.
func (k *carrier) well(ctx context.Context, f finished) {
	k.log.Info().Str("id", f.claimed.Envelope.ID.String()).Msg("the account is well again; its mail flows")
	k.more = true
	k.held.Store(false)
	if k.cond.told {
		k.opts.Alert(wellAlert(k.Name))
	}
	if a := k.cond.release(); a != nil {
		a.result = judged(a.result.Trouble, len(a.claimed.Envelope.Unsettled()))
		k.settle(ctx, *a)
		k.noteOutcome(*a)
		delete(k.cond.suspects, a.claimed.Envelope.ID)
	}
}

// hold gives the message back, unless it is accused, and holds its account, if it is not held already.
func (k *carrier) hold(ctx context.Context, f finished) {
	now, t, id := time.Now(), f.result.Trouble, f.claimed.Envelope.ID
	k.acquit(ctx)
	k.lastError, k.erredAt = t.Error(), k.opts.Clock()
	held, accused := k.cond.met(f, now, k.opts.Retry)
	k.held.Store(true)
	if held {
		k.log.Warn().Str("event", mail.EventHeld).Str("id", id.String()).Int("attempt", f.claimed.Attempt).
			Str("reply", t.Reply.String()).Str("class", string(t.Class)).Str("cause", t.Cause).Str("fix", t.Fix).
			Int64("duration_ms", now.Sub(f.started).Milliseconds()).
			Msg("the account is in trouble; its mail waits")
	} else {
		k.log.Debug().Str("id", id.String()).Str("cause", t.Cause).Time("next_probe", k.cond.probeAt).Msg("probe failed")
	}
	if k.cond.tell(now) {
		k.opts.Alert(heldAlert(k.Name, k.Mailbox, t))
	}
	if !accused {
		k.giveBack(ctx, f)
	}
}

// withdraw takes a warning back that has nothing to warn of any more.
func (k *carrier) withdraw(ctx context.Context, f finished) {
	k.giveBack(ctx, f)
	id := f.claimed.Envelope.ID
	if err := k.opts.Spool.Drop(context.WithoutCancel(ctx), id); err != nil {
		k.log.Error().Str("id", id.String()).Err(err).Msg("a delay warning that is not needed any more could not be withdrawn")
		return
	}
	k.log.Info().Str("id", id.String()).Msg("a delay warning was withdrawn: its message has been settled")
}

// acquit gives an accused message back: the trouble is the account's after all.
func (k *carrier) acquit(ctx context.Context) {
	if a := k.cond.release(); a != nil {
		k.giveBack(ctx, *a)
	}
}

func (k *carrier) giveBack(ctx context.Context, f finished) {
	id := f.claimed.Envelope.ID
	if err := k.opts.Spool.Return(context.WithoutCancel(ctx), id); err != nil {
		k.log.Error().Str("id", id.String()).Err(err).Msg("cannot give a message back to the spool; it is due again when its claim ends")
	}
	k.more = true
}

// noteOutcome keeps what status shows of the last attempt.
func (k *carrier) noteOutcome(f finished) {
	for _, o := range f.result.Outcomes {
		if o.State == mail.Delivered {
			k.delivered = time.Now()
		} else {
			k.lastError, k.erredAt = (&mail.Trouble{Reply: o.Reply, Cause: o.Cause}).Error(), k.opts.Clock()
		}
	}
}

// drain waits for the attempts under way.
func (k *carrier) drain(ctx context.Context) {
	for len(k.underway) > 0 {
		k.finish(ctx, <-k.done)
	}
	k.acquit(ctx)
	if !k.retired.Load() {
		k.publish(ctx)
	}
}
