package tokens

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// StoreOptions say where sign-ins are kept.
type StoreOptions struct {
	Dir string // of the file `tokens` and its locks
	// Key gives 32 bytes, or 32 bytes in base64 or hexadecimal; it is asked at each use. nil: the file `key` in
	// KeyDir, made on first use.
	Key    func() ([]byte, error)
	KeyDir string // Dir when empty
	// Alarm is told when the store can no longer be written or read while mail goes on from memory, and told nil when
	// that is over. One call at a time; it must not call the store.
	Alarm func(*diagnose.Problem)
	// Changed is told by Run of each account for which another process stored a new sign-in. Kick its managers.
	Changed func(account string)
}

// Store keeps the refresh token of each account in one encrypted file, for any number of processes at once.
//
// A refresh token is used under a lock that is held around the whole exchange: read, use, receive the one that
// replaces it, write. Each account has its own lock, so that one provider's slowness holds up no other; the file's
// own lock is held for as long as it takes to rewrite it. The kernel lets go of both when a process dies.
type Store struct {
	dir     string
	keyDir  string
	key     func() ([]byte, error)
	alarm   func(*diagnose.Problem)
	changed func(string)
	step    func(string) // tests die here

	mu      sync.Mutex
	doors   map[string]chan struct{} // one slot for each account
	known   map[string]grant         // as last read or written
	waiting map[string]unsaved       // what could not be written yet
	seen    fs.FileInfo              // of the file that was last read
	news    map[string]bool          // accounts whose sign-in someone else changed
	looked  bool                     // for the file, at least once
	failed  int                      // attempts to write in a row
	next    time.Time                // the next attempt, while anything waits

	problem atomic.Pointer[diagnose.Problem] // who asks must not wait for the disk

	alarming sync.Mutex
	alarmed  *diagnose.Problem
}

// grant is one account's sign-in.
type grant struct {
	Refresh  secret    `json:"refresh_token"`
	Client   string    `json:"client_id"`
	User     string    `json:"user,omitempty"`
	Tenant   string    `json:"tenant,omitempty"`
	Scopes   []string  `json:"scopes,omitempty"`
	SignedIn time.Time `json:"signed_in"`
	Used     time.Time `json:"used"`
	SignIn   string    `json:"sign_in"`  // changes with each sign-in
	Revision string    `json:"revision"` // changes with each write
}

// unsaved is a grant that is newer than the file's.
type unsaved struct {
	grant
	base string // the revision it replaces
}

// secret is a refresh token. It prints as nothing; the file's JSON has it, and that is encrypted.
type secret string

// String keeps a secret out of whatever prints one.
func (secret) String() string { return "[redacted]" }

// GoString keeps it out of %#v.
func (secret) GoString() string { return "[redacted]" }

// Account is what is known of a sign-in and may be shown.
type Account struct {
	User     string    // who signed in
	Tenant   string    // tid
	Scopes   []string  // as granted at the sign-in
	SignedIn time.Time // when
	Used     time.Time // when its refresh token was last used
}

