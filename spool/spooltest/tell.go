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
	{name: "Untold lists failures nobody was told about", run: untoldFailures},
	{name: "Untold leaves what a client is being told", run: untoldWatched},
	{name: "Untold lists each recipient's fate as it is known", run: untoldEach},
	{name: "Put of a report marks what it is about", run: reportMarks},
	{name: "Put of a second report stores nothing", run: reportOnce},
	{name: "Put of a report that is not due stores nothing", run: reportNotDue},
	{name: "Retry has a failure reported again", run: retryReports},
	{name: "Untold lists deliveries whose senders asked", run: untoldDeliveries},
	{name: "Told and Warned", run: marks},
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

func (k *kit) wantUntold(limit int, want ...mail.ID) {
	k.Helper()
	list, err := k.Untold(k.ctx, limit)
	k.ok(err)
	k.must(slices.Equal(messageIDs(list), want), "untold are %v, want %v", messageIDs(list), want)
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

// reportOf is a report about some of a message's recipients; about the first unless others are named.
func (k *kit) reportOf(kind mail.Kind, about mail.ID, recipients ...int) *mail.Envelope {
	env := k.report(kind, about)
	env.Tells = []int{0}
	if len(recipients) > 0 {
		env.Tells = recipients
	}
	return env
}

func (k *kit) putReport(kind mail.Kind, about mail.ID, recipients ...int) error {
	k.Helper()
	env := k.reportOf(kind, about, recipients...)
	err := k.Put(k.ctx, env, k.body(env.ID, "report"), false)
	_, found := k.Get(k.ctx, env.ID)
	k.must((err == nil) == (found == nil), "Put said %v, Get says %v", err, found)
	if err == nil {
		k.claimOnly(env.ID)
		k.settle(env.ID, mail.Delivered)
	}
	return err
}

func untoldFailures(k *kit) {
	k.wantUntold(10)
	a := k.putFailed()
	partly := k.putClaimed("one@example.com", "two@example.com")
	k.settle(partly, mail.Delivered, mail.Failed)
	delivered := k.putClaimed()
	k.settle(delivered, mail.Delivered)
	failing := k.reportOf(mail.KindFailure, a)
	k.wantUntold(10, a, partly)
	k.wantUntold(1, a)
	k.wantUntold(0)
	k.putEnvelope(failing, false)
	k.claimOnly(failing.ID)
	k.settle(failing.ID, mail.Failed) // nobody reports about a report
	alert := k.envelope()
	alert.Kind = mail.KindAlert
	k.putEnvelope(alert, false)
	k.claimOnly(alert.ID)
	k.settle(alert.ID, mail.Failed)
	k.wantUntold(10, partly)
}

func untoldEach(k *kit) {
	env := k.envelope("one@example.com", "two@example.com", "three@example.com")
	env.Recipients[2].Notify = []string{"SUCCESS"}
	id := k.putEnvelope(env, false)
	k.claimOnly(id)
	k.settle(id, mail.Failed, mail.Deferred, mail.Deferred)
	k.wantUntold(10, id) // the others may be tried for days
	k.now = k.now.Add(time.Hour)
	k.claimOnly(id)
	k.wantUntold(10, id) // also while they are
	k.must(errors.Is(k.Told(k.ctx, id, 0, 1), spool.ErrNotDue), "told of what is not settled")
	env = k.reportOf(mail.KindFailure, id)
	k.ok(k.Put(k.ctx, env, k.body(env.ID, "report"), false))
	k.wantUntold(10)
	k.must(!k.get(id).Reported, "the others' fate is not known yet")
	k.settle(id, "", mail.Failed, mail.Deferred)
	k.wantUntold(10, id)
	k.must(errors.Is(k.putReport(mail.KindFailure, id, 0, 1), spool.ErrAlreadyReported), "the first was told twice")
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Delivered)
	k.ok(k.putReport(mail.KindFailure, id, 1))
	k.wantUntold(10)
	k.ok(k.Hold(k.ctx, id))
	k.ok(k.Release(k.ctx, id))
	k.wantUntold(10)
	k.claimOnly(id)
	k.settle(id, "", "", mail.Delivered)
	k.wantUntold(10, id)
	k.ok(k.putReport(mail.KindSuccess, id, 2))
	k.wantUntold(10)
	k.must(k.get(id).Reported, "all is told")
}

