package spooltest

import (
	"context"
	"errors"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var watchTests = []test{
	{name: "Wait gives the message's outcome", run: waitOutcomes},
	{name: "Wait ends at the first settlement", run: waitBlocks},
	{name: "Wait for a refused message leaves it watched", run: waitRefused},
	{name: "Wait that ends early takes the mark off", run: waitEnds},
	{name: "Wait returns what was settled just before", run: waitJustBefore},
	{name: "Wait for what is not watched returns at once", run: waitUnwatched},
	{name: "Wait and Settle agree about the mark", run: waitRace},
	{name: "Watched lists", run: watchedLists},
	{name: "Dismiss ends waits", run: dismiss},
	{name: "Return keeps the mark", run: returnWatched},
	{name: "Forget removes only a refused message", run: forget},
	{name: "Unwatch takes the mark off", run: unwatch},
}

func waitOutcomes(k *kit) {
	refused, deferred := outcome(mail.Failed), outcome(mail.Deferred)
	partly := refused
	partly.State = mail.Deferred
	for _, c := range []struct {
		states  []mail.RecipientState
		want    mail.Outcome
		watched bool
	}{
		{[]mail.RecipientState{mail.Delivered, mail.Delivered}, outcome(mail.Delivered), false},
		{[]mail.RecipientState{mail.Failed, mail.Failed}, refused, true},
		{[]mail.RecipientState{mail.Delivered, mail.Failed}, partly, false},
		{[]mail.RecipientState{mail.Deferred, mail.Failed}, partly, false},
		{[]mail.RecipientState{mail.Deferred, mail.Delivered}, deferred, false},
		{[]mail.RecipientState{mail.Deferred, mail.Deferred}, deferred, false},
		{[]mail.RecipientState{"", mail.Failed}, partly, false},
	} {
		id := k.putWatched("one@example.com", "two@example.com")
		k.claimOnly(id)
		k.settle(id, c.states...)
		got, known := k.Wait(k.ctx, id)
		k.must(known, "%v: no outcome", c.states)
		if diff := cmp.Diff(c.want, got); diff != "" {
			k.Errorf("%v: %s", c.states, diff)
		}
		k.must(k.get(id).Watched == c.watched, "%v: watched is %v", c.states, !c.watched)
	}
}

func waitBlocks(k *kit) {
	id := k.putWatched()
	k.claimOnly(id)
	got := make(chan mail.Outcome)
	go func() {
		o, _ := k.Wait(k.ctx, id)
		got <- o
	}()
	k.settle(id, mail.Delivered)
	k.must((<-got).State == mail.Delivered, "another outcome")
	_, known := k.Wait(k.ctx, id)
	k.must(!known, "the outcome was given twice")
}

func waitRefused(k *kit) {
	id := k.putWatched()
	k.claimOnly(id)
	k.settle(id, mail.Failed)
	o, known := k.Wait(k.ctx, id)
	k.must(known && o.State == mail.Failed, "got %+v, %v", o, known)
	m := k.get(id)
	k.must(m.State == mail.StateFailed && m.Watched, "got %+v", m)
	k.must(k.text(id) != "", "no text")
	k.ok(k.Forget(k.ctx, id))
	_, err := k.Get(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Get: %v", err)
	_, err = k.Trace(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Trace: %v", err)
	_, err = k.Open(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Open: %v", err)
}

func waitEnds(k *kit) {
	id := k.putWatched()
	k.claimOnly(id)
	k.must(k.get(id).Watched, "not watched after Put")
	_, known := k.waitNow(id)
	k.must(!known, "an outcome before any settlement")
	k.must(!k.get(id).Watched, "still watched")
	k.settle(id, mail.Failed)
	m := k.get(id)
	k.must(m.State == mail.StateFailed && !m.Watched, "a refused message whose client has gone: %+v", m)
	k.must(k.Forget(k.ctx, id) != nil, "forgot a message nobody was told about")
}

func waitJustBefore(k *kit) {
	for _, s := range []mail.RecipientState{mail.Delivered, mail.Deferred, mail.Failed} {
		id := k.putWatched()
		k.claimOnly(id)
		k.settle(id, s)
		o, known := k.waitNow(id)
		k.must(known && o.State == s, "got %+v, %v; want %s", o, known, s)
		k.must(k.get(id).Watched == (s == mail.Failed), "%s: watched is wrong", s)
	}
}

func waitUnwatched(k *kit) {
	id := k.put()
	_, known := k.Wait(k.ctx, id)
	k.must(!known, "an outcome for a message that is not watched")
	_, known = k.Wait(k.ctx, mail.NewID(k.now))
	k.must(!known, "an outcome for a message that is not there")
	k.Dismiss(id, mail.NewID(k.now))
}

// waitRace: whichever comes first, a refused message is watched if and only if its sender has been told.
func waitRace(k *kit) {
	for range 100 {
		id := k.putWatched()
		k.claimOnly(id)
		ctx, cancel := context.WithCancel(k.ctx)
		known := make(chan bool)
		go func() {
			_, ok := k.Wait(ctx, id)
			known <- ok
		}()
		go cancel()
		k.settle(id, mail.Failed)
		told, m := <-known, k.get(id)
		k.must(m.Watched == told, "told %v, but watched %v", told, m.Watched)
	}
}

func watchedLists(k *kit) {
	a, b := k.putWatched(), k.putWatched()
	k.put()
	env := k.envelope()
	env.Account = "b"
	other := k.putEnvelope(env, true)
	k.must(slices.Equal(k.Watched("a"), []mail.ID{a, b}), "got %v", k.Watched("a"))
	k.must(slices.Equal(k.Watched("b"), []mail.ID{other}), "got %v", k.Watched("b"))
	k.claim()
	k.must(len(k.Watched("a")) == 2, "a claimed message is no longer watched")
	k.settle(a, mail.Failed)
	k.must(slices.Equal(k.Watched("a"), []mail.ID{b}), "a settled message is listed: %v", k.Watched("a"))
	k.waitNow(b)
	k.must(len(k.Watched("a")) == 0, "got %v", k.Watched("a"))
}

func dismiss(k *kit) {
	a, b := k.putWatched(), k.putWatched()
	k.claim()
	done := make(chan bool)
	for _, id := range []mail.ID{a, b} {
		go func() {
			_, known := k.Wait(k.ctx, id)
			done <- known
		}()
	}
	k.Dismiss(a, b, a)
	for range 2 {
		k.must(!<-done, "an outcome after Dismiss")
	}
	k.must(len(k.Watched("a")) == 0, "got %v", k.Watched("a"))
	k.must(!k.get(a).Watched && !k.get(b).Watched, "still watched")

	c := k.putWatched()
	k.claimOnly(c)
	k.settle(c, mail.Failed)
	k.Dismiss(c) // too late: the outcome stands
	o, known := k.Wait(k.ctx, c)
	k.must(known && o.State == mail.Failed && k.get(c).Watched, "got %+v, %v", o, known)
}

func returnWatched(k *kit) {
	id := k.putWatched()
	k.claimOnly(id)
	k.ok(k.Return(k.ctx, id))
	k.must(slices.Equal(k.Watched("a"), []mail.ID{id}) && k.get(id).Watched, "the mark is gone")
	k.claimOnly(id)
	k.settle(id, mail.Delivered)
	o, known := k.Wait(k.ctx, id)
	k.must(known && o.State == mail.Delivered, "got %+v, %v", o, known)
}

func forget(k *kit) {
	k.must(errors.Is(k.Forget(k.ctx, mail.NewID(k.now)), spool.ErrNotFound), "forgot a message that is not there")
	waiting := k.putWatched()
	k.must(k.Forget(k.ctx, waiting) != nil, "forgot a waiting message")
	k.claimOnly(waiting)
	k.must(k.Forget(k.ctx, waiting) != nil, "forgot a claimed message")
	k.settle(waiting, mail.Delivered)
	k.must(k.Forget(k.ctx, waiting) != nil, "forgot a delivered message")
	partly := k.putWatched("one@example.com", "two@example.com")
	k.claimOnly(partly)
	k.settle(partly, mail.Delivered, mail.Failed)
	k.must(k.Forget(k.ctx, partly) != nil, "forgot a message that was refused in part")
	k.must(k.get(partly).State == mail.StateFailed, "it is gone")
}

func unwatch(k *kit) {
	k.must(errors.Is(k.Unwatch(k.ctx, mail.NewID(k.now)), spool.ErrNotFound), "unwatched a message that is not there")
	id := k.putWatched()
	k.claimOnly(id)
	k.settle(id, mail.Failed)
	k.Wait(k.ctx, id)
	k.ok(k.Unwatch(k.ctx, id))
	m := k.get(id)
	k.must(m.State == mail.StateFailed && !m.Watched, "got %+v", m)
	k.must(k.Forget(k.ctx, id) != nil, "forgot a message whose client has gone")
	k.must(k.text(id) != "", "its text is gone")
}
