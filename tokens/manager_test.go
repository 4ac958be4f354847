package tokens

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// play is a Flow for tests: each fetch takes a while, then does what the script says.
type play struct {
	takes  time.Duration
	script func(n int) (Token, error)

	mu    sync.Mutex
	times []time.Time
}

func (p *play) Fetch(ctx context.Context) (Token, error) {
	p.mu.Lock()
	p.times = append(p.times, time.Now())
	n, takes, script := len(p.times), p.takes, p.script
	p.mu.Unlock()
	select {
	case <-time.After(takes):
		return script(n)
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
}

// change is what the provider does from now on.
func (p *play) change(takes time.Duration, script func(int) (Token, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takes, p.script = takes, script
}

func (p *play) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.times)
}

// lives returns a script whose tokens t1, t2, … all live so long.
func lives(life time.Duration) func(int) (Token, error) {
	return func(n int) (Token, error) {
		return Token{Access: fmt.Sprintf("t%d", n), Expires: time.Now().Add(life)}, nil
	}
}

func down() error {
	return &diagnose.Problem{Unreachable: true, Class: diagnose.ClassTransient, Cause: "down"}
}

// inTime runs a test in virtual time with a manager that is closed at its end.
func inTime(t *testing.T, o Options, test func(t *testing.T, m *Manager)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := New(o)
		defer m.Close()
		test(t, m)
	})
}

// running lets m renew in the background until the test ends.
func running(t *testing.T, m *Manager) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
}

func mustToken(t *testing.T, m *Manager, rejected, want string) {
	t.Helper()
	if got, err := m.Token(t.Context(), rejected); err != nil || got != want {
		t.Errorf("Token(%q) = %q, %v; want %q", rejected, got, err, want)
	}
}

// atOnce calls Token and fails if that took any time.
func atOnce(t *testing.T, m *Manager, rejected string) (string, error) {
	t.Helper()
	start := time.Now()
	access, err := m.Token(t.Context(), rejected)
	if d := time.Since(start); d != 0 {
		t.Errorf("Token waited %v", d)
	}
	return access, err
}

func problemOf(t *testing.T, err error) *diagnose.Problem {
	t.Helper()
	var p *diagnose.Problem
	if !errors.As(err, &p) {
		t.Fatalf("%v is not a Problem", err)
	}
	return p
}

func TestManyCallersOneFetch(t *testing.T) {
	flow := &play{takes: 3 * time.Second, script: lives(time.Hour)}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		var callers sync.WaitGroup
		for range 60 {
			callers.Go(func() { mustToken(t, m, "", "t1") })
		}
		callers.Wait()
		if flow.fetches() != 1 {
			t.Errorf("%d fetches, want 1", flow.fetches())
		}
	})
}

func TestCallerLeavesFetchGoesOn(t *testing.T) {
	flow := &play{takes: 3 * time.Second, script: lives(time.Hour)}
	inTime(t, Options{Name: "default", Flow: flow}, func(t *testing.T, m *Manager) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Token(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the caller's own deadline", err)
		}
		mustToken(t, m, "", "t1")
		if flow.fetches() != 1 {
			t.Errorf("%d fetches, want the one that went on", flow.fetches())
		}
	})
}

func TestShortTokensNobodyWaits(t *testing.T) {
	flow := &play{takes: 2 * time.Second, script: lives(30 * time.Second)}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		mustToken(t, m, "", "t1")
		for range 3600 {
			time.Sleep(time.Second)
			if _, err := atOnce(t, m, ""); err != nil {
				t.Fatal(err)
			}
		}
		if n := flow.fetches(); n < 200 || n > 260 {
			t.Errorf("%d fetches in an hour of 30-second tokens", n)
		}
	})
}

