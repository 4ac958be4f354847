package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// conn is the layer of ours between a client's socket and go-smtp. The library gets one command line at a time, in
// plain text and in the form that it understands, and asks for the next when it has replied: so the layer always knows
// what the client's next octets are (mode), and nothing that was cut short ever looks like a command.
//
//	wire.go      the socket: deadlines of single reads
//	secure.go    TLS, implicit and STARTTLS, and the PROXY header before it
//	input.go     the client's octets: command lines with their limits
//	body.go      the client's octets: a text up to its CRLF.CRLF, which goes to the session without the library
//	dialect.go   old ways to write a command, path.go old ways to write an address
//	answer.go    the library's replies: EHLO's lines, and what a reply says about the next octets
//	replies.go   their words and codes
type conn struct {
	net.Conn // the socket, for its local address
	list     *listener
	socket   *wire
	stream   net.Conn             // what is read and written: the socket, or TLS over it
	addr     netip.Addr           // the client's address, unmapped; invalid on a unix socket
	remote   net.Addr             // the same with its port
	key      string               // what connections are counted by
	counted  bool                 // by the listener, under its lock
	balanced bool                 // a load balancer's PROXY header has been read
	hello    clientHello          // what the client's TLS hello asked for
	tlsState *tls.ConnectionState // nil before TLS
	started  bool

	in      input
	mode    mode
	text    *body    // the text being read, in mode data
	rest    []byte   // of a line that the library has not taken whole
	out     []byte   // of a reply that the library has not written whole
	verb    string   // of the command that the library works on
	path    wirePath // of the MAIL or RCPT that the library works on
	pathErr error
	quiet   bool // the reply to come is to a command of ours
	greeted bool // EHLO or HELO since the connection or TLS began
	faults  int  // refusals since a message was taken
	strikes int  // lines that were no commands
	blanks  int  // empty ones since the last that was not
	visit   Visit

	closing  atomic.Bool // end the connection after the next reply
	gone     atomic.Bool // a read failed, or the client was told goodbye: nothing more is listened to
	draining atomic.Bool
	watching atomic.Bool
	inData   atomic.Bool  // from the 354 until the reply to the end of the text
	lineBy   atomic.Int64 // when the command line being read must be complete, Unix ns
	cut      atomic.Bool  // the client may be sending still: linger

	authFailures int // of the whole connection: a new EHLO does not clear them

	onReply func(error)
	watcher chan struct{} // closed when the watching goroutine has ended
	left    error         // what the watching goroutine saw last
	end     sync.Once
}

// mode is what the client's next octets are.
type mode int

const (
	command  mode = iota
	exchange      // a line of an AUTH exchange (RFC 4954 §4), after 334
	data          // a text, after 354
)

func newConn(raw net.Conn, l *listener) *conn {
	c := &conn{Conn: raw, list: l}
	c.socket = &wire{Conn: raw, conn: c}
	c.stream = c.socket
	c.identify(raw.RemoteAddr())
	c.visit.Began = time.Now()
	c.nextLine()
	return c
}

// identify says who the client is. An IPv4 address mapped into IPv6 is the IPv4 address, for `allow` as for the limits.
func (c *conn) identify(remote net.Addr) {
	c.remote, c.key, c.addr = remote, remote.String(), netip.Addr{}
	if t, ok := remote.(*net.TCPAddr); ok {
		c.addr = t.AddrPort().Addr().Unmap().WithZone("")
		c.remote = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.addr, t.AddrPort().Port()))
		c.key = c.addr.String()
	}
	c.visit.Address = c.addr
}

// RemoteAddr is the client's address: behind a load balancer the one that its PROXY header names.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) log() *zerolog.Logger {
	l := c.list.log.With().Str("client", c.remote.String()).Str("listener", c.list.policy.Address).Logger()
	return &l
}

func (c *conn) nextLine() {
	c.lineBy.Store(time.Now().Add(c.list.policy.IdleTimeout).UnixNano())
}

// readBy gives a command line its total time, and each octet of a text its own.
func (c *conn) readBy() time.Time {
	if c.inData.Load() {
		return time.Now().Add(c.list.policy.IdleTimeout)
	}
	return time.Unix(0, c.lineBy.Load())
}

// ending says that the client is to be told goodbye instead of being listened to.
func (c *conn) ending() bool {
	return !c.inData.Load() && (c.draining.Load() || c.closing.Load())
}

// Read hands the library its next line.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		line, err := c.next()
		if err != nil {
			return 0, err
		}
		c.rest = line
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// next waits for what the library is to see next. Every error is io.EOF: the client has been told already.
func (c *conn) next() ([]byte, error) {
	if c.mode == data { // the session is done with the text: its end is all that the library has to see
		if c.gone.Load() || c.text.discard() != nil {
			return nil, io.EOF
		}
		return []byte(".\r\n"), nil
	}
	for {
		if c.gone.Load() {
			return nil, io.EOF
		}
		if c.ending() {
			return nil, c.bye(endOfListening{})
		}
		line, err := c.in.line(c)
		if err != nil {
			return nil, c.bye(err)
		}
		if c.mode == exchange {
			return append(line, '\r', '\n'), nil
		}
		if line = c.translate(line); line != nil {
			return append(line, '\r', '\n'), nil
		}
	}
}

// bye ends the connection from within a read, in words wherever somebody may be listening.
func (c *conn) bye(err error) error {
	c.gone.Store(true)
	var ne net.Error
	switch {
	case c.draining.Load():
		c.say(421, "4.3.2", c.list.hostname+" shutting down; try again in a minute")
		return io.EOF
	case c.closing.Load(), err == errTold:
	case errors.As(err, &ne) && ne.Timeout():
		c.say(421, "4.4.2", "no complete command within "+c.list.policy.IdleTimeout.String()+" (idle_timeout of this listener); goodbye")
	}
	c.cut.Store(true)
	return io.EOF
}

// say writes a reply of the layer's own.
func (c *conn) say(code int, status, text string) {
	c.stream.Write([]byte(strconv.Itoa(code) + " " + status + " " + clip(printable(text), replyLimit) + "\r\n"))
	c.nextLine()
}

// Close closes the socket and counts the connection out.
func (c *conn) Close() error {
	var err error
	c.end.Do(func() {
		c.gone.Store(true) // the library asks for another line even after QUIT
		if c.cut.Load() {
			c.socket.linger()
		}
		c.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // for TLS's close_notify
		err = c.stream.Close()
		c.list.leave(c)
		c.leave()
	})
	return err
}

// SetDeadline and its sisters are ours alone to set.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// drain makes the connection end: now if it is idle, otherwise after the reply to what it is sending.
func (c *conn) drain() {
	c.draining.Store(true)
	if !c.inData.Load() {
		c.Conn.SetReadDeadline(time.Now())
	}
}

// watch calls left once if the client's end closes before unwatch. It reads ahead to find out, into the same buffer:
// the goroutine that reads otherwise is waiting for the verdict meanwhile.
func (c *conn) watch(left func()) {
	done := make(chan struct{})
	c.watcher, c.left = done, nil
	c.watching.Store(true)
	c.Conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		for c.in.room() {
			err := c.in.fill(c.stream)
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				return
			}
			if err != nil {
				c.left = err
				left()
				return
			}
		}
	}()
}

// unwatch ends watch and says whether the client is still there.
func (c *conn) unwatch() (there bool) {
	c.Conn.SetReadDeadline(time.Unix(1, 0))
	<-c.watcher
	c.watching.Store(false)
	if c.left != nil {
		c.gone.Store(true)
	}
	return c.left == nil
}
