package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/mail"
)

// refusal is a reply that ends what was being done.
type refusal struct {
	phase phase
	reply mail.Reply
}

func (r *refusal) Error() string { return "the server answered " + r.reply.String() }

// connect returns a connection that is signed in. A refused token is renewed once: not again if it was already fetched
// after an earlier refusal.
func (s *SMTP) connect(ctx context.Context) (*conn, *mail.Trouble) {
	rejected, epoch := s.lastRefusal()
	token, err := s.opts.Tokens.Token(ctx, rejected)
	if err != nil {
		return nil, tokenTrouble(ctx, err)
	}
	c, err := s.open(ctx, token)
	if rejected == "" && renewable(err) {
		if rejected, token, err = s.renew(ctx, token, err); err == nil {
			c, err = s.open(ctx, token)
		}
	}
	if err != nil {
		t := s.connectTrouble(ctx, err)
		if t.Kind == mail.Refused && isRefusal(err, phaseAuth) {
			s.noteRefusal(token)
		}
		return nil, t
	}
	c.token, c.epoch = token, epoch
	s.forgetRefusal(rejected)
	return c, nil
}

// renew asks for another token than the one that was refused; without one, the refusal stands.
func (s *SMTP) renew(ctx context.Context, token string, refused error) (rejected, newer string, err error) {
	newer, err = s.opts.Tokens.Token(ctx, token)
	switch {
	case err != nil:
		return token, token, tokenTrouble(ctx, err)
	case newer == token:
		return token, token, refused
	}
	return token, newer, nil
}

// open makes one connection and signs in with the token.
func (s *SMTP) open(ctx context.Context, token string) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.cut)
	if err = s.greet(ctx, c); err == nil {
		err = s.signIn(c, token)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.cut()
		return nil, err
	}
	return c, nil
}

func (s *SMTP) dial(ctx context.Context) (*conn, error) {
	limited, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	raw, err := s.opts.Dial(limited, "tcp", s.opts.Address)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw}
	c.unhook = context.AfterFunc(s.life, func() { raw.Close() })
	c.talk(raw)
	return c, nil
}

// greet gets the connection to where AUTH may be sent: encrypted, verified, and with the capabilities of the encrypted
// side.
func (s *SMTP) greet(ctx context.Context, c *conn) error {
	implicit := s.implicitTLS()
	if implicit {
		if err := s.encrypt(ctx, c); err != nil {
			return err
		}
	}
	reply, _, err := c.reply(s.opts.DialTimeout)
	if err = expect(phaseGreeting, 220, reply, err); err != nil {
		return err
	}
	if err := s.hello(c); err != nil || implicit {
		return err
	}
	if err := s.startTLS(ctx, c); err != nil {
		return err
	}
	return s.hello(c) // RFC 3207 §4.2: what was offered in the clear counts no more
}

// implicitTLS says whether the port means TLS from the start, RFC 8314 §3.3.
func (s *SMTP) implicitTLS() bool {
	_, port, _ := net.SplitHostPort(s.opts.Address)
	return port == "465"
}

// patience is how long the replies on the way to a signed-in connection may take. RFC 5321 names no time for them; a
// provider that needs a minute for EHLO is down, and the account is better probed than stuck.
func (s *SMTP) patience() time.Duration { return min(s.opts.CommandTimeout, 6*s.opts.DialTimeout) }

func (s *SMTP) hello(c *conn) error {
	reply, lines, err := c.ask(s.patience(), "EHLO "+s.opts.Hostname)
	if err = expect(phaseEHLO, 250, reply, err); err != nil {
		return err
	}
	c.caps = parseCapabilities(lines)
	return nil
}

func (s *SMTP) startTLS(ctx context.Context, c *conn) error {
	if !c.caps.startTLS {
		return noStartTLS()
	}
	reply, _, err := c.ask(s.patience(), "STARTTLS")
	if err = expect(phaseSTARTTLS, 220, reply, err); err != nil {
		return err
	}
	if c.r.Buffered() > 0 {
		return errGarbage // somebody has put words in before the encryption began
	}
	return s.encrypt(ctx, c)
}

func noStartTLS() *mail.Trouble {
	t := &mail.Trouble{Kind: mail.Refused, Class: mail.ClassConfig, Cause: "the server does not offer encryption (STARTTLS), and no token is sent without it"}
	if e, ok := diagnose.Lookup(diagnose.SourceTLS, "server does not advertise STARTTLS"); ok {
		t.Fix = e.Fix
	}
	return t
}

// errTLS marks what went wrong while the two sides agreed on encryption.
var errTLS = errors.New("TLS handshake")

// encrypt does the handshake, verification included: tls.Client alone would put it off to the first write.
func (s *SMTP) encrypt(ctx context.Context, c *conn) error {
	limited, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	wire := tls.Client(c.raw, s.tls)
	if err := wire.HandshakeContext(limited); err != nil {
		return fmt.Errorf("%w: %w", errTLS, err)
	}
	c.talk(wire)
	return nil
}

// expect turns any reply but the one wanted into an error.
func expect(p phase, code int, reply mail.Reply, err error) error {
	switch {
	case err != nil:
		return err
	case reply.Code == code:
		return nil
	case reply.Code >= 400:
		return &refusal{p, reply}
	}
	return errGarbage
}

func isRefusal(err error, p phase) bool {
	var r *refusal
	return errors.As(err, &r) && r.phase == p
}

func (s *SMTP) lastRefusal() (token string, epoch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.epoch
}

// noteRefusal remembers the token that met a refusal, so that the next probe comes with a later one, and makes every
// connection that is open now one of the past: they may all hold rights that have changed since.
func (s *SMTP) noteRefusal(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != token {
		s.refused = token
		s.epoch++
	}
}

// forgetRefusal is called after a sign-in, with the token that was known as refused before it.
func (s *SMTP) forgetRefusal(rejected string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == rejected {
		s.refused = ""
	}
}

// fit returns a kept connection if it may be used, else nil.
func (s *SMTP) fit(c *conn) *conn {
	if c == nil {
		return nil
	}
	if _, epoch := s.lastRefusal(); c.epoch != epoch {
		c.quit()
		c.cut()
		return nil
	}
	if c.r.Buffered() > 0 { // it talks out of turn: replies would be taken for others
		c.cut()
		return nil
	}
	return c
}

// blame gives up the connection over which the account was refused; any other is kept.
func (s *SMTP) blame(c *conn, t *mail.Trouble, keep bool) *conn {
	if t != nil && t.Kind == mail.Refused {
		s.noteRefusal(c.token)
		if keep {
			c.quit()
		}
		keep = false
	}
	if !keep {
		c.cut()
		return nil
	}
	return c
}

// give ends the use of a place.
func (s *SMTP) give(c *conn) { s.pool.give(c, s.opts.IdleTimeout) }