func TestOutageIsInvisibleUntilExpiry(t *testing.T) {
	var gone atomic.Bool
	flow := &play{takes: time.Second}
	flow.script = func(n int) (Token, error) {
		if gone.Load() {
			return Token{}, down()
		}
		return lives(time.Hour)(n)
	}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		mustToken(t, m, "", "t1")
		gone.Store(true)
		for range 59 {
			time.Sleep(time.Minute)
			if _, err := atOnce(t, m, ""); err != nil {
				t.Fatalf("at %v: %v", time.Since(m.made), err)
			}
			if s := m.State(); s.State == Held {
				t.Fatalf("held at %v", time.Since(m.made))
			}
		}
		time.Sleep(2 * time.Minute)
		_, err := atOnce(t, m, "")
		if p := problemOf(t, err); !p.Unreachable || p.Cause != "down" {
			t.Errorf("after expiry: %+v", p)
		}
		s := m.State()
		if s.State != Held || s.Problem == nil || !s.Since.Equal(s.Expires) {
			t.Errorf("after expiry: %+v", s)
		}
		gone.Store(false)
		time.Sleep(62 * time.Second)
		if _, err := atOnce(t, m, ""); err != nil || m.State().State != Ready {
			t.Errorf("a minute after the outage: %v, %+v", err, m.State())
		}
		if n := flow.fetches(); n > 150 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestYoungOutageEndsWithinSeconds(t *testing.T) {
	var gone atomic.Bool
	gone.Store(true)
	flow := &play{script: func(n int) (Token, error) {
		if gone.Load() {
			return Token{}, down()
		}
		return lives(time.Hour)(n)
	}}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		time.Sleep(4 * time.Minute)
		gone.Store(false)
		time.Sleep(backoffYoung)
		if _, err := atOnce(t, m, ""); err != nil {
			t.Errorf("4s after the outage: %v", err)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	flow := &play{script: func(n int) (Token, error) {
		if n == 1 {
			return Token{}, &diagnose.Problem{Unreachable: true, Class: diagnose.ClassThrottled, RetryAfter: 90 * time.Second}
		}
		return lives(time.Hour)(n)
	}}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		for i := range 89 {
			m.Kick()
			_, err := atOnce(t, m, "")
			p := problemOf(t, err)
			if left := p.RetryAfter + time.Duration(i)*time.Second; left < 90*time.Second || left > 99*time.Second {
				t.Fatalf("after %ds: RetryAfter %v", i, p.RetryAfter)
			}
			time.Sleep(time.Second)
		}
		if flow.fetches() != 1 {
			t.Errorf("%d fetches before the time was up", flow.fetches())
		}
		time.Sleep(11 * time.Second)
		if _, err := atOnce(t, m, ""); err != nil || flow.fetches() != 2 {
			t.Errorf("afterwards: %v, %d fetches", err, flow.fetches())
		}
	})
}

func TestFailuresBackOff(t *testing.T) {
	refused := &diagnose.Problem{Class: diagnose.ClassConfig, Cause: "wrong secret"}
	flow := &play{script: func(int) (Token, error) { return Token{}, refused }}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		for range 6000 {
			time.Sleep(100 * time.Millisecond)
			_, err := atOnce(t, m, "")
			problemOf(t, err)
		}
		if n := flow.fetches(); n < 14 || n > 22 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		n := flow.fetches()
		m.Kick()
		synctest.Wait()
		if flow.fetches() != n+1 {
			t.Error("Kick did not fetch at once")
		}
		time.Sleep(30 * time.Second)
		if flow.fetches() != n+1 {
			t.Error("Kick made the fetches after it come faster")
		}
	})
}

// A token endpoint that swallows everything must not make each message wait for its time-out; a probe does wait.
func TestHangingOutageIsToldAtOnce(t *testing.T) {
	flow := &play{takes: 24 * time.Hour}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		time.Sleep(fetchTimeout + time.Second)
		for range 200 {
			time.Sleep(time.Second)
			_, err := atOnce(t, m, "")
			problemOf(t, err)
		}
		time.Sleep(10 * time.Second)
		flow.change(time.Second, lives(time.Hour))
		m.Kick()
		if _, err := m.Token(t.Context(), ""); err != nil {
			t.Errorf("a probe: %v", err)
		}
	})
}

func TestKickDuringFetch(t *testing.T) {
	flow := &play{takes: 5 * time.Second, script: func(n int) (Token, error) {
		if n == 1 {
			return Token{}, &diagnose.Problem{Class: diagnose.ClassConfig}
		}
		return lives(time.Hour)(n)
	}}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		time.Sleep(time.Second)
		m.Kick() // the secret was changed after the fetch had read it
		time.Sleep(9*time.Second + time.Millisecond)
		if _, err := atOnce(t, m, ""); err != nil {
			t.Errorf("the second fetch did not follow at once: %v", err)
		}
	})
}

func TestRejectedIsRenewedOnce(t *testing.T) {
	flow := &play{takes: time.Second, script: lives(time.Hour)}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		mustToken(t, m, "", "t1")
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() { mustToken(t, m, "t1", "t2") })
		}
		callers.Wait()
		if got, err := atOnce(t, m, "t1"); got != "t2" || err != nil {
			t.Errorf("late with the old token: %q, %v", got, err)
		}
		if flow.fetches() != 2 {
			t.Errorf("%d fetches, want 2", flow.fetches())
		}
	})
}

