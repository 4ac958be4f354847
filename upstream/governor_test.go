package upstream

import (
	"testing"
	"time"
)

var t0 = time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)

// run starts every message as soon as the governor lets it and returns the times.
func run(g *Governor, n int, now time.Time) []time.Time {
	var at []time.Time
	for len(at) < n {
		room, next := g.Room(now)
		if room == 0 {
			now = next
			continue
		}
		for ; room > 0 && len(at) < n; room-- {
			g.Start(now)
			at = append(at, now)
		}
	}
	return at
}

func TestQuietMailboxSendsAtOnce(t *testing.T) {
	t.Parallel()
	at := run(NewGovernor(Limits{Connections: 3, MessagesPerMinute: 30}), 30, t0)
	if at[29] != t0 {
		t.Fatalf("message 30 started after %v, want at once", at[29].Sub(t0))
	}
}

func TestNeverMoreThanTheLimitInAnyMinute(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 7, 30, 1000} {
		at := run(NewGovernor(Limits{Connections: 3, MessagesPerMinute: limit}), 5*limit, t0)
		for i := limit; i < len(at); i++ {
			if d := at[i].Sub(at[i-limit]); d < window {
				t.Fatalf("limit %d: messages %d to %d started within %v", limit, i-limit, i, d)
			}
		}
		if took, want := at[len(at)-1].Sub(t0), 5*window; took > want {
			t.Errorf("limit %d: five minutes' mail took %v", limit, took)
		}
	}
}

func TestBacklogIsSpread(t *testing.T) {
	t.Parallel()
	at := run(NewGovernor(Limits{Connections: 3, MessagesPerMinute: 30}), 90, t0)
	for i := 31; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d < 2*time.Second {
			t.Fatalf("messages %d and %d are %v apart, want 2s or more", i-1, i, d)
		}
	}
}

func TestSpreadingEndsWithTheBacklog(t *testing.T) {
	t.Parallel()
	g := NewGovernor(Limits{Connections: 3, MessagesPerMinute: 30})
	last := run(g, 40, t0)[39]
	if n, _ := g.Room(last.Add(3 * time.Minute)); n != 30 {
		t.Fatalf("room %d three minutes after the backlog, want 30", n)
	}
}

func TestUnlimited(t *testing.T) {
	t.Parallel()
	if at := run(NewGovernor(Limits{Connections: 3}), 10000, t0); at[9999] != t0 {
		t.Fatal("an unlimited mailbox made a message wait")
	}
}

func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	g := NewGovernor(Limits{Connections: 3, MessagesPerMinute: 2})
	run(g, 2, t0)
	if n, _ := g.Room(t0.Add(-24 * time.Hour)); n != 2 {
		t.Fatalf("room %d after the clock went back a day, want 2", n)
	}
}

func TestConnectionsComeBack(t *testing.T) {
	t.Parallel()
	g := NewGovernor(Limits{Connections: 3})
	for range 5 {
		g.Shrink(t0, t0)
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {59 * time.Second, 1}, {60 * time.Second, 2}, {61 * time.Second, 2}, {2 * time.Minute, 3}, {time.Hour, 3}} {
		if n := g.Connections(t0.Add(c.after)); n != c.want {
			t.Errorf("after %v %d connections, want %d", c.after, n, c.want)
		}
	}
}

func TestShrinksOnceForWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	g := NewGovernor(Limits{Connections: 16})
	for i := range 16 { // all sixteen are refused within a second
		g.Shrink(t0.Add(-time.Second), t0.Add(time.Duration(i)*time.Millisecond))
	}
	if n := g.Connections(t0.Add(time.Second)); n != 8 {
		t.Errorf("%d connections after one wave of refusals, want 8", n)
	}
}
