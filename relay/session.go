package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// errCut refuses a command that arrived as the rest of a broken connection.
var errCut = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "connection broken"}

// session is what go-smtp calls for one client between its EHLO and the next.
type session struct {
	relay  *Relay
	server *server
	smtp   *smtp.Conn
	conn   *conn

	user *User

	mu sync.Mutex // with BDAT the library calls Data in a goroutine of its own
	tx *transaction
}

// transaction is one message being handed over: from MAIL to the reply to its end of data.
type transaction struct {
	sender     string
	recipients []mail.Recipient
	utf8       bool

	ret, envelopeID string // DSN RET and ENVID (RFC 3461)
}

func (r *Relay) newSession(s *server, c *smtp.Conn) *session {
	se := &session{relay: r, server: s, smtp: c, conn: underlying(c.Conn())}
	if se.secure() {
		se.conn.tls.Store(true)
	}
	return se
}

func (s *session) secure() bool {
	_, ok := s.smtp.TLSConnectionState()
	return ok
}

// client is the client's address, IPv4-mapped ones unmapped; invalid on a unix socket.
func (s *session) client() netip.Addr {
	a, err := netip.ParseAddr(s.conn.host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func (s *session) log() *zerolog.Logger {
	l := s.relay.opts.Log.With().Str("client", s.conn.RemoteAddr().String()).
		Str("listener", s.server.policy.Address).Logger()
	return &l
}

// Reset ends the transaction.
func (s *session) Reset() { s.set(nil) }

// Logout ends the session.
func (s *session) Logout() error { return nil }

func (s *session) set(tx *transaction) {
	s.mu.Lock()
	s.tx = tx
	s.mu.Unlock()
}

func (s *session) current() *transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx
}

// Mail begins a transaction (RFC 5321 §4.1.1.2).
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if s.conn.broken.Load() {
		return errCut
	}
	if s.current() != nil { // the library would keep the first transaction's recipients
		return refuse(503, smtp.EnhancedCode{5, 5, 1}, "a transaction is open: send RSET first")
	}
	if err := s.mayRelay(); err != nil {
		return s.refused(err, from)
	}
	sender, err := quoted(from)
	if err != nil {
		return s.refused(err, from)
	}
	if err := s.maySendAs(sender, "MAIL FROM"); err != nil {
		return s.refused(err, from)
	}
	s.set(&transaction{sender: sender, utf8: opts.UTF8, ret: string(opts.Return), envelopeID: xtext(opts.EnvelopeID)})
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	tx := s.current()
	if s.conn.broken.Load() || tx == nil {
		return errCut
	}
	address, err := quoted(to)
	if err != nil {
		return s.refused(err, tx.sender)
	}
	if !s.server.policy.Recipients.Match(address) {
		return s.refused(refuse(550, smtp.EnhancedCode{5, 7, 1}, "<%s> is not allowed: add it to `recipients` of this listener", address), tx.sender)
	}
	recipient := mail.Recipient{Address: address, State: mail.Pending}
	dsnRecipient(&recipient, opts)
	tx.recipients = append(tx.recipients, recipient)
	return nil
}

// refused logs what policy turned away: an administrator looks there when a device says "Error 0x4".
func (s *session) refused(err error, sender string) error {
	s.log().Warn().Str("sender", sender).Str("helo", heloToken(s.smtp.Hostname())).Str("detail", err.Error()).Msg("mail refused by policy")
	return err
}

// Data takes the text, makes the message durable, and answers.
func (s *session) Data(r io.Reader) error {
	done := s.conn.data()
	defer done()
	tx := s.current()
	if s.conn.broken.Load() || tx == nil || len(tx.recipients) == 0 {
		return errCut
	}
	started := time.Now()
	env := s.envelope(tx, started)
	body := s.relay.opts.Spool.NewBody(env.ID)
	if err := s.take(r, env, body); err != nil {
		body.Discard()
		return s.dataError(err, tx)
	}
	watch := s.server.policy.WaitFor == WaitUpstream && s.relay.stop.Err() == nil
	if err := s.relay.opts.Spool.Put(context.Background(), env, body, watch); err != nil {
		return s.dataError(err, tx)
	}
	s.accepted(env, started)
	if !watch {
		return verdict(mail.Outcome{}, false, env.ID)
	}
	return s.await(env.ID)
}

func (s *session) envelope(tx *transaction, now time.Time) *mail.Envelope {
	env := &mail.Envelope{
		ID: mail.NewID(now), Sender: tx.sender, Recipients: tx.recipients, Received: now, SMTPUTF8: tx.utf8,
		Return: tx.ret, EnvelopeID: tx.envelopeID,
		Client: mail.Client{
			Address: s.conn.RemoteAddr().String(), Name: s.smtp.Hostname(), TLS: s.tlsName(), Listener: s.server.policy.Address,
		},
	}
	q := Query{
		Listener: s.server.policy.Address, ListenerAccount: s.server.policy.Account,
		Client: s.client(), Sender: tx.sender,
	}
	if s.user != nil {
		env.Client.User, q.User, q.UserAccount = s.user.Name, s.user.Name, s.user.Account
	}
	for _, r := range tx.recipients {
		q.Recipients = append(q.Recipients, r.Address)
	}
	env.Account = s.relay.opts.Route(q)
	return env
}

