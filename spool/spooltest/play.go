package spooltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// modelStart is long ago, so that whatever the engine's own clock says, all of the play is in its past.
var modelStart = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)

// runModel plays on one spool; each game has an account of its own, so games do not see each other.
func runModel(t *testing.T, s Opened) {
	game := 0
	rapid.Check(t, func(t *rapid.T) {
		game++
		g := &player{T: t, s: s, now: modelStart,
			m: &model{account: fmt.Sprintf("game%d", game), messages: map[mail.ID]*modelMessage{}}}
		t.Repeat(map[string]func(*rapid.T){
			"put": g.put, "claim": g.claim, "settle": g.settle, "settle again": g.settle, "return": g.giveBack,
			"wait": g.wait, "dismiss": g.dismiss, "forget": g.forget, "unwatch": g.unwatch, "pass time": g.passTime,
			"hold": g.hold, "release": g.release, "retry": g.retry, "drop": g.drop, "report": g.report,
			"mark": g.mark, "purge": g.purge, "lose": g.lose,
			"": func(t *rapid.T) { g.compare(t, false) },
		})
		g.compare(t, true)
		g.compareTold(t)
		g.clear(t) // so that the next game's lists are short
	})
}

// player makes the same moves in the model and in the spool.
type player struct {
	*rapid.T
	s   Opened
	m   *model
	now time.Time
}

func (g *player) ctx() context.Context { return context.Background() }

// same fails unless the spool agreed to a move exactly when the model did.
func (g *player) same(t *rapid.T, move string, err error, allowed bool) {
	t.Helper()
	if (err == nil) != allowed {
		t.Fatalf("%s: got error %v, but allowed is %v", move, err, allowed)
	}
}

// pick draws one of the messages, or one that is not there.
func (g *player) pick(t *rapid.T) mail.ID {
	all := append(slices.Sorted(maps.Keys(g.m.messages)), mail.NewID(g.now))
	return rapid.SampledFrom(all).Draw(t, "message")
}

func (g *player) put(t *rapid.T) {
	x := &modelMessage{id: mail.NewID(time.Now()), received: g.now, due: g.now, watched: rapid.Bool().Draw(t, "watch")}
	env := &mail.Envelope{ID: x.id, Account: g.m.account, Sender: "a@example.com", Received: g.now}
	for i := range rapid.IntRange(1, 3).Draw(t, "recipients") {
		r := mail.Recipient{Address: fmt.Sprint("r", i), State: mail.Pending}
		asked := rapid.Bool().Draw(t, "notify")
		if asked {
			r.Notify = []string{"success"}
		}
		env.Recipients = append(env.Recipients, r)
		x.recipients, x.told, x.asked = append(x.recipients, mail.Pending), append(x.told, false), append(x.asked, asked)
	}
	if x.watched {
		x.waiter = &modelWaiter{}
	}
	b := g.s.NewBody(x.id)
	_, _ = b.Write([]byte(strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 5000}).Draw(t, "size"))))
	g.same(t, "put", g.s.Put(g.ctx(), env, b, x.watched), true)
	x.events = []string{mail.EventAccepted}
	g.m.messages[x.id] = x
}

func (g *player) claim(t *rapid.T) {
	req := spool.ClaimRequest{
		Account: g.m.account, Limit: rapid.IntRange(0, 3).Draw(t, "limit"), Now: g.now, Lease: 10 * time.Minute,
		Next:     func(attempt int) time.Time { return g.now.Add(time.Duration(attempt) * time.Minute) },
		DueOrNot: rapid.Bool().Draw(t, "due or not"),
	}
	if rapid.Bool().Draw(t, "except") {
		req.Except = g.pick(t)
	}
	want, wantLost := g.m.claim(req)
	claimed, spoilt, err := g.s.Claim(g.ctx(), req)
	g.same(t, "claim", err, true)
	if got := ids(claimed); !slices.Equal(got, want) {
		t.Fatalf("claimed %v, want %v", got, want)
	}
	if got := spoiltIDs(spoilt); !slices.Equal(got, wantLost) {
		t.Fatalf("spoilt %v, want %v", got, wantLost)
	}
	for _, c := range claimed {
		x := g.m.messages[c.Envelope.ID]
		if c.First != (x.claims == 1) {
			t.Fatalf("%s is claimed for the %d. time, first is %v", x.id, x.claims, c.First)
		}
	}
}