func TestRefusalsDoNotLoop(t *testing.T) {
	flow := &play{script: lives(time.Hour)}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		token, _ := m.Token(t.Context(), "")
		var problems int
		for range 6000 { // a server that refuses everything, asked ten times a second for ten minutes
			next, err := atOnce(t, m, token)
			if err != nil {
				if p := problemOf(t, err); p.Class != diagnose.ClassNeedsAdmin {
					t.Fatalf("%+v", p)
				}
				problems++
				next, err = atOnce(t, m, "")
			}
			if err != nil {
				t.Fatalf("others are not served: %v", err)
			}
			token = next
			time.Sleep(100 * time.Millisecond)
		}
		if n := flow.fetches(); n < 8 || n > 20 {
			t.Errorf("%d fetches, %d problems", n, problems)
		}
		time.Sleep(5 * time.Minute)
		n := flow.fetches()
		if next, err := atOnce(t, m, token); err != nil || next == token || flow.fetches() != n+1 {
			t.Errorf("a refusal much later is renewed at once: %v", err)
		}
	})
}

func TestRejectedAndRenewalFails(t *testing.T) {
	flow := &play{script: func(n int) (Token, error) {
		if n > 1 {
			return Token{}, down()
		}
		return lives(time.Hour)(n)
	}}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		mustToken(t, m, "", "t1")
		_, err := atOnce(t, m, "t1")
		if p := problemOf(t, err); !p.Unreachable {
			t.Errorf("%+v", p)
		}
		mustToken(t, m, "", "t1") // for others it is still good
	})
}

func TestRefreshIn(t *testing.T) {
	flow := &play{script: func(n int) (Token, error) {
		tok, _ := lives(time.Hour)(n)
		tok.RefreshIn = time.Now().Add(5 * time.Minute)
		return tok, nil
	}}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		time.Sleep(4 * time.Minute)
		mustToken(t, m, "", "t1")
		time.Sleep(time.Minute)
		mustToken(t, m, "", "t2")
	})
}

// A machine that was suspended, or whose clock was wrong, must not use a token that is over; one whose clock was set
// back must not keep one for longer.
func TestClockJumps(t *testing.T) {
	var step atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
	flow := &play{takes: time.Second}
	flow.script = func(n int) (Token, error) {
		return Token{Access: fmt.Sprintf("t%d", n), Expires: clock().Add(time.Hour)}, nil
	}
	inTime(t, Options{Flow: flow, Clock: clock}, func(t *testing.T, m *Manager) {
		running(t, m)
		mustToken(t, m, "", "t1")
		step.Store(int64(2 * time.Hour))
		time.Sleep(glance + 2*time.Second)
		if got, err := atOnce(t, m, ""); got != "t2" || err != nil {
			t.Errorf("after a jump forward: %q, %v", got, err)
		}
		step.Store(int64(-5 * time.Hour))
		if got, err := atOnce(t, m, ""); got != "t2" || err != nil {
			t.Errorf("after a jump back: %q, %v", got, err)
		}
		time.Sleep(31 * time.Minute)
		if got, err := atOnce(t, m, ""); got != "t3" || err != nil {
			t.Errorf("half a life after a jump back: %q, %v", got, err)
		}
	})
}

func TestHangingFetchIsCut(t *testing.T) {
	flow := &play{takes: 24 * time.Hour}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		start := time.Now()
		_, err := m.Token(t.Context(), "")
		if p := problemOf(t, err); !p.Unreachable || p.Fix == "" || time.Since(start) != fetchTimeout {
			t.Errorf("after %v: %+v", time.Since(start), p)
		}
	})
}

func TestClose(t *testing.T) {
	flow := &play{takes: 24 * time.Hour}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		running(t, m)
		got := make(chan error)
		go func() { _, err := m.Token(context.Background(), ""); got <- err }()
		synctest.Wait()
		m.Close()
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("a waiting caller gets %v", err)
		}
		if _, err := atOnce(t, m, ""); !errors.Is(err, ErrClosed) {
			t.Errorf("a late caller gets %v", err)
		}
		m.Kick()
		time.Sleep(time.Hour)
		if flow.fetches() != 1 {
			t.Errorf("%d fetches", flow.fetches())
		}
	})
}

