package spooltest

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var settleTests = []test{
	{name: "Settle is per recipient", run: settlePerRecipient},
	{name: "Settle with all delivered removes the text", run: settleDelivered},
	{name: "Settle with a failure keeps message and text", run: settleFailed},
	{name: "Settle sets the due time, or keeps Claim's", run: settleDue},
	{name: "Settle releases the claim", run: settleReleases},
	{name: "Settle refuses what cannot be", run: settleRefuses},
	{name: "Settle appends to the trace", run: settleTrace},
	{name: "Settle keeps the last reply", run: settleReply},
}

func recipientStates(m spool.Message) []mail.RecipientState {
	var list []mail.RecipientState
	for _, r := range m.Envelope.Recipients {
		list = append(list, r.State)
	}
	return list
}

func (k *kit) wantStates(id mail.ID, want ...mail.RecipientState) {
	k.Helper()
	if diff := cmp.Diff(want, recipientStates(k.get(id))); diff != "" {
		k.Fatal(diff)
	}
}

func settlePerRecipient(k *kit) {
	id := k.putClaimed("one@example.com", "two@example.com", "three@example.com")
	k.settle(id, mail.Delivered, mail.Deferred)
	k.wantStates(id, mail.Delivered, mail.Deferred, mail.Pending)
	m := k.get(id)
	k.must(m.Settled.IsZero(), "settled with recipients left")
	k.must(m.Envelope.Recipients[0].Reply == "250 2.0.0 OK <a@b>", "reply is %q", m.Envelope.Recipients[0].Reply)
	k.must(m.Envelope.Recipients[1].Reply == "451 4.3.2 try later", "reply is %q", m.Envelope.Recipients[1].Reply)

	k.now = k.now.Add(time.Hour)
	claimed := k.claim()
	k.must(len(claimed) == 1, "claimed %d", len(claimed))
	if diff := cmp.Diff([]int{1, 2}, claimed[0].Envelope.Unsettled()); diff != "" {
		k.Fatal(diff)
	}
	k.settle(id, "", mail.Delivered, mail.Failed)
	k.wantStates(id, mail.Delivered, mail.Delivered, mail.Failed)
	k.must(k.get(id).State == mail.StateFailed, "state is %s", k.get(id).State)
	k.must(k.get(id).Settled.Equal(k.now), "settled at %v", k.get(id).Settled)
}

func settleDelivered(k *kit) {
	for _, size := range []int{100, spool.InlineLimit + 1} {
		env := k.envelope("one@example.com", "two@example.com")
		k.ok(k.Put(k.ctx, env, k.body(env.ID, string(make([]byte, size))), false))
		k.claimOnly(env.ID)
		k.settle(env.ID, mail.Delivered, mail.Delivered)
		m := k.get(env.ID)
		k.must(m.State == mail.StateDelivered && m.Settled.Equal(k.now) && m.NextAttempt.IsZero(), "got %+v", m)
		_, err := k.Open(k.ctx, env.ID)
		k.must(errors.Is(err, spool.ErrNotFound), "the text of a delivered message opens: %v", err)
	}
}

func settleFailed(k *kit) {
	id := k.putClaimed("one@example.com", "two@example.com")
	k.settle(id, mail.Delivered, mail.Failed)
	m := k.get(id)
	k.must(m.State == mail.StateFailed && m.Settled.Equal(k.now) && m.NextAttempt.IsZero(), "got %+v", m)
	k.must(k.text(id) == "text of "+id.String(), "a failed message's text is not kept")
}

func settleDue(k *kit) {
	id := k.putClaimed()
	k.settle(id, mail.Deferred)
	k.must(k.get(id).NextAttempt.Equal(k.now.Add(time.Minute)), "due at %v", k.get(id).NextAttempt)
	k.must(k.get(id).State == mail.StateDeferred, "state is %s", k.get(id).State)
	k.now = k.now.Add(time.Minute)
	k.claimOnly(id)
	due := k.now.Add(36 * time.Hour)
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Due: due, Outcomes: outcomes(mail.Deferred)}))
	k.must(k.get(id).NextAttempt.Equal(due), "due at %v, want %v", k.get(id).NextAttempt, due)
}