// OpenStore makes a store. It touches no file until there is something to read or to write; a key that is of no use
// is an error at once. There is nothing to close.
func OpenStore(o StoreOptions) (*Store, error) {
	s := &Store{
		dir: o.Dir, keyDir: first(o.KeyDir, o.Dir), key: o.Key, alarm: o.Alarm, changed: o.Changed, step: func(string) {},
		doors: map[string]chan struct{}{}, known: map[string]grant{}, waiting: map[string]unsaved{}, news: map[string]bool{},
	}
	if o.Dir == "" {
		return nil, errors.New("the token store needs a directory")
	}
	if o.Key != nil {
		if _, err := s.givenKey(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Account tells of an account's sign-in; ok is false when nobody has signed in. Errors are Problems.
func (s *Store) Account(name string) (a Account, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok, err := s.held(name)
	if !ok && err != nil {
		return Account{}, false, unreadable(err, name, s.dir)
	}
	return Account{g.User, g.Tenant, g.Scopes, g.SignedIn, g.Used}, ok, nil
}

// Problem says why the store cannot be written or read although mail goes on; nil when all is well.
func (s *Store) Problem() *diagnose.Problem { return s.problem.Load() }

// SignIn stores a new sign-in of an account. A running relay notices within a second.
func (s *Store) SignIn(ctx context.Context, account string, in SignedIn) error {
	if in.refresh == nil || in.refresh() == "" {
		return noRefreshToken(in.Scopes, in.vendor)
	}
	leave, err := s.enter(ctx, account)
	if err != nil {
		return err
	}
	defer leave()
	now := time.Now().UTC().Round(0)
	g := grant{
		Refresh: secret(in.refresh()), Client: in.client, User: in.User, Tenant: in.Tenant, Scopes: in.Scopes,
		SignedIn: now, Used: now, SignIn: rand.Text(), Revision: rand.Text(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(func(file map[string]grant) { file[account] = g }); err != nil {
		return s.unstorable(err)
	}
	if delete(s.waiting, account); len(s.waiting) == 0 {
		s.problem.Store(nil)
	}
	return nil
}

// exchange lets use have an account's sign-in for itself, among all processes, and stores what it returns before it
// returns itself. If that cannot be stored, memory has it, an alarm is raised, and Run tries again. Errors are
// Problems, or the context's.
func (s *Store) exchange(ctx context.Context, account string, use func(grant) (grant, error)) error {
	leave, err := s.enter(ctx, account)
	if err != nil {
		return err
	}
	defer leave()
	s.step("locked")
	s.mu.Lock()
	g, ok, err := s.held(account)
	s.mu.Unlock()
	s.sound()
	if !ok {
		return s.none(account, err)
	}
	base := g.Revision
	g, err = use(g)
	if err != nil {
		return err
	}
	s.step("used")
	g.Revision = rand.Text()
	s.mu.Lock()
	if w, ok := s.waiting[account]; ok && w.Revision == base {
		base = w.base
	}
	s.waiting[account] = unsaved{g, base}
	s.save()
	s.mu.Unlock()
	s.sound()
	return nil
}

// held returns an account's sign-in: the file's, unless memory has a newer one or the file cannot be read, which
// err says. The caller holds s.mu.
func (s *Store) held(account string) (g grant, ok bool, err error) {
	err = s.reload()
	g, ok = s.known[account]
	if w, newer := s.waiting[account]; newer && w.replaces(g, ok) {
		g, ok = w.grant, true
	}
	return g, ok, err
}

// none is what an account without a sign-in is told.
func (s *Store) none(account string, err error) *diagnose.Problem {
	if err != nil {
		return unreadable(err, account, s.dir)
	}
	return signInNeeded("Nobody has signed in for this account yet", account)
}

// replaces says whether what waits is newer than what the file has. It is not when someone signed in, or another
// process renewed, since.
func (w unsaved) replaces(file grant, ok bool) bool {
	return !ok || file.Revision == w.base
}

// save writes what waits. The caller holds s.mu.
func (s *Store) save() {
	err := s.write(func(file map[string]grant) {
		for account, w := range s.waiting {
			if g, ok := file[account]; w.replaces(g, ok) {
				file[account] = w.grant
			}
		}
	})
	if err == nil {
		s.problem.Store(nil)
		s.failed = 0
		clear(s.waiting)
		return
	}
	s.failed++
	s.problem.Store(s.unwritable(err))
	s.next = time.Now().Add(min(backoffFirst<<min(s.failed-1, 10), backoffMost))
}

// sound raises the alarm, or ends it.
func (s *Store) sound() {
	s.alarming.Lock()
	defer s.alarming.Unlock()
	p := s.Problem()
	if sameTrouble(p, s.alarmed) {
		return
	}
	s.alarmed = p
	if s.alarm != nil {
		s.alarm(p)
	}
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) keyPath() string { return filepath.Join(s.keyDir, keyFile) }
