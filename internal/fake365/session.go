package fake365

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Deadlines of an SMTP connection. Every read and write has one, so that nothing is held for ever.
const (
	idleTimeout  = 5 * time.Minute // RFC 5321 §4.5.3.2.7
	writeTimeout = time.Minute
	hangTimeout  = time.Hour // a fault that hangs is meant to outlast its client's patience
	lingerTime   = time.Second
)

// maxLine is the longest command line, CRLF included; RFC 4954 §4 wants 12288 octets for tokens.
const maxLine = 16 << 10

var (
	errBye = errors.New("the conversation has ended")      // pending replies are still sent
	errCut = errors.New("the connection is cut by script") // they are not
)

// session is one SMTP connection, owned by one goroutine.
type session struct {
	srv  *Server
	ctx  context.Context
	raw  net.Conn // as accepted
	conn net.Conn // raw, or TLS over it
	in   *meter
	r    *bufio.Reader
	host string // the name this server goes by, another one each time as in the real farm

	replies bytes.Buffer // of the flight that is being answered
	since   time.Time    // when the first of them was written
	instead string       // from a fault: what the next good reply says in its own place

	hello   bool
	secure  bool
	mailbox string // "" until authenticated
	counted bool   // flights count: the reply to AUTH itself has been sent
	bad     int    // commands nobody knows
	tx      transaction
}

// transaction is one message on its way, RFC 5321 §3.3.
type transaction struct {
	open       bool
	sender     string
	params     string
	binary     bool // BODY=BINARYMIME
	utf8       bool // SMTPUTF8
	recipients []string
	rcptParams []string
	chunked    bool // BDAT has begun
	text       collector
}

// meter reads from the connection with a deadline each time, and counts the bytes of the flight.
type meter struct {
	conn  net.Conn
	wait  time.Duration
	burst int
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(m.wait)); err != nil {
		return 0, err
	}
	n, err := m.conn.Read(p)
	m.burst += n
	return n, err
}

// session serves one connection until either side ends it.
func (s *Server) session(ctx context.Context, conn net.Conn) {
	s.record.count(func(c *Counters) { c.Connections++; c.OpenConnections++ })
	defer s.record.count(func(c *Counters) { c.OpenConnections-- })
	s.tell(Event{Kind: EventConnection, Remote: conn.RemoteAddr().String()})
	c := &session{srv: s, ctx: ctx, raw: conn, host: newHost()}
	c.use(conn)
	defer c.leave()
	if err := c.converse(); errors.Is(err, errBye) && c.flush() == nil {
		c.linger()
	}
}

// leave gives back the place among the mailbox's connections.
func (c *session) leave() {
	if c.mailbox != "" {
		c.srv.record.leave(c.mailbox)
		c.mailbox = ""
	}
}

// use makes conn the one that is talked over.
func (c *session) use(conn net.Conn) {
	c.conn = conn
	c.in = &meter{conn: conn, wait: idleTimeout}
	c.r = bufio.NewReaderSize(c.in, maxLine)
}

// newHost makes up a name like those in Microsoft's replies.
func newHost() string {
	b := randomBytes(3)
	return fmt.Sprintf("FK%dP%03dCA%04d.outlook.office365.com", b[0]%9+1, b[1], b[2])
}

// stamp is the [host time id] that ends many replies.
func (c *session) stamp() string {
	return fmt.Sprintf("[%s %s %016X]", strings.ToUpper(c.host), time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), randomBytes(8))
}

// reply adds a reply to the flight, its lines parted by \n.
func (c *session) reply(text string) {
	if c.instead != "" && positive(text) {
		text, c.instead = c.instead, ""
	}
	if c.replies.Len() == 0 {
		c.since = time.Now()
	}
	c.replies.WriteString(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n") + "\r\n")
}

// refuse adds a reply that ends with the stamp.
func (c *session) refuse(text string) { c.reply(text + " " + c.stamp()) }

// positive says whether a reply is one of agreement, RFC 5321 §4.2.1.
func positive(text string) bool { return strings.HasPrefix(text, "2") || strings.HasPrefix(text, "3") }

// flush sends the flight of replies in one write, one round-trip time after it began.
func (c *session) flush() error {
	if c.replies.Len() == 0 {
		return nil
	}
	if err := sleep(c.ctx, time.Until(c.since.Add(c.srv.opt.Latency))); err != nil {
		return err
	}
	if c.counted {
		c.srv.record.count(func(n *Counters) { n.Flights++ })
	}
	c.counted = c.mailbox != ""
	c.in.burst = 0
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(c.replies.Bytes())
	c.replies.Reset()
	return err
}

// settle sends the replies unless more of the client's flight is still coming in.
func (c *session) settle() error {
	if c.replies.Len() == 0 || c.more() {
		return nil
	}
	return c.flush()
}

// longFlight is the size from which a flight may have come in several TLS records: the first ones of a connection
// carry little more than a kilobyte each.
const longFlight = 1000

// more says whether the client's flight goes on. Commands that have been read are certain; within the round-trip
// time, or for a moment after a flight that may have been cut into records, more may come.
func (c *session) more() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	wait := time.Until(c.since.Add(c.srv.opt.Latency))
	if c.in.burst >= longFlight {
		wait = max(wait, time.Millisecond)
	}
	if wait <= 0 {
		return false
	}
	c.in.wait = wait
	defer func() { c.in.wait = idleTimeout }()
	_, err := c.r.Peek(1)
	return err == nil
}

// readLine returns the next command line without its end. A bare LF ends a command too, as Exchange has it; in
// data it never does (data.go).
func (c *session) readLine() (string, error) {
	line, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		c.refuse("500 5.3.3 Line too long")
		return "", errBye
	case isTimeout(err):
		c.refuse("451 4.7.0 Timeout waiting for client input")
		return "", errBye
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// play does what a fault says, and says whether it has answered. A good reply in a fault only takes the place of
// the usual one: the step itself is done.
func (c *session) play(f *Fault) (answered bool, err error) {
	if f == nil {
		return false, nil
	}
	if f.Delay > 0 || f.Hang || f.Drop {
		if err := c.flush(); err != nil { // the client shall see how far it got
			return true, err
		}
	}
	if err := sleep(c.ctx, f.Delay); err != nil {
		return true, err
	}
	switch {
	case f.Hang:
		return true, c.hang()
	case f.Drop:
		c.raw.Close()
		return true, errCut
	case positive(f.Answer):
		c.instead = f.Answer
		return false, nil
	case f.Answer != "":
		c.reply(f.Answer)
		if strings.HasPrefix(f.Answer, "421") { // RFC 5321 §3.8: the server closes after a 421
			return true, errBye
		}
	}
	return f.Answer != "", nil
}

// hang reads on without an answer until the client leaves or the door is shut.
func (c *session) hang() error {
	c.in.wait = hangTimeout
	io.Copy(io.Discard, c.r)
	return errCut
}

// linger waits for the client to close first: closing with its bytes unread would reset the connection, and take
// the last reply away from it.
func (c *session) linger() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite() // TLS: close_notify, so that nobody takes the end for an attack
	}
	if half, ok := c.raw.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	c.raw.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, c.raw)
}
