package relay

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
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
	tx   *transaction // nil outside one
}

// transaction is one message being handed over: from MAIL to the reply to its end of data.
type transaction struct {
	sender     string
	recipients []mail.Recipient
	utf8       bool

	ret, envelopeID string // DSN RET and ENVID (RFC 3461)
}

func (r *Relay) newSession(s *server, c *smtp.Conn) *session {
	return &session{relay: r, server: s, smtp: c, conn: c.Conn().(*conn)}
}

func (s *session) secure() bool { return s.conn.tlsState != nil }

func (s *session) log() *zerolog.Logger { return s.conn.log() }

// Reset ends the transaction.
func (s *session) Reset() { s.tx = nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }

// Mail begins a transaction (RFC 5321 §4.1.1.2). Whose it is, the layer knows: what the library hands over may only
// stand for it.
func (s *session) Mail(_ string, opts *smtp.MailOptions) error {
	if s.tx != nil { // the library would keep the first transaction's recipients
		return refuse(503, smtp.EnhancedCode{5, 5, 1}, "a transaction is open: send RSET first")
	}
	from := s.conn.path.String()
	if err := s.mayRelay(); err != nil {
		return s.refused(err, from)
	}
	if err := s.conn.pathErr; err != nil {
		return s.noAddress(err, from)
	}
	tx := &transaction{sender: from, utf8: opts.UTF8 || hasEight([]byte(from)), ret: string(opts.Return), envelopeID: xtext(opts.EnvelopeID)}
	_, info := s.route(tx)
	if err := s.maySendAs(from, info.Mailbox, "MAIL FROM"); err != nil {
		return s.refused(err, from)
	}
	s.tx = tx
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(_ string, opts *smtp.RcptOptions) error {
	if s.tx == nil {
		return errCut
	}
	if err := s.conn.pathErr; err != nil {
		return s.noAddress(err, s.tx.sender)
	}
	addresses, err := s.expand(s.conn.path)
	if err != nil {
		return s.refused(err, s.tx.sender)
	}
	for _, address := range addresses {
		if !s.server.policy.Recipients.Match(address) {
			return s.refused(refuse(550, smtp.EnhancedCode{5, 7, 1}, "<%s> is not allowed: add it to `recipients` of this listener", address), s.tx.sender)
		}
	}
	if limit := s.server.policy.MaxRecipients; len(s.tx.recipients)+len(addresses) > limit { // an alias may name many
		return refuse(452, smtp.EnhancedCode{4, 5, 3}, "a message may have %d recipients (max_recipients of this listener)", limit)
	}
	s.tx.add(addresses, opts)
	return nil
}

// refused logs what policy turned away: an administrator looks there when a device says "Error 0x4".
func (s *session) refused(err error, sender string) error {
	return s.turnedAway(err, sender, "mail refused by policy")
}

// noAddress is for what no policy has to look at.
func (s *session) noAddress(err error, sender string) error {
	return s.turnedAway(err, sender, "a client wrote an address that is none; look at how it is spelt on the device")
}

func (s *session) turnedAway(err error, sender, why string) error {
	s.conn.visit.Refused++
	s.log().Warn().Str("sender", sender).Str("helo", heloToken(s.smtp.Hostname())).Str("detail", err.Error()).Msg(why)
	return err
}

// Data takes the text, makes the message durable, and answers. The text comes from the layer; the library's reader sees
// only its end.
func (s *session) Data(io.Reader) error {
	tx := s.tx
	if tx == nil || len(tx.recipients) == 0 || s.conn.text == nil { // no text: the library could not write its 354
		return errCut
	}
	started := time.Now()
	env, mend := s.envelope(tx, started)
	body, err := s.take(env, mend)
	if err != nil {
		return s.dataError(err, tx)
	}
	env.Client.Repairs = mend.done
	if tx.sender != env.Sender {
		env.Client.Sender = tx.sender
	}
	watch := s.server.policy.WaitFor == WaitUpstream && s.relay.stop.Err() == nil
	if err := s.relay.opts.Spool.Put(context.Background(), env, body, watch); err != nil {
		return s.dataError(err, tx)
	}
	s.relay.stored(nil)
	s.accepted(env, mend, started)
	if !watch {
		return verdict(mail.Outcome{}, false, env.ID)
	}
	return s.await(env.ID)
}

// take makes a body of the text, rewritten if it has to be. After an error nothing of it is left.
func (s *session) take(env *mail.Envelope, mend *mender) (spool.Body, error) {
	body := s.relay.opts.Spool.NewBody(env.ID)
	long := &longLines{out: body, note: mend.note}
	long.survey.utf8 = mend.utf8
	rewrite, err := s.receive(env, body, long, mend)
	if err == nil && rewrite {
		return s.rewrite(env, body, long)
	}
	if err != nil {
		body.Discard()
	}
	env.Size = body.Size()
	return body, err
}

// receive streams the text into the spool's body, our trace header in front.
func (s *session) receive(env *mail.Envelope, body io.Writer, long *longLines, mend *mender) (rewrite bool, err error) {
	if _, err := body.Write(s.traceField(env)); err != nil {
		return false, err
	}
	_, all := s.senders()
	t := &text{body: long, limit: s.server.policy.MaxMessageSize, strict: !all || mend.rewrite}
	t.edit = func(header []byte) ([]byte, error) {
		header, err := mend.clean(header)
		if err != nil {
			return nil, err
		}
		if err := s.checkHeader(header, mend); err != nil {
			return nil, err
		}
		edited := mend.edit(header)
		long.told = slices.Contains(mend.done, headerEncoded)
		return nil, long.begin(edited)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, s.conn.text, make([]byte, 32<<10)); err != nil {
		return false, err
	}
	if err := t.finish(); err != nil {
		return false, err
	}
	if t.repaired {
		mend.note("line ends")
	}
	env.EightBit = t.eight
	return long.finish()
}

func (s *session) traceField(env *mail.Envelope) []byte {
	return received(s.relay.opts.Hostname, env.Client.Name, env.Client.Address, env.Client.TLS != "", s.user != nil, env.ID, env.Received)
}

// rewrite writes a text once more, without its long lines. The spool keeps a text by its message's id, so the message
// gets another, before anybody has heard of the first.
func (s *session) rewrite(env *mail.Envelope, old spool.Body, long *longLines) (spool.Body, error) {
	defer old.Discard()
	env.ID = mail.NewID(env.Received)
	return rewriteBody(s.relay.opts.Spool.NewBody(env.ID), old, long, env, func() []byte { return s.traceField(env) })
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
	case errors.Is(err, errControls):
		return s.refused(refuse(554, smtp.EnhancedCode{5, 6, 0}, "%v", err), tx.sender)
	case errors.Is(err, errLoop):
		return s.refused(refuse(554, smtp.EnhancedCode{5, 4, 6}, "more than %d Received fields: the message goes in circles", hopLimit), tx.sender)
	case errors.Is(err, spool.ErrFull):
		s.notStored(err, tx)
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "the spool is full; try again later")
	case errors.Is(err, spool.ErrDiskFull):
		s.notStored(err, tx)
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "the disk of the relay is full; try again later")
	case errors.Is(err, errLongLine):
		return s.refused(refuse(554, smtp.EnhancedCode{5, 6, 0}, "a line of the message is longer than %d octets", bodyLine), tx.sender)
	case errors.Is(err, errStalled):
		idle := s.server.policy.IdleTimeout.String()
		s.log().Warn().Str("sender", tx.sender).Str("detail", "nothing came for "+idle+": raise idle_timeout of this listener if the device is only slow").
			Msg("the client stalled before the end of data; nothing was taken")
		return refuse(421, smtp.EnhancedCode{4, 4, 2}, "no octet came for %s (idle_timeout of this listener), so the message was not taken; goodbye", idle)
	case s.conn.gone.Load():
		s.log().Warn().Str("sender", tx.sender).Msg("the client went away before the end of data; nothing was taken")
		return errCut
	}
	s.notStored(err, tx)
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "the message could not be stored; try again later")
}

// notStored tells that a message could not be kept safe. The log of them all is Stored's: there may be thousands.
func (s *session) notStored(err error, tx *transaction) {
	s.log().Debug().Err(err).Str("sender", tx.sender).Msg("a message could not be stored; the client is told to try again")
	s.relay.stored(err)
}

// accepted logs that custody has passed to us.
func (s *session) accepted(env *mail.Envelope, mend *mender, started time.Time) {
	to := make([]string, len(env.Recipients))
	for i, r := range env.Recipients {
		to[i] = r.Address
	}
	s.conn.visit.Accepted++
	s.conn.visit.LastSent = time.Now()
	for _, what := range mend.done {
		s.conn.visit.repaired(what)
	}
	e := s.log().Info()
	if len(mend.done) > 0 {
		e = e.Strs("repairs", mend.done)
	}
	if s.tx.sender != env.Sender {
		e = e.Str("original_sender", s.tx.sender)
	}
	e.Str("event", mail.EventAccepted).Str("id", env.ID.String()).Str("account", env.Account).
		Str("user", env.Client.User).Str("helo", heloToken(env.Client.Name)).Str("tls", env.Client.TLS).
		Str("sender", env.Sender).Str("recipient", strings.Join(to, ", ")).Int64("size", env.Size).
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