func (g *player) settle(t *rapid.T) {
	st := spool.Settlement{ID: g.pick(t), Now: g.now, Outcomes: map[int]mail.Outcome{}}
	n := 3
	if x := g.m.messages[st.ID]; x != nil {
		n = len(x.recipients)
	}
	for i := range n {
		state := rapid.SampledFrom([]mail.RecipientState{mail.Delivered, mail.Failed, mail.Failed, mail.Deferred, ""}).Draw(t, "state")
		if state != "" {
			st.Outcomes[i] = outcome(state)
		}
	}
	if rapid.Bool().Draw(t, "due") {
		st.Due = g.now.Add(time.Hour)
	}
	if rapid.Bool().Draw(t, "event") {
		st.Events = []mail.Event{{Event: "one"}, {Event: "two"}}
	}
	err := g.s.Settle(g.ctx(), st)
	g.same(t, "settle", err, g.m.settle(st))
}

func (g *player) giveBack(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "return", g.s.Return(g.ctx(), id), g.m.giveBack(id))
}

func (g *player) wait(t *rapid.T) {
	id := g.pick(t)
	ended, cancel := context.WithCancel(g.ctx())
	cancel()
	o, known := g.s.Wait(ended, id)
	state, want := g.m.wait(id)
	if known != want || o.State != state {
		t.Fatalf("wait: got %q, %v; want %q, %v", o.State, known, state, want)
	}
}

func (g *player) dismiss(t *rapid.T) {
	id := g.pick(t)
	g.s.Dismiss(id)
	if x := g.m.messages[id]; x != nil && x.waiter != nil {
		x.waiter.ended = true
	}
}

func (g *player) forget(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "forget", g.s.Forget(g.ctx(), id), g.m.forget(id))
}

func (g *player) unwatch(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "unwatch", g.s.Unwatch(g.ctx(), id), g.m.unwatch(id))
}

func (g *player) passTime(t *rapid.T) {
	g.now = g.now.Add(time.Duration(rapid.IntRange(1, 700).Draw(t, "seconds")) * time.Second)
}

// compare looks at everything after each move, and at the traces when the game is over.
func (g *player) compare(t *rapid.T, traces bool) {
	if diff := cmp.Diff(g.m.describe(g.now, traces), g.describe(t, traces)); diff != "" {
		t.Fatal("the spool differs from the model:", diff)
	}
	if got, want := g.s.Watched(g.m.account), g.m.watchedIDs(); !slices.Equal(got, want) {
		t.Fatalf("watched %v, want %v", got, want)
	}
	at, waits, err := g.s.NextDue(g.ctx(), g.m.account)
	g.same(t, "next due", err, true)
	if want, waiting := g.m.nextDue(); waits != waiting || !at.Equal(want) {
		t.Fatalf("next due %v, %v; want %v, %v", at, waits, want, waiting)
	}
}

// compareTold compares what is still to be told. The lists are of all games, so others are left out.
func (g *player) compareTold(t *rapid.T) {
	mine := func(list []spool.Message) (all []mail.ID) {
		for _, m := range list {
			if m.Envelope.Account == g.m.account {
				all = append(all, m.Envelope.ID)
			}
		}
		return all
	}
	list, err := g.s.Untold(g.ctx(), 1<<20)
	g.same(t, "untold", err, true)
	if want := g.m.untold(); !slices.Equal(mine(list), want) {
		t.Fatalf("untold %v, want %v", mine(list), want)
	}
	before := g.now.Add(-time.Minute)
	list, err = g.s.Late(g.ctx(), before, 1<<20)
	g.same(t, "late", err, true)
	got := mine(list)
	slices.Sort(got)
	if want := g.m.late(before); !slices.Equal(got, want) {
		t.Fatalf("late %v, want %v", got, want)
	}
}

func (g *player) describe(t *rapid.T, traces bool) (lines []string) {
	for _, state := range []mail.State{"", mail.StateDelivered} {
		messages, err := g.s.List(g.ctx(), spool.Filter{Account: g.m.account, State: state, Now: g.now})
		g.same(t, "list", err, true)
		for _, m := range messages {
			lines = append(lines, describe(m.Envelope.ID, m.State, m.Attempts, m.NextAttempt,
				marked{m.Watched, m.Reported, m.Warned}, recipientStates(m)))
			if traces {
				lines = append(lines, g.trace(t, m.Envelope.ID))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func (g *player) trace(t *rapid.T, id mail.ID) string {
	trace, err := g.s.Trace(g.ctx(), id)
	g.same(t, "trace", err, true)
	var events []string
	for _, e := range trace {
		events = append(events, e.Event)
	}
	return describeTrace(id, events)
}
