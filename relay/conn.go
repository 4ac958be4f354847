package relay

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the layer of ours between a client's socket and go-smtp. It mends what the library leaves open:
//
//   - a command must be complete within idle_timeout, and in DATA no octet may be awaited longer; the library has
//     one deadline for a whole DATA;
//   - a command cut short by a time-out or a lost connection would be executed by the library: after a failed read
//     the session refuses everything (broken);
//   - a stop wakes idle connections with 421;
//   - while a client waits for a verdict somebody has to notice that it left (watch);
//   - the session learns whether its reply could be written (onReply).
type conn struct {
	net.Conn
	list *listener
	host string // the client's address without port
	tls  atomic.Bool

	broken   atomic.Bool // a read failed: what arrives now is the rest of a cut line
	closing  atomic.Bool // end the connection after the next reply
	draining atomic.Bool
	inData   atomic.Bool  // from the first octet of a text until the reply to its end
	dataDone atomic.Bool  // the session is done with the text; the reply comes next
	lineBy   atomic.Int64 // when the command line being read must be complete, Unix ns

	authFailures atomic.Int32 // of the whole connection: a new EHLO does not clear them

	mu      sync.Mutex
	onReply func(error)
	ahead   []byte // read while watching
	aheadOf error
	watcher chan struct{} // closed when the watching goroutine has ended; nil without one
}

func newConn(raw net.Conn, l *listener) *conn {
	c := &conn{Conn: raw, list: l, host: raw.RemoteAddr().String()}
	if host, _, err := net.SplitHostPort(c.host); err == nil {
		c.host = host
	}
	c.tls.Store(l.policy.Security == SecurityTLS)
	c.nextLine()
	return c
}

// underlying finds our layer below go-smtp's connection, TLS or not.
func underlying(nc net.Conn) *conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return nc.(*conn)
}

func (c *conn) nextLine() {
	c.lineBy.Store(time.Now().Add(c.list.policy.IdleTimeout).UnixNano())
}

// Read reads for go-smtp.
func (c *conn) Read(p []byte) (int, error) {
	if n, err := c.readAhead(p); n > 0 || err != nil {
		return n, err
	}
	c.setReadDeadline()
	if c.ending() {
		return c.bye()
	}
	n, err := c.Conn.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	c.broken.Store(true)
	if c.ending() {
		return c.bye()
	}
	return 0, err
}

// setReadDeadline gives a command line its total time, and each octet of DATA its own.
func (c *conn) setReadDeadline() {
	by := time.Unix(0, c.lineBy.Load())
	if c.inData.Load() {
		by = time.Now().Add(c.list.policy.IdleTimeout)
	}
	c.Conn.SetReadDeadline(by)
}

// ending says that the client is to be told goodbye instead of being listened to.
func (c *conn) ending() bool {
	return !c.inData.Load() && (c.draining.Load() || c.closing.Load())
}

// bye ends the connection from within a read. Below TLS nothing may be written here; the time-out error makes the
// library say 421 inside TLS.
func (c *conn) bye() (int, error) {
	c.broken.Store(true)
	if c.tls.Load() {
		return 0, timeout{}
	}
	if c.draining.Load() {
		c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		c.Conn.Write([]byte("421 4.3.2 " + c.list.hostname + " shutting down; try again in a minute\r\n"))
	}
	return 0, io.EOF
}

// timeout is a time-out that the library recognises.
type timeout struct{}

func (timeout) Error() string   { return "shutting down" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return false }

// writeTimeout bounds one write; a client that reads nothing for so long is gone.
const writeTimeout = time.Minute

// Write writes for go-smtp. A reply begins a new command line's time.
func (c *conn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Conn.Write(p)
	c.nextLine()
	if c.dataDone.Swap(false) {
		c.inData.Store(false)
	}
	c.mu.Lock()
	hook := c.onReply
	c.onReply = nil
	c.mu.Unlock()
	if hook != nil {
		hook(err)
	}
	return n, err
}

// Close closes the socket and counts the connection out.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.list.leave(c)
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

// data says that a text is being read; the returned function, that the session is done with it.
func (c *conn) data() (done func()) {
	c.inData.Store(true)
	return func() { c.dataDone.Store(true) }
}

// afterReply calls hook once the next reply has been written, or could not be.
func (c *conn) afterReply(hook func(error)) {
	c.mu.Lock()
	c.onReply = hook
	c.mu.Unlock()
}

// aheadLimit bounds what is read from a client that pipelines while it waits.
const aheadLimit = 4 << 10

// watch calls left once if the client's end closes before unwatch. It reads ahead to find out; Read gets that first.
func (c *conn) watch(left func()) {
	done := make(chan struct{})
	c.watcher = done
	c.Conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		buf := make([]byte, aheadLimit)
		for have := 0; have < aheadLimit; {
			n, err := c.Conn.Read(buf[have:])
			have += n
			c.mu.Lock()
			c.ahead = buf[:have]
			c.mu.Unlock()
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return
			}
			if err != nil {
				c.mu.Lock()
				c.aheadOf = err
				c.mu.Unlock()
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
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aheadOf == nil
}

// readAhead hands out what watch has read.
func (c *conn) readAhead(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	if c.aheadOf != nil {
		c.broken.Store(true)
	}
	return 0, c.aheadOf
}
