package spooltest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// Open makes a fresh, empty spool that is closed when the test ends. maxSize is its limit in octets, 0 for none.
type Open func(t *testing.T, maxSize int64) Opened

// Opened is a spool and what its disk can do to it.
type Opened struct {
	spool.Spool
	Lose func(mail.ID) // takes a text away
}

// Run holds an engine to the contract.
func Run(t *testing.T, open Open) {
	for _, group := range [][]test{putTests, claimTests, lostTests, settleTests, watchTests, readTests, operateTests, tellTests, keepTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(newKit(t, open(t, c.maxSize)))
			})
		}
	}
	t.Run("behaves like the model", func(t *testing.T) {
		t.Parallel()
		runModel(t, open(t, 0))
	})
}

type test struct {
	name    string
	maxSize int64
	run     func(*kit)
}

// kit is a spool with shorthands that fail the test on an error.
type kit struct {
	*testing.T
	Opened
	ctx context.Context
	now time.Time // when everything here happens, unless a test says otherwise
}

func newKit(t *testing.T, s Opened) *kit {
	return &kit{T: t, Opened: s, ctx: t.Context(), now: time.Now().Truncate(time.Millisecond)}
}

func (k *kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) must(fine bool, format string, args ...any) {
	k.Helper()
	if !fine {
		k.Fatalf(format, args...)
	}
}

// envelope is a small valid envelope for the account "a".
func (k *kit) envelope(recipients ...string) *mail.Envelope {
	if len(recipients) == 0 {
		recipients = []string{"one@example.com"}
	}
	env := &mail.Envelope{ID: mail.NewID(k.now), Account: "a", Sender: "device@example.com", Received: k.now}
	for _, r := range recipients {
		env.Recipients = append(env.Recipients, mail.Recipient{Address: r, State: mail.Pending})
	}
	return env
}

func (k *kit) body(id mail.ID, text string) spool.Body {
	k.Helper()
	b := k.NewBody(id)
	_, err := io.WriteString(b, text)
	k.ok(err)
	return b
}

func (k *kit) putEnvelope(env *mail.Envelope, watch bool) mail.ID {
	k.Helper()
	k.ok(k.Put(k.ctx, env, k.body(env.ID, "text of "+env.ID.String()), watch))
	return env.ID
}

func (k *kit) put(recipients ...string) mail.ID {
	k.Helper()
	return k.putEnvelope(k.envelope(recipients...), false)
}

func (k *kit) putWatched(recipients ...string) mail.ID {
	k.Helper()
	return k.putEnvelope(k.envelope(recipients...), true)
}

// request claims everything that is due, with a minute until the next attempt and an hour of lease.
func (k *kit) request() spool.ClaimRequest {
	return spool.ClaimRequest{Account: "a", Limit: 100, Now: k.now, Lease: time.Hour,
		Next: func(attempt int) time.Time { return k.now.Add(time.Duration(attempt) * time.Minute) }}
}

func (k *kit) claimBy(req spool.ClaimRequest) []spool.Claimed {
	k.Helper()
	claimed, spoilt, err := k.Claim(k.ctx, req)
	k.ok(err)
	k.must(len(spoilt) == 0, "spoilt: %+v", spoilt)
	return claimed
}

func (k *kit) claim() []spool.Claimed {
	k.Helper()
	return k.claimBy(k.request())
}

// putClaimed puts a message and claims it.
func (k *kit) putClaimed(recipients ...string) mail.ID {
	k.Helper()
	id := k.put(recipients...)
	k.claimOnly(id)
	return id
}

func (k *kit) claimOnly(id mail.ID) {
	k.Helper()
	got := ids(k.claim())
	k.must(len(got) == 1 && got[0] == id, "claimed %v, want only %v", got, id)
}

// settle settles recipients 0, 1, … with these states.
func (k *kit) settle(id mail.ID, states ...mail.RecipientState) {
	k.Helper()
	k.ok(k.Settle(k.ctx, spool.Settlement{ID: id, Now: k.now, Outcomes: outcomes(states...)}))
}

func outcomes(states ...mail.RecipientState) map[int]mail.Outcome {
	m := map[int]mail.Outcome{}
	for i, s := range states {
		if s != "" {
			m[i] = outcome(s)
		}
	}
	return m
}

// outcome is what a provider might say.
func outcome(s mail.RecipientState) mail.Outcome {
	switch s {
	case mail.Delivered:
		return mail.Outcome{State: s, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK <a@b>"}}
	case mail.Failed:
		return mail.Outcome{State: s, Reply: mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"},
			Class: mail.ClassPermanent, Cause: "the recipient does not exist", Fix: "correct the address"}
	}
	return mail.Outcome{State: s, Reply: mail.Reply{Code: 451, Enhanced: "4.3.2", Text: "try later"},
		Class: mail.ClassTransient, Cause: "the server is busy", Fix: "nothing to do"}
}

func (k *kit) get(id mail.ID) spool.Message {
	k.Helper()
	m, err := k.Get(k.ctx, id)
	k.ok(err)
	return m
}

func (k *kit) text(id mail.ID) string {
	k.Helper()
	r, err := k.Open(k.ctx, id)
	k.ok(err)
	b, err := io.ReadAll(r)
	k.ok(err)
	k.ok(r.Close())
	return string(b)
}

// waitNow is Wait for one who cannot wait: it tells what is known already.
func (k *kit) waitNow(id mail.ID) (mail.Outcome, bool) {
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	return k.Wait(ctx, id)
}

func (k *kit) events(id mail.ID) []mail.Event {
	k.Helper()
	events, err := k.Trace(k.ctx, id)
	k.ok(err)
	return events
}

func ids(claimed []spool.Claimed) []mail.ID {
	var list []mail.ID
	for _, c := range claimed {
		list = append(list, c.Envelope.ID)
	}
	return list
}
