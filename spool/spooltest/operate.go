package spooltest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var operateTests = []test{
	{name: "Hold sets aside until Release", run: holdAndRelease},
	{name: "Hold refuses what is settled or being sent", run: holdRefuses},
	{name: "Hold ends the wait of a client", run: holdEndsWait},
	{name: "Retry makes a deferred message due at once", run: retryDeferred},
	{name: "Retry makes failed recipients pending, and leaves delivered ones", run: retryFailed},
	{name: "Retry refuses what cannot be", run: retryRefuses},
	{name: "Release and Retry start the age anew", run: ageStartsAnew},
	{name: "Drop removes a message in any state", maxSize: 1000, run: drop},
	{name: "Verbs take a claim that has lapsed", run: lapsedClaim},
	{name: "Verbs know what is not there", run: verbsNotThere},
	{name: "Verbs wake", run: verbsWake},
	{name: "AskProbe counts and wakes", run: askProbe},
	{name: "Saw merges visits that look the same", run: saw},
}

func saw(k *kit) {
	early, late := time.UnixMilli(1_000_000).UTC(), time.UnixMilli(2_000_000).UTC()
	k.ok(k.Saw(k.ctx, []mail.Visit{
		{Address: "10.0.0.1", Name: "printer", First: early, Last: early, Count: 1, Accepted: 2, Repairs: map[string]int{"date": 1}},
		{Address: "10.0.0.2", Name: "nas", First: early, Last: early, Count: 1},
	}))
	k.ok(k.Saw(k.ctx, []mail.Visit{{Address: "10.0.0.1", Name: "printer", First: late, Last: late, Count: 3, Accepted: 1, Repairs: map[string]int{"date": 2}}}))
	got, err := k.Clients(k.ctx)
	k.ok(err)
	want := []mail.Visit{
		{Address: "10.0.0.1", Name: "printer", First: early, Last: late, Count: 4, Accepted: 3, Repairs: map[string]int{"date": 3}},
		{Address: "10.0.0.2", Name: "nas", First: early, Last: early, Count: 1},
	}
	k.must(cmp.Equal(got, want), "%s", cmp.Diff(want, got))
}

func askProbe(k *kit) {
	asked, err := k.ProbesAsked(k.ctx)
	k.ok(err)
	k.must(len(asked) == 0, "asked already: %v", asked)
	for range 2 {
		k.ok(k.AskProbe(k.ctx, "a"))
		k.ok(k.AskProbe(k.ctx, "b"))
		<-k.Changed()
	}
	asked, err = k.ProbesAsked(k.ctx)
	k.ok(err)
	k.must(len(asked) == 2 && asked["a"] == 2 && asked["b"] == 2, "asked: %v", asked)
}

// verbs are what an operator does, by name.
func (k *kit) verbs() map[string]func(context.Context, mail.ID) error {
	return map[string]func(context.Context, mail.ID) error{
		"Hold": k.Hold, "Release": k.Release, "Retry": k.Retry, "Drop": k.Drop,
	}
}

func (k *kit) wantEvents(id mail.ID, want ...string) {
	k.Helper()
	var got []string
	for _, e := range k.events(id) {
		got = append(got, e.Event)
		if (e.Event == "held" || e.Event == "released" || e.Event == "retried") && e.Detail != "by an operator" {
			k.Errorf("the detail of %s is %q", e.Event, e.Detail)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Fatal(diff)
	}
}

func holdAndRelease(k *kit) {
	id := k.put()
	k.ok(k.Hold(k.ctx, id))
	k.ok(k.Hold(k.ctx, id)) // held is held
	m := k.get(id)
	k.must(m.State == mail.StateHeld && m.NextAttempt.IsZero(), "got %+v", m)
	req := k.request()
	req.Now, req.DueOrNot = k.now.Add(1000*time.Hour), true
	k.must(len(k.claimBy(req)) == 0, "claimed a held message")
	_, waits, err := k.NextDue(k.ctx, "a")
	k.ok(err)
	k.must(!waits, "a held message is due")
	counts, err := k.Counts(k.ctx)
	k.ok(err)
	k.must(counts["a"] == spool.Counts{Held: 1}, "counts are %+v", counts)
	k.wantList("held", spool.Filter{State: mail.StateHeld}, []mail.ID{id})
	k.ok(k.Release(k.ctx, id))
	k.must(k.get(id).State == mail.StateReady, "state is %s", k.get(id).State)
	k.claimOnly(id)
	k.wantEvents(id, "accepted", "held", "released")
	k.settle(id, mail.Deferred)
	k.ok(k.Hold(k.ctx, id))
	k.ok(k.Release(k.ctx, id))
	k.claimOnly(id) // at once, whatever was scheduled
}

func holdRefuses(k *kit) {
	delivered, failed, _, claimed, ready, _ := k.stock()
	k.must(errors.Is(k.Hold(k.ctx, claimed), spool.ErrBusy), "held what is being sent")
	for _, id := range []mail.ID{delivered, failed} {
		err := k.Hold(k.ctx, id)
		k.must(err != nil && !errors.Is(err, spool.ErrBusy), "held what is settled: %v", err)
	}
	k.must(k.Release(k.ctx, ready) != nil, "released what is not held")
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: claimed, Now: k.now, Outcomes: outcomes(mail.Delivered)}))
	k.wantEvents(claimed, "accepted")
}

