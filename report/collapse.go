package report

import (
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// telling is an alert as it is told: once for the first time, or for many repetitions.
type telling struct {
	Alert           // the newest
	Count       int // how often it came since it was last told; 1 for the first. Of a well: how often the trouble came
	First, Last time.Time
}

// trouble is what makes alerts identical.
type trouble struct{ kind, account, key string }

// state is what is known of one trouble. While it goes on it is told less and less often.
type state struct {
	window time.Duration // how long repetitions are collected
	due    time.Time     // when this window ends; zero: it was quiet for a whole one
	more   telling       // collected in this window; Count 0: none
	began  time.Time
	total  int
}

// The first repetitions are collected for firstWindow; each window after that is twice as long, up to lastWindow.
const (
	firstWindow = 15 * time.Minute
	lastWindow  = 4 * time.Hour
)

// troubleLimit bounds the memory of a collapser: trouble beyond it is collapsed by kind and account only. idLimit
// bounds the messages that are named in one telling.
const (
	troubleLimit = 500
	idLimit      = 20
)

// collapser decides what is told and when. It is pure: time comes in, and Run alone touches it.
type collapser map[trouble]*state

// ends says whether trouble of this kind has an end that somebody notices, and which "well" stands for. The others are
// over when they were quiet for a window.
func (t trouble) ends() bool {
	return t.kind == AlertHeld || t.kind == AlertTokens || t.kind == AlertSpool
}

// take notes an alert and says whether it is told at once: the first of its trouble is, and the end of trouble.
func (c collapser) take(a Alert, now time.Time) (telling, bool) {
	if a.Kind == AlertWell {
		return c.end(a)
	}
	k := c.trouble(a)
	s := c[k]
	if s == nil {
		s = &state{began: a.Time}
		c[k] = s
	}
	s.total++
	if s.due.IsZero() {
		s.window, s.due = firstWindow, now.Add(firstWindow)
		return telling{Alert: named(a, nil), Count: 1, First: a.Time, Last: a.Time}, true
	}
	if s.more.Count == 0 {
		s.more.First = a.Time
	}
	s.more = telling{Alert: named(a, s.more.IDs), Count: s.more.Count + 1, First: s.more.First, Last: a.Time}
	return telling{}, false
}

func (c collapser) trouble(a Alert) trouble {
	k := trouble{a.Kind, a.Account, a.Key}
	if c[k] == nil && len(c) >= troubleLimit {
		k.key = "more"
	}
	return k
}

// named keeps the ids of earlier repetitions with those of an alert, as many as are named.
func named(a Alert, earlier []mail.ID) Alert {
	ids := slices.Concat(earlier, a.IDs)
	a.IDs = ids[:min(len(ids), idLimit)]
	return a
}

// end forgets the trouble that a "well" is about (its key, or all of its account if it has none), and tells it if
// there was any: its beginning was told too.
func (c collapser) end(a Alert) (telling, bool) {
	t := telling{Alert: a, Last: a.Time}
	for k, s := range c {
		if k.ends() && k.account == a.Account && (a.Key == "" || k.key == a.Key) {
			if t.Count == 0 || s.began.Before(t.First) {
				t.First = s.began
			}
			t.Count += s.total
			delete(c, k)
		}
	}
	return t, t.Count > 0
}

// due returns what windows that ended by now have collected, oldest first. One that stayed empty is over, or, if its
// trouble has an end to be told, kept without a window: should it come again it is told at once.
func (c collapser) due(now time.Time) []telling {
	var list []telling
	for k, s := range c {
		switch {
		case s.due.IsZero() || s.due.After(now):
		case s.more.Count > 0:
			list = append(list, s.more)
			s.more = telling{}
			s.window = min(2*s.window, lastWindow)
			s.due = now.Add(s.window)
		case k.ends():
			s.due = time.Time{}
		default:
			delete(c, k)
		}
	}
	slices.SortFunc(list, func(a, b telling) int { return a.First.Compare(b.First) })
	return list
}

// next says when the earliest window ends; zero when none is open.
func (c collapser) next() (next time.Time) {
	for _, s := range c {
		if !s.due.IsZero() && (next.IsZero() || s.due.Before(next)) {
			next = s.due
		}
	}
	return next
}
