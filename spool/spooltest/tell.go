package spooltest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var tellTests = []test{
	{name: "Unreported lists failures nobody was told about", run: unreported},
	{name: "Unreported leaves what a client is being told", run: unreportedWatched},
	{name: "Put of a report marks what it is about", run: reportMarks},
	{name: "Put of a second report stores nothing", run: reportOnce},
	{name: "Put of a report that is not due stores nothing", run: reportNotDue},
	{name: "Retry has a failure reported again", run: retryReports},
	{name: "Unconfirmed lists deliveries whose senders asked", run: unconfirmed},
	{name: "Reported and Warned", run: marks},
	{name: "Late lists what waits long", run: late},
	{name: "Late leaves what need not be warned about", run: notLate},
}

func messageIDs(list []spool.Message) []mail.ID {
	var all []mail.ID
	for _, m := range list {
		all = append(all, m.Envelope.ID)
	}
	return all
}

func (k *kit) wantUnreported(limit int, want ...mail.ID) {
	k.Helper()
	list, err := k.Unreported(k.ctx, limit)
	k.ok(err)
	k.must(slices.Equal(messageIDs(list), want), "unreported are %v, want %v", messageIDs(list), want)
}

func (k *kit) wantLate(before time.Time, limit int, want ...mail.ID) {
	k.Helper()
	list, err := k.Late(k.ctx, before, limit)
	k.ok(err)
	k.must(slices.Equal(messageIDs(list), want), "late are %v, want %v", messageIDs(list), want)
}

// putFailed puts a message all of whose recipients are refused.
func (k *kit) putFailed() mail.ID {
	k.Helper()
	id := k.putClaimed()
	k.settle(id, mail.Failed)
	return id
}

// report is a report about a message.
func (k *kit) report(kind mail.Kind, about mail.ID) *mail.Envelope {
	env := k.envelope()
	env.Sender, env.Kind, env.About = "", kind, about
	return env
}

func (k *kit) putReport(kind mail.Kind, about mail.ID) error {
	k.Helper()
	env := k.report(kind, about)
	err := k.Put(k.ctx, env, k.body(env.ID, "report"), false)
	_, found := k.Get(k.ctx, env.ID)
	k.must((err == nil) == (found == nil), "Put said %v, Get says %v", err, found)
	if err == nil {
		k.claimOnly(env.ID)
		k.settle(env.ID, mail.Delivered)
	}
	return err
}

func unreported(k *kit) {
	k.wantUnreported(10)
	a := k.putFailed()
	partly := k.putClaimed("one@example.com", "two@example.com")
	k.settle(partly, mail.Delivered, mail.Failed)
	waits := k.putClaimed("one@example.com", "two@example.com")
	k.settle(waits, mail.Failed, mail.Deferred) // is told of when all is known
	delivered := k.putClaimed()
	k.settle(delivered, mail.Delivered)
	failing := k.report(mail.KindFailure, a)
	k.wantUnreported(10, a, partly)
	k.wantUnreported(1, a)
	k.wantUnreported(0)
	k.putEnvelope(failing, false)
	k.claimOnly(failing.ID)
	k.settle(failing.ID, mail.Failed) // nobody reports about a report
	alert := k.envelope()
	alert.Kind = mail.KindAlert
	k.putEnvelope(alert, false)
	k.claimOnly(alert.ID)
	k.settle(alert.ID, mail.Failed)
	k.wantUnreported(10, partly)
	k.now = k.now.Add(time.Hour)
	k.claimOnly(waits)
	k.settle(waits, "", mail.Delivered)
	k.wantUnreported(10, partly, waits)
}

func unreportedWatched(k *kit) {
	told, gone := k.putWatched(), k.putWatched()
	k.claim()
	k.settle(told, mail.Failed)
	k.settle(gone, mail.Failed)
	k.wantUnreported(10)
	k.Wait(k.ctx, told)
	k.Wait(k.ctx, gone)
	k.wantUnreported(10)
	k.ok(k.Forget(k.ctx, told))
	k.ok(k.Unwatch(k.ctx, gone))
	k.wantUnreported(10, gone)
}

func reportMarks(k *kit) {
	id := k.putFailed()
	k.must(!k.get(id).Reported, "reported before anybody did")
	k.ok(k.putReport(mail.KindFailure, id))
	k.wantUnreported(10)
	k.must(k.get(id).Reported, "not marked")

	waits := k.putClaimed()
	k.settle(waits, mail.Deferred)
	k.ok(k.putReport(mail.KindDelay, waits))
	k.must(k.get(waits).Warned && !k.get(waits).Reported, "got %+v", k.get(waits))

	env := k.report(mail.KindFailure, k.putFailed())
	k.putEnvelope(env, false)
	got := k.get(env.ID).Envelope
	k.must(got.About == env.About && got.Kind == env.Kind, "got %+v", got)
}