func TestChangedIsTold(t *testing.T) {
	var told []string
	flow := &play{takes: time.Second, script: func(n int) (Token, error) {
		if n == 2 || n == 3 {
			return Token{}, down()
		}
		return lives(10 * time.Minute)(n)
	}}
	o := Options{Flow: flow, Changed: func(s State) {
		word := s.State
		if s.Problem != nil {
			word += " " + s.Problem.Cause
		}
		told = append(told, word)
	}}
	inTime(t, o, func(t *testing.T, m *Manager) {
		running(t, m)
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		want := []string{"refreshing", "ready", "refreshing", "ready down", "ready"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if s := m.State(); !s.Since.Equal(m.made.Add(time.Second)) || s.Renewal.Before(time.Now()) {
			t.Errorf("state %+v, made %v", s, m.made)
		}
	})
}

func TestTokenOutOfDateOnArrival(t *testing.T) {
	flow := &play{script: lives(0)}
	inTime(t, Options{Flow: flow}, func(t *testing.T, m *Manager) {
		_, err := atOnce(t, m, "")
		if p := problemOf(t, err); !p.Unreachable {
			t.Errorf("%+v", p)
		}
	})
}

func jwt(claims map[string]any) string {
	b, _ := json.Marshal(claims)
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(b) + ".c2lnbmF0dXJl"
}

func TestAudience(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		api    API
		access string
		ok     bool
	}{
		{"Exchange for SMTP", Exchange, jwt(map[string]any{"aud": "https://outlook.office365.com", "roles": []string{"SMTP.SendAsApp"}}), true},
		{"Exchange by id", Exchange, jwt(map[string]any{"aud": "00000002-0000-0ff1-ce00-000000000000"}), true},
		{"Graph for SMTP", Exchange, jwt(map[string]any{"aud": "https://graph.microsoft.com/"}), false},
		{"Graph by id for SMTP", Exchange, jwt(map[string]any{"aud": []string{"00000003-0000-0000-c000-000000000000"}}), false},
		{"Exchange for Graph", Graph, jwt(map[string]any{"aud": "https://outlook.office.com"}), false},
		{"an unknown cloud", Exchange, jwt(map[string]any{"aud": "https://outlook.example"}), true},
		{"no audience", Exchange, jwt(map[string]any{}), true},
		{"nothing asked", AnyAPI, jwt(map[string]any{"aud": "https://graph.microsoft.com"}), true},
		{"opaque", Exchange, "EwB4A8l6BAAU", true},
		{"three parts, not a JWT", Exchange, "a.%%.c", true},
	} {
		flow := &play{script: func(int) (Token, error) {
			return Token{Access: c.access, Expires: time.Now().Add(time.Hour)}, nil
		}}
		t.Run(c.name, func(t *testing.T) {
			inTime(t, Options{Flow: flow, API: c.api}, func(t *testing.T, m *Manager) {
				_, err := m.Token(t.Context(), "")
				if c.ok != (err == nil) {
					t.Fatalf("error %v", err)
				}
				if err != nil {
					if p := problemOf(t, err); p.Class != diagnose.ClassConfig || p.Unreachable || p.Fix == "" {
						t.Errorf("%+v", p)
					}
				}
			})
		})
	}
}

func TestClaimsInState(t *testing.T) {
	access := jwt(map[string]any{"aud": "https://outlook.office365.com", "tid": "T", "appid": "A", "exp": 1.9e9, "scp": "SMTP.Send IMAP"})
	flow := &play{script: func(int) (Token, error) { return Token{Access: access, Expires: time.Now().Add(time.Hour)}, nil }}
	inTime(t, Options{Flow: flow, API: Exchange}, func(t *testing.T, m *Manager) {
		if m.State().NoRoles() {
			t.Error("no token has no missing roles")
		}
		mustToken(t, m, "", access)
		s := m.State()
		if s.Opaque || !s.NoRoles() || s.Claims.Tenant != "T" || s.Claims.App != "A" || len(s.Claims.Scopes) != 2 || s.Claims.Expires.Unix() != 1.9e9 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTokensPrintNothing(t *testing.T) {
	t.Parallel()
	tok := Token{Access: "very-secret"}
	inJSON, _ := json.Marshal(tok)
	for _, s := range []string{strings.Trim(string(inJSON), `"`), fmt.Sprint(tok), fmt.Sprintf("%+v", tok), fmt.Sprintf("%#v", tok), fmt.Sprintf("%s", &tok)} {
		if s != "[redacted]" {
			t.Errorf("prints %s", s)
		}
	}
}
