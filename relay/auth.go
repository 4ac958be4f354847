package relay

import (
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// authTries is how many failures a connection may have.
const authTries = 3

// AuthMechanisms are what EHLO offers. PLAIN stands first: some clients look at the first names only.
func (s *session) AuthMechanisms() []string {
	if s.server.policy.Auth == AuthNone || s.conn.offersTLS() {
		return nil
	}
	list := []string{sasl.Plain, sasl.Login}
	if s.relay.users.recoverable() {
		list = append(list, cramMD5)
	}
	return list
}

// Auth begins an exchange.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch {
	case s.server.policy.Auth == AuthNone:
		return nil, refuse(502, smtp.EnhancedCode{5, 5, 1}, "this listener has auth = \"none\": switch authentication off on the device")
	case s.conn.offersTLS():
		return nil, refuse(523, smtp.EnhancedCode{5, 7, 10}, "TLS is required (this listener has security = \"starttls\")")
	case s.tx != nil: // RFC 4954 §4
		return nil, refuse(503, smtp.EnhancedCode{5, 5, 1}, "AUTH is not taken between MAIL and the end of its message")
	case s.relay.throttle.count(s.conn.addr) >= guessLimit:
		return nil, s.tooMany()
	}
	switch {
	case mechanism == sasl.Plain:
		return said{sasl.NewPlainServer(func(identity, name, password string) error {
			return s.signIn(sasl.Plain, name, password, identity != "" && !strings.EqualFold(identity, name))
		})}, nil
	case mechanism == sasl.Login:
		return said{&loginServer{check: func(name, password string) error {
			return s.signIn(sasl.Login, name, password, false)
		}}}, nil
	case mechanism == cramMD5 && s.relay.users.recoverable():
		return said{newCramServer(s.relay.opts.Hostname, s.signInCram)}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// signIn checks a password. A client that wants to act for another user (RFC 4616 §2) may not: for it one is checked that
// is never right, since no time may tell whether its own was.
func (s *session) signIn(mechanism, name, password string, foreign bool) error {
	if foreign {
		password += "\x00"
	}
	user := s.relay.users.known(name, password)
	if user == nil || foreign {
		turn := s.relay.throttle.turn(s.conn.addr)
		turn.Lock()
		if s.relay.throttle.count(s.conn.addr) >= guessLimit { // while we waited for our turn
			turn.Unlock()
			return s.tooMany()
		}
		user = s.relay.users.check(name, password)
		if user == nil || foreign {
			n := s.relay.throttle.fail(s.conn.addr)
			turn.Unlock()
			return s.failed(name, n, foreign)
		}
		turn.Unlock()
	}
	s.signedIn(user, mechanism)
	return nil
}

// signInCram checks the answer to a challenge. A user who can have no such answer is no guess: clients that prefer
// CRAM-MD5 go on to PLAIN by themselves, and their good login must not have cost them anything.
func (s *session) signInCram(name, challenge string, digest []byte) error {
	turn := s.relay.throttle.turn(s.conn.addr)
	turn.Lock()
	defer turn.Unlock()
	user, guess := s.relay.users.checkCram(name, challenge, digest)
	switch {
	case user != nil:
		s.signedIn(user, cramMD5)
		return nil
	case !guess:
		s.log().Info().Str("user", clip(name, 80)).Msg("CRAM-MD5 was refused: no [[user]] of this name has a `password`; PLAIN and LOGIN work with password_hash too")
		return errAuth
	}
	n := s.relay.throttle.fail(s.conn.addr)
	turn.Unlock()
	defer turn.Lock()
	return s.failed(name, n, false)
}

func (s *session) signedIn(user *User, mechanism string) {
	s.user = user
	s.conn.visit.User, s.conn.visit.Mechanism = user.Name, mechanism
}

// errAuth reads the same whatever was wrong.
var errAuth = refuse(535, smtp.EnhancedCode{5, 7, 8}, "Authentication failed: user name or password is not that of a [[user]]")

// failed answers an address's nth failure, after its time.
func (s *session) failed(name string, n int, foreign bool) error {
	s.conn.authFailures++
	why := "a client's password was refused"
	if foreign {
		why = "a client was refused that signs in to act for another user: leave the authorization identity empty on the device"
	}
	s.log().Warn().Str("user", clip(name, 80)).Int("failures", n).Msg(why)
	if n >= guessLimit {
		return s.tooMany()
	}
	wait := time.NewTimer(guessDelay(n))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.relay.stop.Done():
	}
	if s.conn.authFailures >= authTries {
		s.conn.closing.Store(true)
	}
	return errAuth
}

// tooMany refuses an address that has failed too often. Only its sign-in is refused: mail that needs none still flows,
// since others may share the address.
func (s *session) tooMany() error {
	s.log().Warn().Msg("a client may not sign in: too many passwords from its address were wrong within ten minutes")
	s.conn.closing.Store(true)
	return refuse(421, smtp.EnhancedCode{4, 7, 0}, "too many failed sign-ins from %s; try again in %d minutes", s.conn.addr, int(guessWindow.Minutes()))
}
