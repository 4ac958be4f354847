package tokens

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// wireAnswer is a rotation that a provider grants.
func wireAnswer(life time.Duration) string {
	return fmt.Sprintf(`200 {"access_token":"at","refresh_token":"rt","expires_in":%d}`, int(life.Seconds()))
}

// delegatedInTime runs a test in virtual time with a manager over a sign-in and a provider by script.
func delegatedInTime(t *testing.T, w *wire, test func(t *testing.T, m *Manager)) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, StoreOptions{Dir: dir})
		signIn(t, s, "a", "first")
		m := New(Options{Flow: Delegated(w.provider(), s, "a", smtpScopes)})
		defer m.Close()
		running(t, m)
		if _, err := m.Token(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		test(t, m)
	})
}

func TestDelegatedNobodyWaits(t *testing.T) {
	w := &wire{answers: []string{wireAnswer(30 * time.Second)}}
	delegatedInTime(t, w, func(t *testing.T, m *Manager) {
		for range 600 {
			time.Sleep(time.Second)
			if _, err := atOnce(t, m, ""); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.times); n < 30 || n > 50 {
			t.Errorf("%d renewals in ten minutes of 30-second tokens", n)
		}
	})
}

func TestDelegatedOutageOfAnHour(t *testing.T) {
	w := &wire{answers: []string{wireAnswer(time.Hour), ""}}
	delegatedInTime(t, w, func(t *testing.T, m *Manager) {
		for range 59 {
			time.Sleep(time.Minute)
			if _, err := atOnce(t, m, ""); err != nil || m.State().State == Held {
				t.Fatalf("after %v: %v", time.Since(m.made), err)
			}
		}
		w.mu.Lock()
		w.answers = []string{wireAnswer(time.Hour)}
		w.mu.Unlock()
		time.Sleep(62 * time.Second)
		if _, err := atOnce(t, m, ""); err != nil {
			t.Error(err)
		}
	})
}

// A refresh token is used at least weekly, however long the access tokens live and whether or not there is mail.
func TestRefreshTokenIsUsedWeekly(t *testing.T) {
	w := &wire{answers: []string{wireAnswer(60 * 24 * time.Hour)}}
	delegatedInTime(t, w, func(t *testing.T, m *Manager) {
		time.Sleep(28 * 24 * time.Hour)
		for i := 1; i < len(w.times); i++ {
			if d := w.times[i].Sub(w.times[i-1]); d > 7*24*time.Hour {
				t.Errorf("unused for %v", d)
			}
		}
		if n := len(w.times); n < 5 || n > 7 {
			t.Errorf("used %d times in four weeks", n)
		}
	})
}

// The relay has no sign-in; someone signs in by a command beside it.
func TestAuthorizeBesideARunningRelay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answers: []string{wireAnswer(time.Hour)}}
		var m *Manager
		s := openStore(t, StoreOptions{Dir: dir, Changed: func(string) { m.Kick() }})
		m = New(Options{Flow: Delegated(w.provider(), s, "a", smtpScopes)})
		defer m.Close()
		running(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(10*time.Minute + 123*time.Millisecond)
		if m.State().State != Held || len(w.times) != 0 {
			t.Fatalf("%+v", m.State())
		}
		signIn(t, openStore(t, StoreOptions{Dir: dir}), "a", "fresh")
		time.Sleep(time.Second)
		if _, err := atOnce(t, m, ""); err != nil || w.forms[0].Get("refresh_token") != "fresh" {
			t.Errorf("%v", err)
		}
	})
}