func holdEndsWait(k *kit) {
	id := k.putWatched()
	known := make(chan bool)
	go func() {
		_, ok := k.Wait(k.ctx, id)
		known <- ok
	}()
	k.ok(k.Hold(k.ctx, id))
	k.must(!<-known, "an outcome for a held message")
	k.ok(k.Release(k.ctx, id))
	k.claimOnly(id)
	k.settle(id, mail.Failed)
	k.must(!k.get(id).Watched, "it is watched by nobody")
}

func retryDeferred(k *kit) {
	id := k.putClaimed()
	k.settle(id, mail.Deferred)
	k.must(len(k.claim()) == 0, "it is due already")
	k.ok(k.Retry(k.ctx, id))
	claimed := k.claim()
	k.must(len(claimed) == 1 && claimed[0].Attempt == 2, "got %+v", claimed)
	k.ok(k.Return(k.ctx, id))
	k.claimOnly(id) // Return gives it back as it was: due
	k.wantEvents(id, "accepted", "retried")
}

func retryFailed(k *kit) {
	id := k.putClaimed("one@example.com", "two@example.com", "three@example.com")
	k.settle(id, mail.Delivered, mail.Failed, mail.Deferred)
	k.now = k.now.Add(time.Hour)
	k.claimOnly(id)
	k.settle(id, "", "", mail.Failed)
	k.must(k.get(id).State == mail.StateFailed, "state is %s", k.get(id).State)
	k.ok(k.Retry(k.ctx, id))
	k.wantStates(id, mail.Delivered, mail.Pending, mail.Pending)
	m := k.get(id)
	k.must(m.State == mail.StateReady && m.Settled.IsZero() && m.Attempts == 2, "got %+v", m)
	k.must(k.text(id) != "", "its text is gone")
	claimed := k.claim()
	k.must(len(claimed) == 1 && claimed[0].Attempt == 3, "got %+v", claimed)
	if diff := cmp.Diff([]int{1, 2}, claimed[0].Envelope.Unsettled()); diff != "" {
		k.Fatal(diff)
	}
	k.settle(id, "", mail.Delivered, mail.Delivered)
	k.must(k.get(id).State == mail.StateDelivered, "state is %s", k.get(id).State)
	k.wantEvents(id, "accepted", "retried")

	waiting := k.putClaimed("one@example.com", "two@example.com")
	k.settle(waiting, mail.Failed, mail.Deferred)
	k.ok(k.Retry(k.ctx, waiting))
	k.wantStates(waiting, mail.Pending, mail.Deferred)
}

func retryRefuses(k *kit) {
	delivered, _, _, claimed, ready, _ := k.stock()
	k.must(errors.Is(k.Retry(k.ctx, claimed), spool.ErrBusy), "retried what is being sent")
	k.must(k.Retry(k.ctx, delivered) != nil, "retried what was delivered")
	k.ok(k.Hold(k.ctx, ready))
	k.must(k.Retry(k.ctx, ready) != nil, "retried what is held")
	k.must(k.get(ready).State == mail.StateHeld, "it is no longer held")

	watched := k.putWatched()
	k.claimOnly(watched)
	k.settle(watched, mail.Failed)
	k.Wait(k.ctx, watched)
	for name, do := range k.verbs() {
		if name != "Release" {
			err := do(k.ctx, watched)
			k.must(errors.Is(err, spool.ErrBusy), "%s while the client is being told: %v", name, err)
		}
	}
	k.ok(k.Unwatch(k.ctx, watched))
	k.ok(k.Retry(k.ctx, watched))
	k.claimOnly(watched)
}

