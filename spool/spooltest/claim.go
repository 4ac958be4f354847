package spooltest

import (
	"slices"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var claimTests = []test{
	{name: "Claim takes the oldest due first", run: claimOrder},
	{name: "Claim writes attempt and due time down", run: claimIsDurable},
	{name: "Claim leaves what is not due", run: notDue},
	{name: "Claim leaves other accounts alone", run: otherAccounts},
	{name: "Claim leaves what is settled", run: claimSettled},
	{name: "Claim whose lease ends is due again", run: lease},
	{name: "Claim passes the exception over", run: except},
	{name: "Claim takes what is not due if asked", run: dueOrNot},
	{name: "Claim gives no message to two", run: claimRace},
	{name: "Return undoes a claim", run: returned},
	{name: "Claim knows the first claim of all", run: firstClaim},
	{name: "Return names what is not claimed", run: returnUnclaimed},
	{name: "NextDue", run: nextDue},
	{name: "Changed wakes", run: changed},
}

func claimOrder(k *kit) {
	a, b, c := k.put(), k.put(), k.put()
	late := k.envelope()
	late.Received = k.now.Add(-time.Minute)
	first := k.putEnvelope(late, false) // the youngest id, and due before the others
	req := k.request()
	req.Limit = 0
	k.must(len(k.claimBy(req)) == 0, "a limit of 0 is none")
	req.Limit = 3
	got := ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{first, a, b}), "got %v", got)
	got = ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{c}), "got %v", got)
}

func claimIsDurable(k *kit) {
	id := k.put()
	for attempt := 1; attempt <= 3; attempt++ {
		claimed := k.claim()
		k.must(len(claimed) == 1, "attempt %d: claimed %d", attempt, len(claimed))
		next := k.now.Add(time.Duration(attempt) * time.Minute)
		k.must(claimed[0].First == (attempt == 1), "attempt %d: first is %v", attempt, claimed[0].First)
		k.must(claimed[0].Attempt == attempt, "attempt is %d, want %d", claimed[0].Attempt, attempt)
		k.must(claimed[0].Next.Equal(next), "next is %v, want %v", claimed[0].Next, next)
		m := k.get(id)
		k.must(m.Attempts == attempt, "attempts are %d on disk, want %d", m.Attempts, attempt)
		k.must(m.NextAttempt.Equal(next), "next attempt is %v on disk, want %v", m.NextAttempt, next)
		k.must(m.State == mail.StateReady, "a claimed message is shown as %s", m.State)
		k.settle(id, mail.Deferred)
		k.now = next
	}
}

func notDue(k *kit) {
	id := k.putClaimed()
	k.settle(id, mail.Deferred)
	k.must(len(k.claim()) == 0, "claimed before it was due")
	k.now = k.now.Add(time.Minute - time.Millisecond)
	k.must(len(k.claim()) == 0, "claimed before it was due")
	k.now = k.now.Add(time.Millisecond)
	k.claimOnly(id)
}

func otherAccounts(k *kit) {
	env := k.envelope()
	env.Account = "b"
	k.putEnvelope(env, false)
	k.must(len(k.claim()) == 0, "claimed another account's message")
	req := k.request()
	req.Account = "b"
	k.must(len(k.claimBy(req)) == 1, "did not claim its own")
}

func claimSettled(k *kit) {
	k.put()
	k.put()
	claimed := ids(k.claim())
	k.settle(claimed[0], mail.Delivered)
	k.settle(claimed[1], mail.Failed)
	req := k.request()
	req.Now, req.DueOrNot = k.now.Add(1000*time.Hour), true
	k.must(len(k.claimBy(req)) == 0, "claimed a settled message")
}

func lease(k *kit) {
	id := k.putClaimed()
	k.now = k.now.Add(time.Hour - time.Millisecond)
	k.must(len(k.claim()) == 0, "claimed during another's lease")
	k.now = k.now.Add(time.Millisecond)
	claimed := k.claim()
	k.must(len(claimed) == 1 && claimed[0].Attempt == 2, "got %+v", claimed)
	k.ok(k.Return(k.ctx, id))
	m := k.get(id)
	k.must(m.NextAttempt.Equal(k.now), "it was due when the lease ended, not %v", m.NextAttempt)
}

