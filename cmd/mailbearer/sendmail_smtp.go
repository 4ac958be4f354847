package main

import (
	"bufio"
	"bytes"
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

	"github.com/mailbearer/mailbearer/relay"
)

// sendmailSMTP is -bs: SMTP on standard input and output, which Symfony, Laravel, Alpine and others speak to a sendmail.
// There is no policy to hold against whoever may start us, so each message goes the way of one that -f names the sender
// of, and the library's server is enough. It ends with QUIT, with standard input, or with ctx.
func sendmailSMTP(ctx context.Context, e *env, inv *invocation) error {
	t, err := openIntake(inv.config)
	if err != nil {
		return err
	}
	var cut error // the last message broke off
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &stdioSession{ctx: ctx, intake: t, inv: inv, cut: &cut}, nil
	}))
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "localhost", t.limit, defaultRecipients
	if t.cfg != nil {
		s.MaxRecipients = localRecipients(t.cfg)
	}
	s.MaxLineLength = 1 << 20
	s.EnableSMTPUTF8, s.EnableDSN = true, true
	s.ErrorLog = log.New(io.Discard, "", 0) // what went wrong stands in the replies
	c := &stdioConn{Reader: &lineEnds{r: bufio.NewReader(interruptible(ctx, e.stdin))}, Writer: e.stdout, closed: make(chan struct{})}
	if err := s.Serve(&oneConn{conn: c}); !errors.Is(err, net.ErrClosed) {
		return exitWith(exTempFail, "%w", err)
	}
	if ctx.Err() != nil {
		return exitWith(exTempFail, "interrupted: what was not answered with 250 was not taken")
	}
	return cut
}

// stdioSession collects the envelope of one message after the other.
type stdioSession struct {
	ctx    context.Context
	intake *intake
	inv    *invocation // the command line: what every message begins with
	now    invocation  // the message under way
	cut    *error      // that its text broke off

	notify []string // of its recipients, as each asked, in words
}

// Reset implements smtp.Session.
func (s *stdioSession) Reset() { s.now, s.notify = invocation{}, nil }

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
	sender, err := relay.Requote(from)
	s.now.request.Sender, s.now.request.SenderGiven = sender, true
	return stdioReply(err)
}

// Rcpt implements smtp.Session. The library has taken the quotes off the address, and what stood in them is no list.
func (s *stdioSession) Rcpt(to string, o *smtp.RcptOptions) error {
	address, err := relay.Requote(to)
	if err != nil {
		return stdioReply(err)
	}
	var words []string
	for _, n := range o.Notify {
		words = append(words, string(n))
	}
	s.now.request.Recipients = append(s.now.request.Recipients, address)
	s.notify = append(s.notify, strings.Join(words, ","))
	return nil
}

// setNotify keeps NOTIFY if all recipients ask for the same. Where they differ it is as if none had asked: a report too
// many is better than none.
func (s *stdioSession) setNotify() error {
	if len(slices.Compact(slices.Clone(s.notify))) != 1 || s.notify[0] == "" {
		return nil
	}
	return s.now.setNotify(s.notify[0])
}

// Data implements smtp.Session.
func (s *stdioSession) Data(r io.Reader) error {
	if err := s.setNotify(); err != nil {
		return stdioReply(err)
	}
	message, in := s.now, &input{r: r}
	id, err := s.intake.take(s.ctx, &message, in)
	*s.cut = nil
	if errors.Is(in.err, io.ErrUnexpectedEOF) {
		*s.cut = err
	}
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
	case errors.Is(err, smtp.ErrTooLongLine):
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "a line of the message is longer than 1 MiB"}
	case isPermanent(err):
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: oneLine(err)}
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: oneLine(err)}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// lineEnds makes CRLF of bare LF for a program that ends its first command so, as shell scripts do: then every line does. Where
// the first has CRLF nothing is changed, so that no text can end before its program means it to.
type lineEnds struct {
	r     *bufio.Reader
	begun bool
	bare  bool
	rest  []byte
}

func (l *lineEnds) Read(p []byte) (int, error) {
	if l.begun && !l.bare {
		return l.r.Read(p)
	}
	for len(l.rest) == 0 {
		line, err := l.r.ReadSlice('\n')
		if len(line) == 0 && err != nil {
			return 0, err
		}
		ended := bytes.HasSuffix(line, []byte("\n"))
		if !l.begun {
			l.begun, l.bare = true, ended && !bytes.HasSuffix(line, []byte("\r\n"))
		}
		l.rest = line
		if l.bare && ended && !bytes.HasSuffix(line, []byte("\r\n")) {
			l.rest = append(bytes.Clone(line[:len(line)-1]), '\r', '\n')
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

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
