package tokens

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

func openStore(t *testing.T, o StoreOptions) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// person is a sign-in for tests.
func person(refresh string) SignedIn {
	return SignedIn{User: "printer@contoso.com", Tenant: "t", Scopes: []string{"SMTP.Send"}, client: "app", refresh: func() string { return refresh }}
}

func signIn(t *testing.T, s *Store, account, refresh string) {
	t.Helper()
	if err := s.SignIn(t.Context(), account, person(refresh)); err != nil {
		t.Fatal(err)
	}
}

// rotate replaces an account's refresh token as an exchange does, and returns the one that was used.
func rotate(t *testing.T, s *Store, account, next string) (used string, p *diagnose.Problem) {
	t.Helper()
	err := s.exchange(t.Context(), account, func(g grant) (grant, error) {
		used, g.Refresh = string(g.Refresh), secret(next)
		return g, nil
	})
	if err != nil {
		p = problemOf(t, err)
	}
	return used, p
}

func wantUsed(t *testing.T, s *Store, account, want string) {
	t.Helper()
	if used, p := rotate(t, s, account, want); p != nil || used != want {
		t.Errorf("used %q, %v; want %q", used, p, want)
	}
}

func TestStoreKeepsWhatIsRotated(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	if _, ok, err := s.Account("a"); ok || err != nil {
		t.Errorf("an empty store: %v, %v", ok, err)
	}
	if _, p := rotate(t, s, "a", "x"); p == nil || p.Class != diagnose.ClassNeedsSignIn || !strings.Contains(p.Fix, "authorize a") {
		t.Errorf("nobody signed in: %+v", p)
	}
	signIn(t, s, "a", "one")
	signIn(t, s, "Büro 1", "other")
	if used, p := rotate(t, s, "a", "two"); used != "one" || p != nil {
		t.Errorf("used %q, %v", used, p)
	}
	again := openStore(t, StoreOptions{Dir: s.dir})
	wantUsed(t, again, "a", "two")
	wantUsed(t, again, "Büro 1", "other")
	a, ok, err := again.Account("a")
	if !ok || err != nil || a.User != "printer@contoso.com" || time.Since(a.SignedIn) > time.Minute {
		t.Errorf("%+v, %v, %v", a, ok, err)
	}
}

func TestStoreFilesArePrivate(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{Dir: filepath.Join(t.TempDir(), "data")})
	signIn(t, s, "a", "a-very-secret-refresh-token")
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, _ := e.Info()
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
		data, _ := os.ReadFile(s.path(e.Name()))
		if bytes.Contains(data, []byte("a-very-secret")) || bytes.Contains(data, []byte("printer@")) {
			t.Errorf("%s is readable", e.Name())
		}
	}
	if info, _ := os.Stat(s.dir); runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
}

func TestStorePrintsNoSecret(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	in := person("a-very-secret-refresh-token")
	signIn(t, s, "a", in.refresh())
	all := fmt.Sprintf("%v %+v %#v %+v %#v %s", in, in, in, s.known, s.known, s.known)
	if strings.Contains(all, "very-secret") {
		t.Error(all)
	}
}

