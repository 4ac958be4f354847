package spooltest

import (
	"errors"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var lostTests = []test{
	{name: "Claim names what it has to set aside", run: spoilt},
	{name: "Claim with only spoilt mail", run: onlySpoilt},
	{name: "Claim notes an attempt that was never ended before it sets aside", run: spoiltLapsed},
	{name: "Settle makes a message without its text due", run: settleLost},
	{name: "Retry and Release refuse a message without its text", run: retryLost},
}

func spoiltIDs(list []spool.Spoilt) (ids []mail.ID) {
	for _, x := range list {
		ids = append(ids, x.Envelope.ID)
	}
	return ids
}

func (k *kit) claimSpoilt(req spool.ClaimRequest, want ...mail.ID) []spool.Claimed {
	k.Helper()
	claimed, spoilt, err := k.Claim(k.ctx, req)
	k.ok(err)
	k.must(len(spoilt) == len(want), "spoilt: %+v, want %v", spoilt, want)
	for i, x := range spoilt {
		k.must(x.Envelope.ID == want[i], "%s is spoilt, want %s", x.Envelope.ID, want[i])
		k.must(errors.Is(x.Cause, spool.ErrTextMissing) && strings.Contains(x.Fix, want[i].String()), "got %+v", x)
	}
	return claimed
}

func spoilt(k *kit) {
	for _, size := range []int{0, 10, spool.InlineLimit + 1} {
		put := func(watch bool) mail.ID {
			env := k.envelope("one@example.com", "two@example.com")
			k.ok(k.Put(k.ctx, env, k.body(env.ID, strings.Repeat("x", size)), watch))
			return env.ID
		}
		lost, good := put(true), put(false)
		k.Lose(lost)
		_, err := k.Open(k.ctx, lost)
		k.must(errors.Is(err, spool.ErrTextMissing), "Open: %v", err)
		req := k.request()
		req.Limit = 1
		k.must(len(k.claimSpoilt(req, lost)) == 0, "more than the limit")
		k.claimOnly(good)
		k.wantLost(lost)
		_, known := k.Wait(k.ctx, lost)
		k.must(!known, "its client was given an outcome")
		k.settle(good, mail.Delivered, mail.Delivered)
	}
	list, err := k.Untold(k.ctx, 10)
	k.ok(err)
	k.must(len(list) == 3, "%d are to be reported, want 3", len(list))
}

// wantLost fails unless a message has failed for want of its text, and says so to whoever looks.
func (k *kit) wantLost(id mail.ID) {
	k.Helper()
	m := k.get(id)
	why := spool.ErrTextMissing.Error()
	k.must(m.State == mail.StateFailed && m.LastReply == why && m.Settled.Equal(k.now) && m.NextAttempt.IsZero(), "got %+v", m)
	for _, r := range m.Envelope.Recipients {
		k.must(r.State == mail.Failed && r.Reply == "", "got %+v", r)
	}
	events := k.events(id)
	last := events[len(events)-1]
	k.must(last.Event == mail.EventFailed && last.Cause == why && last.Fix != "" && last.Class == mail.ClassPermanent, "the trace ends with %+v", last)
}

func onlySpoilt(k *kit) {
	id := k.putClaimed("one@example.com", "two@example.com")
	k.settle(id, mail.Delivered, mail.Deferred)
	k.Lose(id)
	req := k.request()
	req.DueOrNot = true
	k.must(len(k.claimSpoilt(req, id)) == 0, "claimed")
	k.must(len(k.claimSpoilt(req)) == 0, "claimed")
	k.wantStates(id, mail.Delivered, mail.Failed)
	k.ok(k.Drop(k.ctx, id))
}

func spoiltLapsed(k *kit) {
	id := k.putClaimed()
	k.Lose(id)
	k.now = k.now.Add(time.Hour)
	k.claimSpoilt(k.request(), id)
	k.wantEvents(id, "accepted", "interrupted", "failed")
}

func settleLost(k *kit) {
	id := k.putClaimed()
	k.Lose(id) // between Claim and Open
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Due: k.now.Add(time.Hour), Outcomes: outcomes(mail.Deferred)}))
	k.must(k.get(id).NextAttempt.Equal(k.now), "due at %v, want now", k.get(id).NextAttempt)
	k.claimSpoilt(k.request(), id)
	k.wantLost(id)
	delivered := k.putClaimed()
	k.Lose(delivered) // the provider had it already
	k.settle(delivered, mail.Delivered)
	k.must(k.get(delivered).State == mail.StateDelivered, "state is %s", k.get(delivered).State)
}

func retryLost(k *kit) {
	failed, deferred, held := k.putFailed(), k.putClaimed(), k.put()
	k.settle(deferred, mail.Deferred)
	k.ok(k.Hold(k.ctx, held))
	for _, id := range []mail.ID{failed, deferred, held} {
		before := k.get(id)
		k.Lose(id)
		do := k.Retry
		if id == held {
			do = k.Release
		}
		err := do(k.ctx, id)
		k.must(errors.Is(err, spool.ErrTextMissing), "got %v", err)
		k.must(strings.Contains(err.Error(), "backup") && strings.Contains(err.Error(), "drop "+id.String()), "it does not say what to do: %v", err)
		after := k.get(id)
		k.must(after.State == before.State && after.NextAttempt.Equal(before.NextAttempt), "got %+v, was %+v", after, before)
		k.ok(k.Drop(k.ctx, id))
	}
}