func untoldWatched(k *kit) {
	told, gone := k.putWatched(), k.putWatched()
	k.claim()
	k.settle(told, mail.Failed)
	k.settle(gone, mail.Failed)
	k.wantUntold(10)
	k.Wait(k.ctx, told)
	k.Wait(k.ctx, gone)
	k.wantUntold(10)
	k.ok(k.Forget(k.ctx, told))
	k.ok(k.Unwatch(k.ctx, gone))
	k.wantUntold(10, gone)
}

func reportMarks(k *kit) {
	id := k.putFailed()
	k.must(!k.get(id).Reported, "reported before anybody did")
	k.ok(k.putReport(mail.KindFailure, id))
	k.wantUntold(10)
	k.must(k.get(id).Reported, "not marked")

	waits := k.putClaimed()
	k.settle(waits, mail.Deferred)
	k.ok(k.putReport(mail.KindDelay, waits))
	k.must(k.get(waits).Warned && !k.get(waits).Reported, "got %+v", k.get(waits))

	env := k.reportOf(mail.KindFailure, k.putFailed())
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
		env := k.reportOf(mail.KindFailure, raced)
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
	k.must(errors.Is(k.Told(k.ctx, id, 0), spool.ErrNotDue), "a waiting message was marked as told")
	k.claimOnly(id)
	k.settle(id, mail.Failed)
	k.wantUntold(10, id)
	k.ok(k.putReport(mail.KindFailure, id))

	env := k.reportOf(mail.KindFailure, k.putFailed())
	k.putEnvelope(env, false)
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Failed)
	k.ok(k.Retry(k.ctx, env.ID))
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Failed)
	k.wantUntold(10)
}

func untoldDeliveries(k *kit) {
	asked := k.envelope("one@example.com", "two@example.com")
	asked.Recipients[1].Notify = []string{"failure", "success"}
	k.putEnvelope(asked, false)
	not := k.envelope()
	not.Recipients[0].Notify = []string{"FAILURE"}
	k.putEnvelope(not, false)
	k.claim()
	k.settle(asked.ID, mail.Delivered)
	k.settle(not.ID, mail.Delivered)
	k.wantUntold(10)
	k.now = k.now.Add(time.Hour)
	k.claimOnly(asked.ID)
	k.settle(asked.ID, "", mail.Delivered)
	k.wantUntold(10, asked.ID)
	k.must(errors.Is(k.putReport(mail.KindFailure, asked.ID, 1), spool.ErrNotDue), "a failure of what was delivered")
	k.ok(k.putReport(mail.KindSuccess, asked.ID, 1))
	k.wantUntold(10)
	k.must(errors.Is(k.putReport(mail.KindSuccess, asked.ID, 1), spool.ErrAlreadyReported), "reported twice")
}

func marks(k *kit) {
	failed, waits := k.putFailed(), k.putClaimed()
	k.settle(waits, mail.Deferred)
	for range 2 {
		k.ok(k.Told(k.ctx, failed, 0))
		k.ok(k.Warned(k.ctx, waits))
	}
	k.wantUntold(10)
	k.wantLate(k.now.Add(time.Hour), 10)
	k.must(k.get(failed).Reported && k.get(waits).Warned, "not marked")
	k.must(errors.Is(k.putReport(mail.KindFailure, failed), spool.ErrAlreadyReported), "reported all the same")
	k.must(errors.Is(k.putReport(mail.KindDelay, waits), spool.ErrAlreadyReported), "warned all the same")
	k.must(errors.Is(k.Told(k.ctx, waits, 0), spool.ErrNotDue), "reported what waits")
	k.must(errors.Is(k.Told(k.ctx, mail.NewID(k.now), 0), spool.ErrNotFound), "marked what is not there")
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
	k.putEnvelope(k.reportOf(mail.KindFailure, failed), false)
	alert := k.envelope()
	alert.Kind = mail.KindAlert
	k.putEnvelope(alert, false)
	k.wantLate(before, 10)
	k.ok(k.Release(k.ctx, held))
	k.wantLate(before, 10, held)
}
