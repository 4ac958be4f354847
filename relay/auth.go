package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"runtime"
	"strings"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"
)

// authTries is how many failures a connection may have.
const authTries = 3

// users checks local passwords. They have nothing to do with upstream tokens.
type users struct {
	byName map[string]*User
	decoy  func() []byte // a hash for names that do not exist, so that they take as long
	slots  chan struct{} // bounds the processors that bcrypt may keep busy

	mu       sync.Mutex
	key      [32]byte            // of the fingerprints below, made anew at each start
	verified map[string][32]byte // fingerprint of the password that last passed, by user
}

func newUsers(list []User) *users {
	u := &users{
		byName: make(map[string]*User), verified: make(map[string][32]byte),
		slots: make(chan struct{}, max(runtime.NumCPU()/2, 1)),
	}
	rand.Read(u.key[:])
	u.decoy = sync.OnceValue(func() []byte {
		hash, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.DefaultCost)
		return hash
	})
	for i := range list {
		u.byName[strings.ToLower(list[i].Name)] = &list[i]
	}
	return u
}

// check returns the user if the password is right. A password that passed before costs no bcrypt again: a device that
// signs in for each page it scans must not keep a processor busy.
func (u *users) check(name, password string) *User {
	user := u.byName[strings.ToLower(name)]
	if user != nil && user.Password != nil {
		want, err := user.Password()
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1 {
			return user
		}
		return nil
	}
	print := u.fingerprint(name, password)
	if user != nil && u.known(user.Name, print) {
		return user
	}
	var hash []byte
	if user != nil {
		hash = []byte(user.PasswordHash)
	} else {
		hash = u.decoy()
	}
	u.slots <- struct{}{}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	<-u.slots
	if err != nil || user == nil {
		return nil
	}
	u.mu.Lock()
	u.verified[user.Name] = print
	u.mu.Unlock()
	return user
}

// fingerprint stands for a password that passed; with the key gone at the end of the process it is worth nothing.
func (u *users) fingerprint(name, password string) (sum [32]byte) {
	m := hmac.New(sha256.New, u.key[:])
	m.Write([]byte(strings.ToLower(name) + "\x00" + password))
	m.Sum(sum[:0])
	return sum
}

func (u *users) known(name string, print [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	have, ok := u.verified[name]
	return ok && hmac.Equal(have[:], print[:])
}

// AuthMechanisms are what EHLO offers. PLAIN stands first: some clients look at the first names only.
func (s *session) AuthMechanisms() []string {
	if s.server.policy.Auth == AuthNone {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth begins an exchange.
func (s *session) Auth(mech string) (sasl.Server, error) {
	switch {
	case s.conn.broken.Load():
		return nil, errCut
	case s.server.policy.Auth == AuthNone:
		return nil, refuse(502, smtp.EnhancedCode{5, 5, 1}, "this listener has auth = \"none\": switch authentication off on the device")
	case mech == sasl.Plain:
		return sasl.NewPlainServer(func(identity, name, password string) error {
			return s.signIn(name, password)
		}), nil
	case mech == sasl.Login:
		return &loginServer{check: s.signIn}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// signIn checks a password. Any failure reads the same: 535, and nothing about which part was wrong.
func (s *session) signIn(name, password string) error {
	if s.conn.broken.Load() {
		return errCut
	}
	user := s.relay.users.check(name, password)
	if user != nil {
		s.user = user
		return nil
	}
	failures := s.conn.authFailures.Add(1)
	s.log().Warn().Str("user", clip(name, 80)).Int32("failures", failures).Msg("a client's password was refused")
	if failures >= authTries {
		s.conn.closing.Store(true)
	}
	return refuse(535, smtp.EnhancedCode{5, 7, 8}, "Authentication failed: user name or password is not that of a [[user]]")
}

// loginServer is AUTH LOGIN with the classic prompts; some devices compare them letter by letter.
type loginServer struct {
	check func(name, password string) error
	name  string
	step  int
}

// Next answers one line of the client; nil is the absence of an initial response.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte("Username:"), false, nil
	}
	if l.step++; l.step == 1 {
		l.name = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.name, string(response))
}
