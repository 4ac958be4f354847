package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// shortLife is how long tokens live in TestNoMessageWaitsForAToken, and how long the sign-in service then takes for each.
// MAILBEARER_TOKEN_LIFE=30s asks for the real thing, in which an answer takes three seconds.
func shortLife(t *testing.T) (life, answer time.Duration) {
	if d, err := time.ParseDuration(os.Getenv("MAILBEARER_TOKEN_LIFE")); err == nil && d >= 4*time.Second {
		return d, d / 10
	}
	if testing.Short() {
		t.Skip("it takes three lives of a token, in real time")
	}
	return 4 * time.Second, time.Second
}

// TestNoMessageWaitsForAToken: tokens of seconds from a slow sign-in service, in real time through the whole relay. The
// mail server cuts each connection once it has taken a message, so that every message signs in, with whatever token
// there is.
func TestNoMessageWaitsForAToken(t *testing.T) {
	t.Parallel()
	life, answer := shortLife(t)
	w := newWorld(t, fake365.Options{TokenLifetime: life})
	w.start()
	if reply, err := send(w.relay.address, message("first", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err) // a token is there now; the service becomes slow
	}
	w.fake.Fault(fake365.Fault{At: "token", Delay: answer})
	before := w.fake.Counters()
	sent := 1
	for end := time.Now().Add(3 * life); time.Now().Before(end); sent++ {
		w.fake.Fault(fake365.Fault{At: "mail", Drop: true, Times: 1})
		if reply, err := send(w.relay.address, message(fmt.Sprint("m", sent), 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
			t.Fatalf("message %d: %q, %v\n%s", sent, reply, err, tail(w.relay.logged()))
		}
		time.Sleep(20 * time.Millisecond) // a pace, not a wait: the test is as long either way
	}
	w.relay.stop()
	waited, deferred := deliveries(w.relay.logged())
	after := w.fake.Counters()
	t.Logf("%d messages over tokens of %v: %v in the middle, %v at worst; %d sign-ins with %d tokens", sent, life,
		waited[len(waited)/2], waited[len(waited)-1], after.AuthOK-before.AuthOK, after.TokensIssued-before.TokensIssued)
	if len(waited) != sent || deferred != 0 || after.TokensIssued-before.TokensIssued < 3 || after.AuthOK-before.AuthOK < sent-1 {
		t.Errorf("%d of %d delivered, %d deferred; %+v", len(waited), sent, deferred, after)
	}
	if worst := waited[len(waited)-1]; worst > answer*3/4 {
		t.Errorf("a message took %v, the sign-in service %v: it has waited for a token", worst, answer)
	}
}

// deliveries are the durations in the log, in order of size, and how often something was deferred.
func deliveries(log string) (took []time.Duration, deferred int) {
	for line := range strings.Lines(log) {
		var l struct {
			Event    string `json:"event"`
			Duration int64  `json:"duration_ms"`
		}
		if json.Unmarshal([]byte(line), &l) != nil {
			continue
		}
		switch l.Event {
		case "delivered":
			took = append(took, time.Duration(l.Duration)*time.Millisecond)
		case "deferred", "held":
			deferred++
		}
	}
	slices.Sort(took)
	return took, deferred
}