func ageStartsAnew(k *kit) {
	began := time.Now()
	env := k.envelope()
	env.Received = k.now.Add(-100 * time.Hour)
	id := k.putEnvelope(env, false)
	since := func() time.Time {
		k.Helper()
		claimed := k.claim()
		k.must(len(claimed) == 1, "claimed %d", len(claimed))
		k.must(claimed[0].Since.Equal(k.get(id).Since), "Claim and Get differ")
		return claimed[0].Since
	}
	k.must(since().Equal(env.Received), "the age counts from %v, want %v", k.get(id).Since, env.Received)
	k.settle(id, mail.Failed)
	k.ok(k.Retry(k.ctx, id))
	k.must(!since().Before(began.Add(-time.Millisecond)), "Retry: the age counts from %v", k.get(id).Since)
	k.must(k.get(id).Envelope.Received.Equal(env.Received), "the time of receipt has changed")

	other := k.envelope()
	other.Received = k.now.Add(-100 * time.Hour)
	id = k.putEnvelope(other, false)
	k.ok(k.Hold(k.ctx, id))
	k.ok(k.Release(k.ctx, id))
	k.must(!since().Before(began.Add(-time.Millisecond)), "Release: the age counts from %v", k.get(id).Since)
}

func drop(k *kit) {
	sized := func() mail.ID {
		env := k.envelope()
		k.ok(k.Put(k.ctx, env, k.body(env.ID, strings.Repeat("x", 900)), false))
		return env.ID
	}
	for name, prepare := range map[string]func(mail.ID){
		"ready":    func(mail.ID) {},
		"deferred": func(id mail.ID) { k.claimOnly(id); k.settle(id, mail.Deferred) },
		"held":     func(id mail.ID) { k.ok(k.Hold(k.ctx, id)) },
		"failed":   func(id mail.ID) { k.claimOnly(id); k.settle(id, mail.Failed) },
		"settled":  func(id mail.ID) { k.claimOnly(id); k.settle(id, mail.Delivered) },
	} {
		id := sized() // there is room for one, so each must have been given back
		prepare(id)
		k.ok(k.Drop(k.ctx, id))
		_, err := k.Get(k.ctx, id)
		k.must(errors.Is(err, spool.ErrNotFound), "%s: Get: %v", name, err)
		_, err = k.Open(k.ctx, id)
		k.must(errors.Is(err, spool.ErrNotFound), "%s: Open: %v", name, err)
		_, err = k.Trace(k.ctx, id)
		k.must(errors.Is(err, spool.ErrNotFound), "%s: Trace: %v", name, err)
	}
	id := sized()
	k.claimOnly(id)
	k.must(errors.Is(k.Drop(k.ctx, id), spool.ErrBusy), "dropped what is being sent")
	k.settle(id, mail.Delivered)
}

func lapsedClaim(k *kit) {
	for name, do := range k.verbs() {
		if name == "Release" {
			continue
		}
		id := k.put()
		req := k.request()
		req.Now, req.Lease, req.DueOrNot = k.now.Add(-2*time.Hour), time.Hour, true
		k.must(len(k.claimBy(req)) == 1, "not claimed")
		k.ok(do(k.ctx, id))
		err := k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: outcomes(mail.Delivered)})
		k.must(err != nil, "%s: the lost attempt settled it", name)
		if name != "Drop" {
			k.must(k.events(id)[1].Event == "interrupted", "%s: the trace is %+v", name, k.events(id))
			k.ok(k.Drop(k.ctx, id))
		}
	}
}

func verbsNotThere(k *kit) {
	for name, do := range k.verbs() {
		err := do(k.ctx, mail.NewID(k.now))
		k.must(errors.Is(err, spool.ErrNotFound), "%s: %v", name, err)
	}
}

func verbsWake(k *kit) {
	id := k.putClaimed()
	k.settle(id, mail.Failed)
	for _, do := range []func(context.Context, mail.ID) error{k.Retry, k.Hold, k.Release} {
		select {
		case <-k.Changed():
		default:
		}
		k.ok(do(k.ctx, id))
		<-k.Changed()
	}
}
