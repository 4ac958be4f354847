package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// sendmailSMTP is -bs: SMTP on standard input and output, which Symfony, Laravel, Alpine and others speak to a sendmail.
// There is no policy to hold against whoever may start us, so each message goes the way of one that -f names the sender
// of, and the library's server is enough. It ends with QUIT, with standard input, or with ctx.
func sendmailSMTP(ctx context.Context, e *env, inv *invocation) error {
	t, err := openIntake(inv.config)
	if err != nil {
		return err
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &stdioSession{ctx: ctx, intake: t, inv: inv}, nil
	}))
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "localhost", t.limit, defaultRecipients
	if t.cfg != nil {
		s.MaxRecipients = localRecipients(t.cfg)
	}
	s.MaxLineLength = 1 << 20
	s.EnableSMTPUTF8, s.EnableDSN = true, true
	s.ErrorLog = log.New(io.Discard, "", 0) // what went wrong stands in the replies
	c := &stdioConn{Reader: interruptible(ctx, e.stdin), Writer: e.stdout, closed: make(chan struct{})}
	if err := s.Serve(&oneConn{conn: c}); !errors.Is(err, net.ErrClosed) {
		return exitWith(exTempFail, "%w", err)
	}
	if ctx.Err() != nil {
		return exitWith(exTempFail, "interrupted: what was not answered with 250 was not taken")
	}
	return nil
}

// stdioSession collects the envelope of one message after the other.
type stdioSession struct {
	ctx    context.Context
	intake *intake
	inv    *invocation // the command line: what every message begins with
	now    invocation  // the message under way
}

// Reset implements smtp.Session.
func (s *stdioSession) Reset() { s.now = invocation{} }

// Logout implements smtp.Session.
func (s *stdioSession) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *stdioSession) Mail(from string, o *smtp.MailOptions) error {
	s.now = invocation{ignoreDots: true, request: s.inv.request}
	s.now.request.Recipients = nil
	s.now.request.Return, s.now.request.EnvelopeID = string(o.Return), ""
	if o.EnvelopeID != "" {
		if err := s.now.setEnvelopeID(o.EnvelopeID); err != nil {
			return stdioReply(err)
		}
	}
	return stdioReply(s.now.setSender(from))
}

// Rcpt implements smtp.Session. NOTIFY is kept for the message, as -N is: the last one counts.
func (s *stdioSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if len(o.Notify) > 0 {
		var words []string
		for _, n := range o.Notify {
			words = append(words, string(n))
		}
		if err := s.now.setNotify(strings.Join(words, ",")); err != nil {
			return stdioReply(err)
		}
	}
	return stdioReply(s.now.addRecipients([]string{to}))
}

// Data implements smtp.Session.
func (s *stdioSession) Data(r io.Reader) error {
	message := s.now
	message.request.Recipients = slices.Clone(s.now.request.Recipients)
	id, err := s.intake.take(s.ctx, &message, &input{r: r})
	if err != nil {
		return stdioReply(err)
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "queued as " + id.String()}
}

// stdioReply is an error of sendmail as a reply: what will never be taken is refused for good. The library's reader has
// replies of its own, for what is too large.
func stdioReply(err error) error {
	var said *smtp.SMTPError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return said
	case isPermanent(err):
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: oneLine(err)}
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: oneLine(err)}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// stdioConn is standard input and output as a connection. Its other side started us and ends us, so it has no deadlines.
type stdioConn struct {
	io.Reader
	io.Writer
	once   sync.Once
	closed chan struct{}
}

func (c *stdioConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *stdioConn) LocalAddr() net.Addr              { return stdio{} }
func (c *stdioConn) RemoteAddr() net.Addr             { return stdio{} }
func (c *stdioConn) SetDeadline(time.Time) error      { return nil }
func (c *stdioConn) SetReadDeadline(time.Time) error  { return nil }
func (c *stdioConn) SetWriteDeadline(time.Time) error { return nil }

// stdio is the address of standard input and output.
type stdio struct{}

func (stdio) Network() string { return "stdio" }
func (stdio) String() string  { return localListener }

// oneConn is a listener with one connection, which is closed with it.
type oneConn struct {
	conn  *stdioConn
	taken bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.conn.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return l.conn.Close() }
func (l *oneConn) Addr() net.Addr { return stdio{} }
