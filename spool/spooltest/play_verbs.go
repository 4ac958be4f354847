package spooltest

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/mailbearer/mailbearer/mail"
)

func (g *player) hold(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "hold", g.s.Hold(g.ctx(), id), g.m.hold(id))
}

func (g *player) release(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "release", g.s.Release(g.ctx(), id), g.m.release(id))
}

func (g *player) retry(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "retry", g.s.Retry(g.ctx(), id), g.m.retry(id))
}

func (g *player) drop(t *rapid.T) {
	id := g.pick(t)
	g.same(t, "drop", g.s.Drop(g.ctx(), id), g.m.drop(id))
}

// report puts a report, which the spool must refuse when the model says that there is nothing to tell.
func (g *player) report(t *rapid.T) {
	kind := rapid.SampledFrom([]mail.Kind{mail.KindFailure, mail.KindSuccess, mail.KindDelay}).Draw(t, "kind")
	x := &modelMessage{id: mail.NewID(time.Now()), received: g.now, due: g.now, about: g.pick(t),
		recipients: []mail.RecipientState{mail.Pending}, told: make([]bool, 1), asked: make([]bool, 1), warned: true, events: []string{mail.EventAccepted}}
	env := &mail.Envelope{ID: x.id, Account: g.m.account, Received: g.now, About: x.about, Kind: kind, Tells: drawRecipients(t),
		Recipients: []mail.Recipient{{Address: "a@example.com", State: mail.Pending}}}
	allowed := false
	switch kind {
	case mail.KindDelay:
		allowed = g.m.setWarned(x.about, false)
	case mail.KindFailure:
		allowed = g.m.setTold(x.about, env.Tells, mail.Failed, false)
	default:
		allowed = g.m.setTold(x.about, env.Tells, mail.Delivered, false)
	}
	g.same(t, "report", g.s.Put(g.ctx(), env, g.s.NewBody(x.id), false), allowed)
	if allowed {
		g.m.messages[x.id] = x
	}
}

func (g *player) mark(t *rapid.T) {
	id := g.pick(t)
	if rapid.Bool().Draw(t, "warned") {
		g.same(t, "warned", g.s.Warned(g.ctx(), id), g.m.setWarned(id, true))
		return
	}
	recipients := drawRecipients(t)
	g.same(t, "told", g.s.Told(g.ctx(), id, recipients...), g.m.setTold(id, recipients, "", true))
}

// drawRecipients draws some of the recipients that a message may have.
func drawRecipients(t *rapid.T) []int {
	return rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 0, 3, rapid.ID[int]).Draw(t, "recipients")
}

// lose takes a text away.
func (g *player) lose(t *rapid.T) {
	id := g.pick(t)
	g.s.Lose(id)
	if x := g.m.messages[id]; x != nil {
		x.lost = true
	}
}

// purge removes all that it may, of a game that failed before too; compare finds what it should have left.
func (g *player) purge(t *rapid.T) {
	all := time.Now().Add(time.Hour)
	n, err := g.s.Purge(g.ctx(), all, all, 1<<20)
	g.same(t, "purge", err, true)
	if want := g.m.purge(); n < want {
		t.Fatalf("purged %d, want %d", n, want)
	}
}

// clear ends a game: whatever stands in the way is taken away, and everything is dropped.
func (g *player) clear(t *rapid.T) {
	for _, id := range slices.Sorted(maps.Keys(g.m.messages)) {
		g.same(t, "unwatch", g.s.Unwatch(g.ctx(), id), true)
		g.same(t, "drop", g.s.Drop(g.ctx(), id), true)
	}
}