func TestStoreKey(t *testing.T) {
	t.Parallel()
	raw := make([]byte, keyLen)
	rand.Read(raw)
	dir := t.TempDir()
	for i, form := range []string{string(raw), hex.EncodeToString(raw) + "\n", base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		s := openStore(t, StoreOptions{Dir: dir, Key: func() ([]byte, error) { return []byte(form), nil }})
		if i == 0 {
			signIn(t, s, "a", "one")
		}
		wantUsed(t, s, "a", "one")
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
		t.Error("a key was made although one is given")
	}
	for _, key := range []func() ([]byte, error){
		func() ([]byte, error) { return []byte("hunter2"), nil },
		func() ([]byte, error) { return nil, os.ErrPermission },
	} {
		if _, err := OpenStore(StoreOptions{Dir: dir, Key: key}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

func TestKeyElsewhere(t *testing.T) {
	t.Parallel()
	o := StoreOptions{Dir: t.TempDir(), KeyDir: filepath.Join(t.TempDir(), "keys")}
	signIn(t, openStore(t, o), "a", "one")
	wantUsed(t, openStore(t, o), "a", "one")
	if _, err := os.Stat(filepath.Join(o.KeyDir, keyFile)); err != nil {
		t.Error(err)
	}
}

func TestKeyIsNeverWrittenOver(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	if err := os.WriteFile(s.path(keyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.SignIn(t.Context(), "a", person("one"))
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	if data, _ := os.ReadFile(s.path(keyFile)); string(data) != "short" {
		t.Error("the key was written over")
	}
}

// Each of these makes the store unreadable for a relay that starts.
func TestUnreadableStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *Store, file []byte) error
		words string
		aside bool
	}{
		"garbage":     {func(s *Store, _ []byte) error { return os.WriteFile(s.path(storeFile), []byte("hello"), 0o600) }, "damaged", true},
		"empty":       {func(s *Store, _ []byte) error { return os.WriteFile(s.path(storeFile), nil, 0o600) }, "damaged", true},
		"cut":         {func(s *Store, f []byte) error { return os.WriteFile(s.path(storeFile), f[:len(f)-1], 0o600) }, "damaged", true},
		"one bit":     {func(s *Store, f []byte) error { f[len(f)-20] ^= 1; return os.WriteFile(s.path(storeFile), f, 0o600) }, "damaged", true},
		"header only": {func(s *Store, _ []byte) error { return os.WriteFile(s.path(storeFile), []byte(storeHeader), 0o600) }, "damaged", true},
		"huge":        {func(s *Store, f []byte) error { return os.Truncate(s.path(storeFile), maxStoreFile+1) }, "damaged", true},
		"other key": {func(s *Store, _ []byte) error {
			return os.WriteFile(s.path(keyFile), bytes.Repeat([]byte{1}, keyLen), 0o600)
		}, "another key", true},
		"no key": {func(s *Store, _ []byte) error { return os.Remove(s.path(keyFile)) }, "key", true},
		"newer": {func(s *Store, _ []byte) error {
			return os.WriteFile(s.path(storeFile), []byte(storeFamily+"2\nxyz"), 0o600)
		}, "newer", false},
		"a directory": {func(s *Store, _ []byte) error {
			os.Remove(s.path(storeFile))
			return os.Mkdir(s.path(storeFile), 0o700)
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, StoreOptions{})
			signIn(t, s, "a", "one")
			file, _ := os.ReadFile(s.path(storeFile))
			if err := c.spoil(s, file); err != nil {
				t.Fatal(err)
			}
			fresh := openStore(t, StoreOptions{Dir: s.dir})
			_, p := rotate(t, fresh, "a", "x")
			if p == nil || p.Unreachable || !strings.Contains(p.Said, c.words) || p.Fix == "" {
				t.Fatalf("%+v", p)
			}
			if _, _, err := fresh.Account("a"); err == nil {
				t.Error("status says nothing")
			}
			err := fresh.SignIn(t.Context(), "a", person("two"))
			kept, _ := filepath.Glob(fresh.path("tokens.unreadable-*"))
			if !c.aside {
				if err == nil || len(kept) != 0 {
					t.Errorf("it was replaced: %v", err)
				}
				return
			}
			if err != nil || len(kept) != 1 {
				t.Fatalf("%v, kept aside: %v", err, kept)
			}
			wantUsed(t, fresh, "a", "two")
		})
	}
}

func TestKeyComesBack(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	signIn(t, s, "a", "one")
	os.Rename(s.path(keyFile), s.path("elsewhere"))
	fresh := openStore(t, StoreOptions{Dir: s.dir})
	if _, p := rotate(t, fresh, "a", "x"); p == nil || !strings.Contains(p.Fix, "bring the key back") {
		t.Errorf("%+v", p)
	}
	os.Rename(s.path("elsewhere"), s.path(keyFile))
	wantUsed(t, fresh, "a", "one")
}

// A relay that runs has what it has read: it goes on, and puts the store right.
func TestRunningRelayOutlivesItsFile(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *Store) error{
		"damaged": func(s *Store) error { return os.WriteFile(s.path(storeFile), []byte("hello"), 0o600) },
		"gone":    func(s *Store) error { return os.Remove(s.path(storeFile)) },
		"no key": func(s *Store) error {
			return errors.Join(os.Remove(s.path(keyFile)), os.Chtimes(s.path(storeFile), time.Time{}, time.Unix(1, 0)))
		},
	} {
		s := openStore(t, StoreOptions{})
		signIn(t, s, "a", "one")
		signIn(t, s, "b", "other")
		if err := spoil(s); err != nil {
			t.Fatal(err)
		}
		if used, p := rotate(t, s, "a", "two"); used != "one" || p != nil {
			t.Errorf("%s: used %q, %v", name, used, p)
		}
		fresh := openStore(t, StoreOptions{Dir: s.dir})
		wantUsed(t, fresh, "a", "two")
		wantUsed(t, fresh, "b", "other")
		if s.Problem() != nil {
			t.Errorf("%s: %v", name, s.Problem())
		}
	}
}

