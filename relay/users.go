package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"runtime"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"
)

// users checks local passwords. They have nothing to do with upstream tokens.
type users struct {
	byName map[string]*User
	decoy  func() []byte // a hash for names that do not exist, so that they take as long
	slots  chan struct{} // bounds the processors that bcrypt may keep busy
	log    zerolog.Logger

	mu       sync.Mutex
	key      [32]byte            // of the fingerprints below, made anew at each start
	verified map[string][32]byte // fingerprint of the password that last passed, by user
}

func newUsers(list []User, log zerolog.Logger) *users {
	u := &users{
		byName: make(map[string]*User), verified: make(map[string][32]byte), log: log,
		slots: make(chan struct{}, max(runtime.NumCPU()/2, 1)),
	}
	rand.Read(u.key[:])
	cost := bcrypt.MinCost
	for i := range list {
		u.byName[strings.ToLower(list[i].Name)] = &list[i]
		if c, err := bcrypt.Cost([]byte(list[i].PasswordHash)); err == nil {
			cost = max(cost, c)
		}
	}
	u.decoy = sync.OnceValue(func() []byte {
		hash, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
		return hash
	})
	return u
}

func (u *users) find(name string) *User { return u.byName[strings.ToLower(name)] }

// known returns the user if this password passed before, at no cost: a device that signs in for each page it scans
// must not keep a processor busy.
func (u *users) known(name, password string) *User {
	user := u.find(name)
	if user == nil || user.Password != nil {
		return nil
	}
	print := u.fingerprint(user, password)
	u.mu.Lock()
	defer u.mu.Unlock()
	if have, ok := u.verified[user.Name]; ok && hmac.Equal(have[:], print[:]) {
		return user
	}
	return nil
}

// bcryptLimit is how much of a password bcrypt looks at. A longer one would pass with any other ending.
const bcryptLimit = 72

// check returns the user if the password is right. Whatever is wrong, it costs one bcrypt.
func (u *users) check(name, password string) *User {
	user := u.find(name)
	if user != nil && user.Password != nil {
		if want, ok := u.reveal(user); ok && u.equal(want, password) {
			return user
		}
		u.compare(u.decoy(), password)
		return nil
	}
	hash := u.decoy()
	if user != nil {
		hash = []byte(user.PasswordHash)
	}
	if !u.compare(hash, password) || user == nil || len(password) > bcryptLimit {
		return nil
	}
	print := u.fingerprint(user, password)
	u.mu.Lock()
	u.verified[user.Name] = print
	u.mu.Unlock()
	return user
}

func (u *users) compare(hash []byte, password string) bool {
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
}

// reveal reads a recoverable password, which may stand in a file that is not there any more.
func (u *users) reveal(user *User) (string, bool) {
	password, err := user.Password()
	if err != nil || password == "" {
		u.log.Error().AnErr("detail", err).Str("user", user.Name).Msg("the password of a [[user]] cannot be read; nobody can sign in as this user")
		return "", false
	}
	return password, true
}

// recoverable says whether some user can sign in with CRAM-MD5.
func (u *users) recoverable() bool {
	for _, user := range u.byName {
		if user.Password != nil {
			return true
		}
	}
	return false
}

// checkCram returns the user if the digest is right, and whether there was anything to guess: without a password of
// ours in the clear nothing can pass.
func (u *users) checkCram(name, challenge string, digest []byte) (user *User, guess bool) {
	user = u.find(name)
	if user == nil || user.Password == nil {
		hmac.Equal(cramDigest(name, challenge), digest)
		return nil, false
	}
	password, ok := u.reveal(user)
	if !ok || !hmac.Equal(cramDigest(password, challenge), digest) {
		return nil, ok
	}
	return user, true
}

// equal compares without telling, by the time it takes, how much is alike or how long the secret is.
func (u *users) equal(a, b string) bool {
	return hmac.Equal(u.sum(a), u.sum(b))
}

func (u *users) sum(s string) []byte {
	m := hmac.New(sha256.New, u.key[:])
	m.Write([]byte(s))
	return m.Sum(nil)
}

// fingerprint stands for a password that passed; with the key gone at the end of the process it is worth nothing. The
// hash is part of it: with a new password_hash the old password passes no more.
func (u *users) fingerprint(user *User, password string) [32]byte {
	return [32]byte(u.sum(user.Name + "\x00" + user.PasswordHash + "\x00" + password))
}
