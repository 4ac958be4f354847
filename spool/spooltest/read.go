package spooltest

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var readTests = []test{
	{name: "Open reads from the beginning", run: openTwice},
	{name: "Get, Open and Trace of what is not there", run: notThere},
	{name: "List filters", run: list},
	{name: "List by sender", run: listSender},
	{name: "Counts", run: counts},
	{name: "Accounts", run: accounts},
	{name: "Close ends everything", run: closed},
}

func openTwice(k *kit) {
	for _, size := range []int{100, spool.InlineLimit + 100} {
		env := k.envelope()
		k.ok(k.Put(k.ctx, env, k.body(env.ID, string(make([]byte, size))), false))
		first, err := k.Open(k.ctx, env.ID)
		k.ok(err)
		_, err = io.CopyN(io.Discard, first, 50)
		k.ok(err)
		k.must(len(k.text(env.ID)) == size, "the second reader did not get all")
		rest, err := io.ReadAll(first)
		k.ok(err)
		k.must(len(rest) == size-50, "the first reader got %d more, want %d", len(rest), size-50)
		k.ok(first.Close())
	}
}

func notThere(k *kit) {
	id := mail.NewID(k.now)
	_, err := k.Get(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Get: %v", err)
	_, err = k.Open(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Open: %v", err)
	_, err = k.Trace(k.ctx, id)
	k.must(errors.Is(err, spool.ErrNotFound), "Trace: %v", err)
}

// stock puts one message into each state that mail reaches by itself, and one of another account.
func (k *kit) stock() (delivered, failed, deferred, claimed, ready, other mail.ID) {
	delivered, failed, deferred, claimed = k.put(), k.put(), k.put(), k.put()
	k.claim()
	k.settle(delivered, mail.Delivered)
	k.settle(failed, mail.Failed)
	k.settle(deferred, mail.Deferred)
	ready = k.put()
	env := k.envelope()
	env.Account, env.Received = "b", k.now.Add(-time.Hour)
	other = k.putEnvelope(env, false)
	return delivered, failed, deferred, claimed, ready, other
}

func list(k *kit) {
	delivered, failed, deferred, claimed, ready, other := k.stock()
	for _, c := range []struct {
		name string
		f    spool.Filter
		want []mail.ID
	}{
		{"all that is not delivered", spool.Filter{}, []mail.ID{failed, deferred, claimed, ready, other}},
		{"an account", spool.Filter{Account: "a"}, []mail.ID{failed, deferred, claimed, ready}},
		{"no such account", spool.Filter{Account: "c"}, nil},
		{"ready", spool.Filter{State: mail.StateReady}, []mail.ID{claimed, ready, other}},
		{"deferred", spool.Filter{State: mail.StateDeferred}, []mail.ID{deferred}},
		{"deferred, but due by then", spool.Filter{State: mail.StateDeferred, Now: k.now.Add(time.Hour)}, nil},
		{"ready by then", spool.Filter{State: mail.StateReady, Now: k.now.Add(time.Hour)}, []mail.ID{deferred, claimed, ready, other}},
		{"held", spool.Filter{State: mail.StateHeld}, nil},
		{"failed", spool.Filter{State: mail.StateFailed}, []mail.ID{failed}},
		{"delivered", spool.Filter{State: mail.StateDelivered}, []mail.ID{delivered}},
		{"older", spool.Filter{OlderThan: time.Minute}, []mail.ID{other}},
		{"older by then", spool.Filter{OlderThan: time.Minute, Now: k.now.Add(-2 * time.Hour)}, nil},
		{"limit", spool.Filter{Limit: 2}, []mail.ID{failed, deferred}},
		{"account and state", spool.Filter{Account: "b", State: mail.StateReady}, []mail.ID{other}},
	} {
		if c.f.Now.IsZero() {
			c.f.Now = k.now
		}
		k.wantList(c.name, c.f, c.want)
	}
	_, err := k.List(k.ctx, spool.Filter{State: "asleep"})
	k.must(err != nil, "listed a state that does not exist")
}

func (k *kit) wantList(name string, f spool.Filter, want []mail.ID) {
	k.Helper()
	messages, err := k.List(k.ctx, f)
	k.ok(err)
	var got []mail.ID
	for _, m := range messages {
		got = append(got, m.Envelope.ID)
	}
	if !slices.Equal(got, want) {
		k.Errorf("%s: got %v, want %v", name, got, want)
	}
}

func listSender(k *kit) {
	var list []mail.ID
	for _, sender := range []string{"Scan.1@Example.com", "scan_1@example.org", "", "100%@example.com", "ÄRGER@example.com"} {
		env := k.envelope()
		env.Sender = sender
		list = append(list, k.putEnvelope(env, false))
	}
	for pattern, want := range map[string][]mail.ID{
		"*":                    list,
		"scan.1@example.com":   {list[0]},
		"SCAN*":                {list[0], list[1]},
		"*@example.com":        {list[0], list[3], list[4]},
		"s*1*example*g":        {list[1]},
		"scan_1@example.*":     {list[1]},
		"%@example.com":        nil,
		"100%*":                {list[3]},
		"ärger@*":              {list[4]},
		"*scan.1@example.com*": {list[0]},
		"a*a":                  nil,
	} {
		k.wantList(pattern, spool.Filter{Sender: pattern, Now: k.now}, want)
	}
	k.wantList("limit", spool.Filter{Sender: "*example.com", Limit: 2}, []mail.ID{list[0], list[3]})
}

func counts(k *kit) {
	got, err := k.Counts(k.ctx)
	k.ok(err)
	k.must(len(got) == 0, "an empty spool counts %v", got)
	k.now = k.now.Add(time.Hour) // so that what is deferred is so by the engine's clock
	_, _, deferred, _, _, _ := k.stock()
	k.must(k.get(deferred).State == mail.StateDeferred, "state is %s", k.get(deferred).State)
	got, err = k.Counts(k.ctx)
	k.ok(err)
	want := map[string]spool.Counts{"a": {Ready: 2, Deferred: 1, Failed: 1}, "b": {Ready: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Fatal(diff)
	}
	k.must(got["a"].Queued() == 3, "queued %d", got["a"].Queued())
}

func accounts(k *kit) {
	want := map[string]mail.Account{
		"a": {Name: "a", Mailbox: "a@example.com", State: mail.AccountHeld, Reason: "sign-in <needed>", Fix: "run authorize a",
			Since: k.now.UTC(), TokenExpires: k.now.UTC(), CredentialExpires: k.now.UTC(), LastDelivered: k.now.UTC(), LastError: "x"},
		"b": {Name: "b", State: mail.AccountReady},
	}
	k.ok(k.SetAccount(k.ctx, mail.Account{Name: "a", State: mail.AccountReady}))
	for _, a := range want {
		k.ok(k.SetAccount(k.ctx, a))
	}
	got, err := k.Accounts(k.ctx)
	k.ok(err)
	if diff := cmp.Diff(want, got); diff != "" {
		k.Fatal(diff)
	}
}

func closed(k *kit) {
	id := k.putWatched()
	env := k.envelope()
	b := k.body(env.ID, "text")
	known := make(chan bool)
	go func() {
		_, ok := k.Wait(k.ctx, id)
		known <- ok
	}()
	k.ok(k.Close())
	k.must(!<-known, "an outcome from a closed spool")
	k.must(k.Put(k.ctx, env, b, false) != nil, "put into a closed spool")
	_, _, err := k.Claim(k.ctx, k.request())
	k.must(err != nil, "claimed from a closed spool")
	_, err = k.Get(k.ctx, id)
	k.must(err != nil, "read from a closed spool")
	k.ok(k.Close())
}