func except(k *kit) {
	a, b := k.put(), k.put()
	req := k.request()
	req.Limit, req.Except = 1, a
	got := ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{b}), "got %v, want the other", got)
	got = ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{a}), "got %v: there was no other", got)
	k.ok(k.Return(k.ctx, a, b))
	req.Limit = 2
	got = ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{b}), "got %v, want only the other", got)
}

func dueOrNot(k *kit) {
	a, b := k.put(), k.put()
	k.claim()
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: a, Now: k.now, Due: k.now.Add(2 * time.Hour), Outcomes: outcomes(mail.Deferred)}))
	req := k.request()
	req.DueOrNot = true
	got := ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{a}), "got %v: b is claimed, a waits", got)
	k.ok(k.Return(k.ctx, a, b))
	got = ids(k.claimBy(req))
	k.must(slices.Equal(got, []mail.ID{b, a}), "got %v, want the earlier due first", got)
}

func claimRace(k *kit) {
	const messages = 60
	for range messages {
		k.put()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	times := map[mail.ID]int{}
	for range 4 {
		wg.Go(func() {
			req := k.request()
			req.Limit = 7
			for {
				claimed, _, err := k.Claim(k.ctx, req)
				if err != nil || len(claimed) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claimed {
					times[c.Envelope.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	k.must(len(times) == messages, "claimed %d of %d", len(times), messages)
	for id, n := range times {
		k.must(n == 1, "%s was claimed %d times", id, n)
	}
}

func returned(k *kit) {
	id := k.putClaimed()
	k.settle(id, mail.Deferred)
	k.now = k.now.Add(time.Minute)
	due, trace := k.now, len(k.events(id))
	k.now = k.now.Add(time.Minute)
	k.claimOnly(id)
	k.ok(k.Return(k.ctx, id))
	m := k.get(id)
	k.must(m.Attempts == 1, "attempts are %d, want 1", m.Attempts)
	k.must(m.NextAttempt.Equal(due), "due at %v, want %v", m.NextAttempt, due)
	k.must(len(k.events(id)) == trace, "a returned claim is in the trace")
	k.claimOnly(id)
}

func firstClaim(k *kit) {
	id := k.put()
	first := func(want bool) {
		k.Helper()
		claimed := k.claim()
		k.must(len(claimed) == 1 && claimed[0].Attempt == 1 && claimed[0].First == want, "got %+v, want first: %v", claimed, want)
		k.ok(k.Return(k.ctx, id))
	}
	first(true)
	first(false)
	k.ok(k.Hold(k.ctx, id))
	k.ok(k.Release(k.ctx, id))
	first(false)
	k.ok(k.Retry(k.ctx, id))
	first(false)
}

func returnUnclaimed(k *kit) {
	waits := k.put()
	k.ok(k.Return(k.ctx))
	claimed := k.claim()
	k.must(len(claimed) == 1, "claimed %d", len(claimed))
	other := k.put()
	err := k.Return(k.ctx, other, waits)
	k.must(err != nil, "returned what was not claimed")
	k.must(len(k.claim()) == 2, "the claimed one was not returned")
}

func nextDue(k *kit) {
	due := func(want time.Time) {
		k.Helper()
		at, waits, err := k.NextDue(k.ctx, "a")
		k.ok(err)
		k.must(waits == !want.IsZero() && at.Equal(want), "due at %v, %v; want %v", at, waits, want)
	}
	due(time.Time{})
	id := k.put()
	due(k.now)
	k.claim()
	due(k.now.Add(time.Hour)) // when the lease ends
	k.settle(id, mail.Deferred)
	due(k.now.Add(time.Minute))
	k.put()
	due(k.now)
	for _, c := range k.claim() {
		k.settle(c.Envelope.ID, mail.Delivered)
	}
	k.now = k.now.Add(time.Minute)
	k.claim()
	k.settle(id, mail.Failed)
	due(time.Time{})
}

func changed(k *kit) {
	drain := func() {
		select {
		case <-k.Changed():
		default:
		}
	}
	drain()
	id := k.put()
	<-k.Changed()
	k.put() // a slow reader misses nothing but repetitions
	k.put()
	<-k.Changed()
	k.claim()
	drain()
	k.ok(k.Return(k.ctx, id))
	<-k.Changed()
}