func reportOnce(k *kit) {
	failed, waits := k.putFailed(), k.putClaimed()
	k.settle(waits, mail.Deferred)
	for kind, id := range map[mail.Kind]mail.ID{mail.KindFailure: failed, mail.KindDelay: waits} {
		k.ok(k.putReport(kind, id))
		err := k.putReport(kind, id)
		k.must(errors.Is(err, spool.ErrAlreadyReported), "%s: got %v", kind, err)
	}
	raced := k.putFailed()
	var wg sync.WaitGroup
	var made atomic.Int32
	for range 8 {
		env := k.report(mail.KindFailure, raced)
		b := k.body(env.ID, "report")
		wg.Go(func() {
			if k.Put(k.ctx, env, b, false) == nil {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	k.must(made.Load() == 1, "%d reports were made", made.Load())
	k.must(len(k.claim()) == 1, "not one report is in the spool")
}

func reportNotDue(k *kit) {
	waits, delivered := k.put(), k.put()
	k.claim()
	k.settle(delivered, mail.Delivered)
	k.settle(waits, mail.Deferred)
	for _, c := range []struct {
		kind  mail.Kind
		about mail.ID
		want  error
	}{
		{mail.KindFailure, waits, spool.ErrNotDue},
		{mail.KindSuccess, waits, spool.ErrNotDue},
		{mail.KindDelay, delivered, spool.ErrNotDue},
		{mail.KindDelay, mail.NewID(k.now), spool.ErrNotFound},
		{mail.KindFailure, mail.NewID(k.now), spool.ErrNotFound},
	} {
		err := k.putReport(c.kind, c.about)
		k.must(errors.Is(err, c.want), "%s about %s: got %v, want %v", c.kind, c.about, err, c.want)
	}
	k.ok(k.putReport(mail.KindAlert, waits)) // an alert tells the operators, which is another matter
	k.must(!k.get(waits).Warned && !k.get(waits).Reported, "got %+v", k.get(waits))
}

func retryReports(k *kit) {
	id := k.putFailed()
	k.ok(k.putReport(mail.KindFailure, id))
	k.ok(k.Retry(k.ctx, id))
	k.must(errors.Is(k.Reported(k.ctx, id), spool.ErrNotDue), "a waiting message was marked as reported")
	k.claimOnly(id)
	k.settle(id, mail.Failed)
	k.wantUnreported(10, id)
	k.ok(k.putReport(mail.KindFailure, id))

	env := k.report(mail.KindFailure, k.putFailed())
	k.putEnvelope(env, false)
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Failed)
	k.ok(k.Retry(k.ctx, env.ID))
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Failed)
	k.wantUnreported(10)
}

func unconfirmed(k *kit) {
	asked := k.envelope("one@example.com", "two@example.com")
	asked.Recipients[1].Notify = []string{"failure", "success"}
	k.putEnvelope(asked, false)
	not := k.envelope()
	not.Recipients[0].Notify = []string{"FAILURE"}
	k.putEnvelope(not, false)
	k.claim()
	k.settle(asked.ID, mail.Delivered)
	k.settle(not.ID, mail.Delivered)
	list, err := k.Unconfirmed(k.ctx, 10)
	k.ok(err)
	k.must(len(list) == 0, "listed before all is known")
	k.now = k.now.Add(time.Hour)
	k.claimOnly(asked.ID)
	k.settle(asked.ID, "", mail.Delivered)
	list, err = k.Unconfirmed(k.ctx, 10)
	k.ok(err)
	k.must(slices.Equal(messageIDs(list), []mail.ID{asked.ID}), "got %v", messageIDs(list))
	k.wantUnreported(10)
	k.ok(k.putReport(mail.KindSuccess, asked.ID))
	list, err = k.Unconfirmed(k.ctx, 10)
	k.ok(err)
	k.must(len(list) == 0, "listed after it was reported")
	k.must(errors.Is(k.putReport(mail.KindSuccess, asked.ID), spool.ErrAlreadyReported), "reported twice")
}

func marks(k *kit) {
	failed, waits := k.putFailed(), k.putClaimed()
	k.settle(waits, mail.Deferred)
	for range 2 {
		k.ok(k.Reported(k.ctx, failed))
		k.ok(k.Warned(k.ctx, waits))
	}
	k.wantUnreported(10)
	k.wantLate(k.now.Add(time.Hour), 10)
	k.must(k.get(failed).Reported && k.get(waits).Warned, "not marked")
	k.must(errors.Is(k.putReport(mail.KindFailure, failed), spool.ErrAlreadyReported), "reported all the same")
	k.must(errors.Is(k.putReport(mail.KindDelay, waits), spool.ErrAlreadyReported), "warned all the same")
	k.must(errors.Is(k.Reported(k.ctx, waits), spool.ErrNotDue), "reported what waits")
	k.must(errors.Is(k.Reported(k.ctx, mail.NewID(k.now)), spool.ErrNotFound), "marked what is not there")
	k.must(errors.Is(k.Warned(k.ctx, mail.NewID(k.now)), spool.ErrNotFound), "marked what is not there")
}

func late(k *kit) {
	aged := func(age time.Duration) mail.ID {
		env := k.envelope()
		env.Received = k.now.Add(-age)
		return k.putEnvelope(env, false)
	}
	young, old, oldest := aged(time.Hour), aged(5*time.Hour), aged(6*time.Hour)
	k.wantLate(k.now.Add(-4*time.Hour), 10, oldest, old)
	k.wantLate(k.now.Add(-4*time.Hour), 1, oldest)
	k.wantLate(k.now.Add(-4*time.Hour), 0)
	k.wantLate(k.now.Add(-5*time.Hour), 10, oldest) // received before, not at
	k.ok(k.Warned(k.ctx, oldest))
	k.wantLate(k.now, 10, old, young)
	k.claim()
	k.settle(old, mail.Deferred)
	k.wantLate(k.now, 10, old) // the others are being sent
}

func notLate(k *kit) {
	before := k.now.Add(time.Hour)
	failed := k.putFailed()
	held := k.put()
	k.ok(k.Hold(k.ctx, held))
	k.putEnvelope(k.report(mail.KindFailure, failed), false)
	alert := k.envelope()
	alert.Kind = mail.KindAlert
	k.putEnvelope(alert, false)
	k.wantLate(before, 10)
	k.ok(k.Release(k.ctx, held))
	k.wantLate(before, 10, held)
}