func (s *session) tlsName() string {
	state, ok := s.smtp.TLSConnectionState()
	if !ok {
		return ""
	}
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}

// take streams the text into the spool's body, our trace header in front.
func (s *session) take(r io.Reader, env *mail.Envelope, body spool.Body) error {
	head := received(s.relay.opts.Hostname, env.Client.Name, env.Client.Address, env.Client.TLS != "", s.user != nil, env.ID, env.Received)
	if _, err := body.Write(head); err != nil {
		return err
	}
	_, all := s.senders()
	t := &text{body: body, limit: s.server.policy.MaxMessageSize, look: s.checkHeader, strict: !all}
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, r, make([]byte, 32<<10)); err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	env.EightBit, env.Size = t.eight, body.Size()
	return nil
}

// dataError answers for a text that was not taken. Whatever is not the message's own fault is temporary.
func (s *session) dataError(err error, tx *transaction) error {
	var policy *smtp.SMTPError
	switch {
	case errors.As(err, &policy):
		return s.refused(policy, tx.sender)
	case errors.Is(err, errTooBig):
		return s.refused(refuse(552, smtp.EnhancedCode{5, 3, 4}, "the message is larger than %d octets (max_message_size of this listener)", s.server.policy.MaxMessageSize), tx.sender)
	case errors.Is(err, errHeaderTooLong):
		return s.refused(refuse(554, smtp.EnhancedCode{5, 6, 0}, "the header section is longer than %d octets", headerLimit), tx.sender)
	case errors.Is(err, errLoop):
		return s.refused(refuse(554, smtp.EnhancedCode{5, 4, 6}, "more than %d Received fields: the message goes in circles", hopLimit), tx.sender)
	case errors.Is(err, spool.ErrDiskFull):
		s.log().Error().Err(err).Str("sender", tx.sender).Msg("the disk of data_dir is full; mail is refused with 452 until there is room")
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "the relay's disk is full; try again later")
	case errors.Is(err, spool.ErrFull):
		s.log().Error().Str("sender", tx.sender).Msg("the spool is full (max_size of [spool]); mail is refused with 452 until some is delivered or dropped")
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "the spool is full; try again later")
	case s.conn.broken.Load(), errors.Is(err, smtp.ErrDataReset):
		s.log().Warn().Str("sender", tx.sender).Msg("the client stalled or went away before the end of data; nothing was taken")
		return errCut
	}
	s.log().Error().Err(err).Str("sender", tx.sender).Msg("a message could not be taken; the client is told to try again")
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "the message could not be stored; try again later")
}

// accepted logs that custody has passed to us.
func (s *session) accepted(env *mail.Envelope, started time.Time) {
	to := make([]string, len(env.Recipients))
	for i, r := range env.Recipients {
		to[i] = r.Address
	}
	s.log().Info().Str("event", mail.EventAccepted).Str("id", env.ID.String()).Str("account", env.Account).
		Str("user", env.Client.User).Str("helo", heloToken(env.Client.Name)).Str("tls", env.Client.TLS).
		Str("sender", env.Sender).Strs("recipient", to).Int64("size", env.Size).
		Int64("duration_ms", time.Since(started).Milliseconds()).Send()
}

// await waits for the provider's verdict, as long as the client does.
func (s *session) await(id mail.ID) error {
	ctx, cancel := context.WithTimeout(s.relay.stop, s.server.policy.WaitTimeout)
	defer cancel()
	s.conn.watch(cancel)
	outcome, known := s.relay.opts.Spool.Wait(ctx, id)
	there := s.conn.unwatch()
	if known && outcome.State == mail.Failed {
		s.hand(id, there)
	}
	return verdict(outcome, known, id)
}

// hand lets a wholly refused message leave the spool once its sender has been told so; if the client has gone, the
// message stays as failed and is reported instead.
func (s *session) hand(id mail.ID, there bool) {
	sp := s.relay.opts.Spool
	keep := func(err error) {
		if err == nil && there {
			err = sp.Forget(context.Background(), id)
		} else {
			err = sp.Unwatch(context.Background(), id)
		}
		if err != nil {
			s.log().Error().Err(err).Str("id", id.String()).Msg("a refused message could not be taken off the spool; it stays there as failed")
		}
	}
	if !there {
		keep(nil)
		return
	}
	s.conn.afterReply(keep)
}