func settleReleases(k *kit) {
	id := k.putClaimed()
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now})) // nobody was tried
	k.wantStates(id, mail.Pending)
	k.now = k.now.Add(time.Minute)
	k.claimOnly(id)
}

func settleRefuses(k *kit) {
	settle := func(id mail.ID, what map[int]mail.Outcome) error {
		return k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: what, Events: []mail.Event{{Event: "never"}}})
	}
	id := k.put("one@example.com", "two@example.com")
	k.must(settle(id, outcomes(mail.Delivered)) != nil, "settled without a claim")
	k.must(errors.Is(settle(mail.NewID(k.now), nil), spool.ErrNotFound), "settled a message that is not there")
	k.claimOnly(id)
	k.settle(id, mail.Delivered)
	k.now = k.now.Add(time.Minute)
	k.claimOnly(id)
	before := k.get(id)
	for name, what := range map[string]map[int]mail.Outcome{
		"a settled recipient":   outcomes(mail.Failed, mail.Delivered),
		"no such recipient":     {2: outcome(mail.Delivered)},
		"a negative recipient":  {-1: outcome(mail.Delivered)},
		"an outcome of pending": {1: {State: mail.Pending}},
		"an empty outcome":      {1: {}},
	} {
		k.must(settle(id, what) != nil, "settled %s", name)
	}
	if diff := cmp.Diff(before, k.get(id)); diff != "" {
		k.Fatal("a refused settlement changed the message:", diff)
	}
	k.must(len(k.events(id)) == 1, "a refused settlement is in the trace")
	k.settle(id, "", mail.Delivered)
	k.must(settle(id, nil) != nil, "settled a message twice")
}

func settleTrace(k *kit) {
	env := k.envelope()
	env.Client = mail.Client{Address: "10.0.0.1:4000", Name: "printer"}
	id := k.putEnvelope(env, false)
	want := []mail.Event{{Time: k.now.UTC(), Event: mail.EventAccepted, Client: &env.Client}}
	for i := range 3 {
		k.claimOnly(id)
		at := k.now.UTC().Add(time.Duration(i) * time.Microsecond)
		events := []mail.Event{
			{Time: at, Event: mail.EventDeferred, Attempt: i + 1, Recipient: "one@example.com", Reply: "451 <later>", Class: mail.ClassTransient},
			{Time: at, Event: "attempt", Attempt: i + 1, Connection: "c1", DurationMS: 7, Detail: "äöü"},
		}
		want = append(want, events...)
		k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: outcomes(mail.Deferred), Events: events}))
		k.now = k.now.Add(time.Hour)
	}
	if diff := cmp.Diff(want, k.events(id)); diff != "" {
		k.Fatal(diff)
	}
}

func settleReply(k *kit) {
	id := k.putClaimed("one@example.com", "two@example.com")
	k.settle(id, mail.Deferred, mail.Failed)
	k.must(k.get(id).LastReply == "550 5.1.1 no such user", "last reply is %q", k.get(id).LastReply)
	k.now = k.now.Add(time.Minute)
	k.claimOnly(id)
	silent := map[int]mail.Outcome{0: {State: mail.Deferred, Cause: "the server does not answer"}}
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: silent}))
	k.must(k.get(id).LastReply == "the server does not answer", "last reply is %q", k.get(id).LastReply)
	k.must(k.get(id).Envelope.Recipients[0].Reply == "451 4.3.2 try later", "silence took the server's words away")
	k.now = k.now.Add(time.Hour)
	k.claimOnly(id)
	odd := map[int]mail.Outcome{0: {State: mail.Deferred, Reply: mail.Reply{Code: 451, Text: "caf\xe9 \x00"}}}
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: odd}))
	k.now = k.now.Add(time.Hour)
	k.claimOnly(id)
	k.settle(id, mail.Delivered) // the other recipient failed long ago, and that is why the message did
	k.must(k.get(id).LastReply == "550 5.1.1 no such user", "last reply is %q", k.get(id).LastReply)
}
