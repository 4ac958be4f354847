package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

// Each fault is played by the fake provider, once or for a while; whatever happens, each message must arrive exactly
// once and its client must have been told the truth.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault fake365.Fault
	}{
		{"535 once", fake365.Fault{At: "auth", Answer: "535 5.7.3 Authentication unsuccessful [SJ0PR01CA0001]", Times: 1}},
		{"432 at AUTH", fake365.Fault{At: "auth", Answer: "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Times: 2}},
		{"432 at the end of data", fake365.Fault{At: "end", Answer: "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending", Times: 2}},
		{"451 at MAIL", fake365.Fault{At: "mail", Answer: "451 4.7.0 Temporary server error. Please try again later. PRX4", Times: 2}},
		{"451 at the end of data", fake365.Fault{At: "end", Answer: "451 4.7.0 Temporary server error. Please try again later. PRX4", Times: 2}},
		{"421 in the banner", fake365.Fault{At: "connect", Answer: "421 4.3.2 Service not available", Times: 3}},
		{"421 at MAIL", fake365.Fault{At: "mail", Answer: "421 4.4.2 Connection dropped", Times: 3}},
		{"connection lost at connect", fake365.Fault{At: "connect", Drop: true, Times: 3}},
		{"connection lost at MAIL", fake365.Fault{At: "mail", Drop: true, Times: 1}},
		{"connection lost at the end of data, nothing taken", fake365.Fault{At: "end", Drop: true, Times: 1}},
		{"quota that looks permanent", fake365.Fault{At: "end", Answer: "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", Times: 2}},
		{"token endpoint 503", fake365.Fault{At: "token", Status: 503, Answer: `{"error":"temporarily_unavailable"}`, Times: 3}},
		{"token endpoint 429", fake365.Fault{At: "token", Status: 429, Header: map[string]string{"Retry-After": "2"}, Answer: `{}`, Times: 1}},
		{"token endpoint talks nonsense", fake365.Fault{At: "token", Status: 200, Answer: `<html>Sign in to the hotel's network</html>`, Times: 2}},
		{"something unknown", fake365.Fault{At: "end", Answer: "499 What is this", Times: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			w.fake.Fault(c.fault)
			w.start()
			var wg sync.WaitGroup
			var mu sync.Mutex
			accepted := make(map[string]string)
			for i := range 4 {
				wg.Go(func() {
					id := fmt.Sprintf("m%d", i)
					reply, err := send(w.relay.address, message(id, 4096))
					if err != nil || !strings.HasPrefix(reply, "250 ") {
						t.Errorf("%s: %q, %v", id, reply, err)
					}
					mu.Lock()
					accepted[id] = reply
					mu.Unlock()
				})
			}
			wg.Wait()
			exactlyOnce(t, accepted, w.arrived(4, 20*time.Second))
			if n := len(w.fake.Messages()); n != 4 {
				t.Errorf("%d messages arrived, 4 were sent", n)
			}
		})
	}
}

func TestRefusedMessageComesBackToItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "rcpt", Answer: "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"})
	w.start()
	reply, err := send(w.relay.address, message("x", 200))
	if err != nil || !strings.HasPrefix(reply, "550 5.1.10 RESOLVER.ADR.RecipientNotFound") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.eventually(func() bool {
		out, _, code := output("queue", "list", "--json", "--config", w.config)
		return code == 0 && strings.TrimSpace(out) == "[]"
	})
}

func TestAnswerLostAfterTheEndOfData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "end", Drop: true, Taken: true, Times: 1})
	w.start()
	if reply, err := send(w.relay.address, message("doubt", 4096)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.arrived(2, 20*time.Second) // this window is documented: at least once
	if log := w.relay.logged(); !strings.Contains(log, "in doubt") {
		t.Errorf("the log does not say that the message is in doubt:\n%s", log)
	}
}

func TestProviderDownAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		down, up func(*fake365.Server) error
	}{
		{"mail", (*fake365.Server).Down, (*fake365.Server).Up},
		{"tokens", (*fake365.Server).TokensDown, (*fake365.Server).TokensUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			if err := c.down(w.fake); err != nil {
				t.Fatal(err)
			}
			w.start()
			begin := time.Now()
			replies := crowd(t, w.relay.address, 10, 3)
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("clients waited %v for a provider that is down", d)
			}
			w.eventually(func() bool {
				out, _, _ := output("status", "--json", "--config", w.config)
				var s statusView
				return json.Unmarshal([]byte(out), &s) == nil && s.Accounts[0].State == mail.AccountHeld && s.Accounts[0].Reason != "" && s.Accounts[0].Queued == 30
			})
			time.Sleep(5 * time.Second) // an outage that lasts: the probes have slowed down
			back := time.Now()
			if err := c.up(w.fake); err != nil {
				t.Fatal(err)
			}
			exactlyOnce(t, replies, w.arrived(30, 20*time.Second))
			if d := time.Since(back); d > 5500*time.Millisecond {
				t.Errorf("everything flowed %v after its return", d)
			}
		})
	}
}

func TestTokensInvalidatedEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	accepted := map[string]string{}
	for i := range 6 {
		id := fmt.Sprintf("m%d", i)
		w.fake.ExpireTokens()
		w.fake.Down() // so that a kept connection does not hide it
		w.fake.Up()
		reply, err := send(w.relay.address, message(id, 4096))
		if err != nil {
			t.Fatal(err)
		}
		accepted[id] = reply
	}
	exactlyOnce(t, accepted, w.arrived(6, 30*time.Second))
}

func TestWrongSecretHoldsAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"oauth": fmt.Sprintf(`{ flow = "client-secret", tenant = "%s", client_id = "%s", client_secret = "wrong-secret-value" }`, w.fake.Tenant(), w.fake.ClientID())})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	var out string
	w.eventually(func() bool {
		out, _, _ = output("status", "--config", w.config)
		return strings.Contains(out, "held") && strings.Contains(out, "AADSTS7000215") && strings.Contains(out, "What to do")
	})
	if strings.Contains(out+w.relay.logged(), "wrong-secret-value") {
		t.Error("the secret is shown")
	}
}

// MAILBEARER_CRASH_ROUNDS asks for more than five kills.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{DataLatency: time.Millisecond})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\""})
	accepted := make(map[string]string)
	const clients = 8
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("MAILBEARER_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	for round := range rounds {
		w.start()
		var wg sync.WaitGroup
		var mu sync.Mutex
		for c := range clients {
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("r%d-c%d-%d", round, c, i)
					reply, err := send(w.relay.address, message(id, 4096))
					if err != nil {
						return
					}
					mu.Lock()
					accepted[id] = reply
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(150+round%8*100) * time.Millisecond)
		w.relay.kill()
		wg.Wait()
	}
	w.start()
	seen := make(map[string]int)
	w.within(time.Duration(4*rounds)*time.Second, func() bool {
		clear(seen)
		for _, m := range w.fake.Messages() {
			seen[testID(m.Data)]++
		}
		for id := range accepted {
			if seen[id] == 0 {
				return false
			}
		}
		return true
	})
	double, unknown := 0, 0
	for id, n := range seen {
		if n > 1 {
			double += n - 1
		}
		if accepted[id] == "" {
			unknown++
		}
	}
	t.Logf("%d accepted over %d kills, none lost, %d twice, %d that no client was told of", len(accepted), rounds, double, unknown)
	if limit := rounds * 3; double > limit {
		t.Errorf("%d duplicates, want at most %d: one for each upstream connection and kill", double, limit)
	}
	if limit := rounds * clients; unknown > limit {
		t.Errorf("%d unknown, want at most one for each client and kill", unknown)
	}
}

// What was under way when the relay was killed is named as in doubt by the next one, in its log and in the trace.
func TestKillLeavesNoSilentDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\""})
	w.fake.Fault(fake365.Fault{At: "end", Hang: true, Taken: true, Times: 1})
	w.start()
	reply, err := send(w.relay.address, message("doubt", 500))
	id, ok := strings.CutPrefix(reply, "250 2.0.0 queued as ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", reply, err)
	}
	w.arrived(1, 5*time.Second)
	w.relay.kill()
	w.start()
	if log := w.relay.logged(); !strings.Contains(log, `"id":"`+id+`","account":"default","attempt":1`) || !strings.Contains(log, "in doubt") {
		t.Errorf("the log does not say that %s is in doubt:\n%s", id, tail(log))
	}
	w.arrived(2, 20*time.Second)
	if out, _, _ := output("queue", "show", id, "--config", w.config); !strings.Contains(out, "in doubt") {
		t.Errorf("the trace does not say it:\n%s", out)
	}
}

func TestSignalDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{DataLatency: time.Second})
	w.start()
	type answer struct {
		reply string
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := send(w.relay.address, message("x", 4096))
		answers <- answer{reply, err}
	}()
	w.eventually(func() bool { return strings.Contains(w.relay.logged(), `"event":"accepted"`) })
	begin := time.Now()
	code := w.relay.stop()
	if a := <-answers; a.err != nil || !strings.HasPrefix(a.reply, "250 ") {
		t.Errorf("the client was told %q, %v", a.reply, a.err)
	}
	if d := time.Since(begin); code != 0 || d > 4*time.Second {
		t.Errorf("exit %d after %v", code, d)
	}
	if n := len(w.fake.Messages()); n > 1 {
		t.Errorf("%d messages", n)
	}
	w.start() // what was not sent is sent now; what was, is not sent again
	w.arrived(1, 10*time.Second)
	if !bytes.Contains([]byte(w.relay.logged()), []byte("mailbearer is ready")) || len(w.fake.Messages()) != 1 {
		t.Errorf("%d messages after the restart", len(w.fake.Messages()))
	}
}
