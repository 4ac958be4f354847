package tokens

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

func TestWritable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *Store)
		words string // of the fix; "" when it can be written
	}{
		"nothing there": {func(*testing.T, *Store) {}, ""},
		"used":          {func(t *testing.T, s *Store) { signIn(t, s, "a", "one") }, ""},
		"damaged, which makes way": {func(_ *testing.T, s *Store) {
			os.MkdirAll(s.dir, 0o700)
			os.WriteFile(s.path(storeFile), []byte("hello"), 0o600)
		}, ""},
		"no room for the file": {func(t *testing.T, s *Store) { block(t, s) }, "relay's user"},
		"no room for the key":  {func(_ *testing.T, s *Store) { os.MkdirAll(s.keyPath()+".new/x", 0o700) }, "relay's user"},
		"no directory": {func(t *testing.T, s *Store) {
			file := filepath.Join(t.TempDir(), "file")
			os.WriteFile(file, nil, 0o600)
			s.dir = filepath.Join(file, "store")
		}, "relay's user"},
		"newer":       {func(_ *testing.T, s *Store) { os.WriteFile(s.path(storeFile), []byte(storeFamily+"2\nxyz"), 0o600) }, "newer version"},
		"damaged key": {func(_ *testing.T, s *Store) { os.WriteFile(s.keyPath(), []byte("short"), 0o600) }, "relay's user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, StoreOptions{})
			c.spoil(t, s)
			before, _ := os.ReadFile(s.path(storeFile))
			err := s.Writable()
			if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(problemOf(t, err).Fix, c.words)) {
				t.Errorf("%+v", err)
			}
			after, _ := os.ReadFile(s.path(storeFile))
			if left, _ := filepath.Glob(s.path("*.unreadable-*")); string(before) != string(after) || len(left) > 0 {
				t.Error("the store is another one now")
			}
			if _, err := os.Stat(s.keyPath()); err == nil && name == "nothing there" {
				t.Error("a key was made")
			}
			if err := s.SignIn(t.Context(), "a", person("two")); (err == nil) != (c.words == "") {
				t.Errorf("and a sign-in: %v", err)
			} else if err != nil && strings.Contains(problemOf(t, err).Fix, "mail goes on") {
				t.Errorf("a command has the relay's words: %+v", err)
			}
		})
	}
}

// The relay goes on from memory, and names whose sign-ins are at stake.
func TestUnreadableStoreNamesTheAccounts(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	signIn(t, s, "scanner", "one")
	signIn(t, s, "office", "two")
	if err := os.WriteFile(s.path(storeFile), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.glance(false)
	p := s.Problem()
	if p == nil || p.Class != diagnose.ClassNeedsSignIn || !strings.Contains(p.Fix, "`mailbearer authorize office`") || !strings.Contains(p.Fix, "scanner") {
		t.Errorf("%+v", p)
	}
}

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]int{
		5 * day: 5, 5*day - time.Second: 5, 5*day - time.Hour: 4, day - 2*time.Minute: 0, 0: 0, -time.Hour: -1, -25 * time.Hour: -2,
	} {
		if got := DaysLeft(left); got != want {
			t.Errorf("%v: %d days, want %d", left, got, want)
		}
	}
	now := time.Now()
	w, _ := Forecast(Expiry{Kind: ExpiryCertificate, At: now.Add(5*day - time.Second)}, Told{}, []time.Duration{7 * day}, now)
	if w == nil || !strings.Contains(w.Text, "in 5 days") { // as `certificate show` has it
		t.Errorf("%+v", w)
	}
}