// alarms collects what the store's Alarm is told.
type alarms struct {
	mu   sync.Mutex
	told []*diagnose.Problem
}

func (a *alarms) tell(p *diagnose.Problem) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, p)
}

func (a *alarms) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.told)
}

// block makes the store unwritable, for root too: a directory stands where the new file is to be made.
func block(t *testing.T, s *Store) (unblock func()) {
	t.Helper()
	if err := os.MkdirAll(s.path(storeFile+".new/x"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(s.path(storeFile + ".new")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnwritableStore(t *testing.T) {
	t.Parallel()
	var told alarms
	s := openStore(t, StoreOptions{Alarm: told.tell})
	signIn(t, s, "a", "one")
	unblock := block(t, s)
	for i, want := range []string{"one", "two", "three"} {
		next := []string{"two", "three", "four"}[i]
		if used, p := rotate(t, s, "a", next); used != want || p != nil {
			t.Errorf("used %q, %v; want %q", used, p, want)
		}
	}
	if p := s.Problem(); told.count() != 1 || p == nil || p.Class != diagnose.ClassConfig || !strings.Contains(p.Fix, s.dir) {
		t.Errorf("%d alarms, %+v", told.count(), p)
	}
	wantUsed(t, openStore(t, StoreOptions{Dir: s.dir}), "a", "one") // as it stands on disk
	unblock()
	if err := os.RemoveAll(s.path(storeFile)); err != nil {
		t.Fatal(err)
	}
	s.glance(true)
	if s.Problem() != nil || told.count() != 2 || told.told[1] != nil {
		t.Errorf("the alarm does not end: %v", s.Problem())
	}
	wantUsed(t, openStore(t, StoreOptions{Dir: s.dir}), "a", "four")
}

// Someone signs in while our last rotation could not be written: the new sign-in is the one to keep.
func TestNewSignInWinsOverMemory(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	signIn(t, s, "a", "one")
	unblock := block(t, s)
	rotate(t, s, "a", "two")
	unblock()
	signIn(t, openStore(t, StoreOptions{Dir: s.dir}), "a", "fresh")
	wantUsed(t, s, "a", "fresh")
	s.glance(true)
	wantUsed(t, openStore(t, StoreOptions{Dir: s.dir}), "a", "fresh")
}

func TestChangedIsToldOfSignInsOnly(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	s := openStore(t, StoreOptions{Changed: func(account string) { told <- account }})
	other := openStore(t, StoreOptions{Dir: s.dir})
	signIn(t, other, "old", "one")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	s.glance(false) // what is there at the first look is no news
	rotate(t, other, "old", "two")
	rotate(t, s, "old", "three")
	signIn(t, other, "new", "one")
	start := time.Now()
	select {
	case account := <-told:
		if account != "new" || time.Since(start) > time.Second {
			t.Errorf("told of %q after %v", account, time.Since(start))
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not told")
	}
	select {
	case account := <-told:
		t.Errorf("told of %q too", account)
	default:
	}
}

// One account's slow provider holds up no other, and a caller that gives up gets away.
func TestAccountsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := openStore(t, StoreOptions{})
	signIn(t, s, "slow", "one")
	signIn(t, s, "quick", "one")
	other := openStore(t, StoreOptions{Dir: s.dir})
	inside, leave := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	slow.Go(func() {
		s.exchange(t.Context(), "slow", func(g grant) (grant, error) { close(inside); <-leave; return g, nil })
	})
	<-inside
	wantUsed(t, s, "quick", "one")
	wantUsed(t, other, "quick", "one")
	for _, store := range []*Store{s, other} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := store.exchange(ctx, "slow", func(g grant) (grant, error) { t.Error("two at once"); return g, nil })
		if p := problemOf(t, err); !p.Unreachable || !strings.Contains(p.Cause, "in use") {
			t.Errorf("%+v", p)
		}
		cancel()
	}
	close(leave)
	slow.Wait()
	wantUsed(t, other, "slow", "one")
}

func FuzzUnseal(f *testing.F) {
	key := bytes.Repeat([]byte{7}, keyLen)
	good, _ := seal(key, map[string]grant{"a": {Refresh: "r"}})
	f.Add(good[len(storeHeader):])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		accounts, err := unseal(key, data)
		if err == nil && !bytes.Equal(data, good[len(storeHeader):]) && len(accounts) > 1 {
			t.Error("made up")
		}
	})
}
