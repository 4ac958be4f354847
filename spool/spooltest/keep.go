package spooltest

import (
	"errors"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var keepTests = []test{
	{name: "Purge removes what was settled long ago", run: purge},
	{name: "Purge goes in batches", run: purgeBatches},
	{name: "Purge leaves failures nobody was told about", run: purgeUntold},
	{name: "Purge makes room", maxSize: 100, run: purgeMakesRoom},
	{name: "List goes in pages", run: pages},
	{name: "HeldSince", run: heldSince},
	{name: "HeldSince outlives Purge while mail waits", run: heldPurge},
}

func (k *kit) purge(delivered, failed time.Time, limit, want int) {
	k.Helper()
	n, err := k.Purge(k.ctx, delivered, failed, limit)
	k.ok(err)
	k.must(n == want, "purged %d, want %d", n, want)
}

func purge(k *kit) {
	delivered, failed, deferred, claimed, ready, _ := k.stock()
	k.ok(k.Told(k.ctx, failed, 0))
	after := k.now.Add(time.Millisecond)
	k.purge(k.now, k.now, 100, 0) // before, not at
	k.purge(time.Time{}, time.Time{}, 100, 0)
	k.purge(after, k.now, 100, 1)
	_, err := k.Get(k.ctx, delivered)
	k.must(errors.Is(err, spool.ErrNotFound), "got %v", err)
	_, err = k.Trace(k.ctx, delivered)
	k.must(errors.Is(err, spool.ErrNotFound), "got %v", err)
	k.must(k.text(failed) != "", "the failed one's text is gone")
	k.purge(k.now, after, 100, 1)
	_, err = k.Open(k.ctx, failed)
	k.must(errors.Is(err, spool.ErrNotFound), "got %v", err)
	k.purge(k.now.Add(1000*time.Hour), k.now.Add(1000*time.Hour), 100, 0)
	for _, id := range []mail.ID{deferred, claimed, ready} {
		k.must(k.text(id) != "", "a queued message's text is gone")
	}
}

func purgeBatches(k *kit) {
	var list []mail.ID
	for range 7 {
		list = append(list, k.put())
	}
	k.claim()
	for i, id := range list {
		state := mail.Delivered
		if i >= 4 {
			state = mail.Failed
		}
		k.settle(id, state)
		if state == mail.Failed {
			k.ok(k.Told(k.ctx, id, 0))
		}
	}
	after := k.now.Add(time.Hour)
	for _, want := range []int{3, 3, 1, 0, 0} {
		k.purge(after, after, 3, want)
	}
	k.purge(after, after, 0, 0)
}

func purgeUntold(k *kit) {
	failed, after := k.putFailed(), k.now.Add(time.Hour)
	watched := k.putWatched()
	k.claimOnly(watched)
	k.settle(watched, mail.Failed)
	k.purge(after, after, 100, 0)
	k.ok(k.Told(k.ctx, failed, 0))
	k.purge(after, after, 100, 1)
	k.Wait(k.ctx, watched)
	k.ok(k.Forget(k.ctx, watched))
}

func purgeMakesRoom(k *kit) {
	env := k.envelope()
	k.ok(k.Put(k.ctx, env, k.body(env.ID, string(make([]byte, 100))), false))
	k.claimOnly(env.ID)
	k.settle(env.ID, mail.Failed)
	k.ok(k.Told(k.ctx, env.ID, 0))
	k.purge(time.Time{}, k.now.Add(time.Hour), 100, 1)
	next := k.envelope()
	k.ok(k.Put(k.ctx, next, k.body(next.ID, string(make([]byte, 100))), false))
}

func pages(k *kit) {
	var want []mail.ID
	for range 10 {
		want = append(want, k.put())
	}
	k.claim()
	k.settle(want[3], mail.Delivered)
	for _, state := range []mail.State{"", mail.StateReady} {
		var got []mail.ID
		for f := (spool.Filter{State: state, Limit: 4, Now: k.now}); ; f.After = got[len(got)-1] {
			page, err := k.List(k.ctx, f)
			k.ok(err)
			k.must(len(page) <= 4, "a page of %d", len(page))
			if len(page) == 0 {
				break
			}
			got = append(got, messageIDs(page)...)
		}
		k.must(slices.Equal(got, slices.Concat(want[:3], want[4:])), "got %v of %v", got, want)
	}
	k.wantList("delivered after", spool.Filter{State: mail.StateDelivered, After: want[3]}, nil)
	k.wantList("delivered", spool.Filter{State: mail.StateDelivered, After: want[2]}, []mail.ID{want[3]})
}

func (k *kit) setState(state mail.AccountState, since time.Time) {
	k.Helper()
	k.ok(k.SetAccount(k.ctx, mail.Account{Name: "a", State: state, Since: since}))
}

// wantHeld allows for the time that the test itself takes.
func (k *kit) wantHeld(since time.Time, want time.Duration) {
	k.Helper()
	got, err := k.HeldSince(k.ctx, "a", since)
	k.ok(err)
	k.must(got >= want && got <= want+time.Since(k.now)+time.Millisecond, "held for %v, want %v", got, want)
}

func heldSince(k *kit) {
	long := k.now.Add(-10 * time.Hour)
	k.wantHeld(long, 0)
	k.setState(mail.AccountReady, k.now)
	k.wantHeld(long, 0)
	k.setState(mail.AccountHeld, k.now.Add(-2*time.Hour))
	k.setState(mail.AccountHeld, k.now) // goes on; it is only written again
	k.setState(mail.AccountRefreshing, k.now)
	k.wantHeld(long, 2*time.Hour)
	k.wantHeld(k.now.Add(-time.Hour), time.Hour)
	k.wantHeld(k.now.Add(time.Hour), 0)
	k.setState(mail.AccountReady, k.now)
	k.setState(mail.AccountReady, k.now)
	k.wantHeld(long, 2*time.Hour)
	k.wantHeld(k.now.Add(-time.Hour), time.Hour)
	k.setState(mail.AccountHeld, k.now.Add(-5*time.Hour)) // overlaps the first by two hours
	k.wantHeld(long, 5*time.Hour)
	k.setState(mail.AccountReady, k.now)
	k.setState(mail.AccountHeld, k.now.Add(time.Hour)) // a clock that was wrong
	k.wantHeld(long, 5*time.Hour)
	other, err := k.HeldSince(k.ctx, "b", long)
	k.ok(err)
	k.must(other == 0, "another account was held for %v", other)
}

func heldPurge(k *kit) {
	env := k.envelope()
	env.Received = k.now.Add(-5 * time.Hour)
	k.putEnvelope(env, false)
	k.setState(mail.AccountHeld, k.now.Add(-2*time.Hour))
	k.setState(mail.AccountReady, k.now)
	k.purge(k.now.Add(time.Hour), time.Time{}, 10, 0)
	k.wantHeld(env.Received, 2*time.Hour)
	k.ok(k.Drop(k.ctx, env.ID))
	k.purge(k.now.Add(time.Hour), time.Time{}, 10, 0)
	k.wantHeld(env.Received, 0)
}
