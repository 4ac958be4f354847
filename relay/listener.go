package relay

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// listener accepts connections within the limits of its policy and keeps count of them.
type listener struct {
	net.Listener
	policy   *Listener
	tls      *tls.Config // the policy's, and it tells the layer what clients ask for
	hostname string
	log      zerolog.Logger
	seen     func(Visit)

	yielded atomic.Bool // the socket is a successor's

	mu       sync.Mutex
	conns    map[*conn]struct{}
	from     map[string]int // connections of each client address
	refusing int            // clients that are being told 421 inside TLS
	draining bool
	empty    sync.WaitGroup
}

func newListener(inner net.Listener, p *Listener, hostname string, log zerolog.Logger) *listener {
	return &listener{
		Listener: inner, policy: p, tls: noteHello(p.TLS), hostname: hostname, log: log,
		conns: make(map[*conn]struct{}), from: make(map[string]int),
	}
}

// Accept returns the next connection that is within the limits; the others are told 421.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil && l.yielded.Load() {
			return nil, net.ErrClosed
		}
		if err != nil {
			return nil, err
		}
		c := newConn(raw, l)
		why := l.admit(c)
		if why == "" {
			return c, nil
		}
		l.refuse(c, why)
	}
}

// yield ends Accept and leaves the socket open for a successor. Who connects meanwhile waits in the system's queue.
func (l *listener) yield() {
	l.yielded.Store(true)
	l.acceptBy(time.Unix(1, 0))
}

// acceptBy gives Accept a deadline; a listener that knows none is closed with its process, as tests' are.
func (l *listener) acceptBy(t time.Time) {
	if d, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		d.SetDeadline(t)
	}
}

// Close closes the socket, unless it is a successor's.
func (l *listener) Close() error {
	if l.yielded.Load() {
		return nil
	}
	return l.Listener.Close()
}

// admit counts a connection in, or says which limit it is beyond.
func (l *listener) admit(c *conn) (why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.draining:
		return "shutting down"
	case len(l.conns) >= l.policy.MaxConnections:
		return "too many connections (max_connections)"
	case !l.proxied(c.addr) && !l.counted(c): // behind a load balancer the address comes later
		return "too many connections from your address (max_connections_per_address)"
	}
	l.conns[c] = struct{}{}
	l.empty.Add(1)
	return ""
}

// count counts a connection for its address, unless that has too many.
func (l *listener) count(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted(c)
}

func (l *listener) counted(c *conn) bool {
	if l.from[c.key] >= l.policy.MaxConnectionsPerAddress {
		return false
	}
	l.from[c.key]++
	c.counted = true
	return true
}

// tlsRefusals is how many clients at once are told 421 inside TLS; more are only hung up on.
const tlsRefusals = 32

// refuse says 421 as the banner. A new socket's buffer takes the line at once, so this cannot hold up Accept; what has
// to begin with TLS is told in a goroutine of its own.
func (l *listener) refuse(c *conn, why string) {
	c.log().Warn().Str("detail", why).Msg("connection refused with 421")
	if l.policy.Security == SecurityTLS && l.beginRefusal() {
		go func() {
			defer l.endRefusal()
			defer c.Conn.Close()
			if c.handshake() == nil {
				c.say(421, "4.3.2", l.hostname+" "+why+"; try again later")
			}
		}()
		return
	}
	if l.policy.Security != SecurityTLS {
		c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		c.Conn.Write([]byte("421 4.3.2 " + l.hostname + " " + why + "; try again later\r\n"))
	}
	c.Conn.Close()
}

func (l *listener) beginRefusal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.refusing == tlsRefusals {
		return false
	}
	l.refusing++
	l.empty.Add(1)
	return true
}

func (l *listener) endRefusal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing--
	l.empty.Done()
}

func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	if c.counted {
		if l.from[c.key]--; l.from[c.key] == 0 {
			delete(l.from, c.key)
		}
	}
	l.empty.Done()
}

// drain ends idle connections with 421 and lets the others end after the reply to what they are sending.
func (l *listener) drain() {
	for _, c := range l.all(true) {
		c.drain()
	}
}

// cutAll closes every connection, whatever it is doing.
func (l *listener) cutAll() {
	for _, c := range l.all(true) {
		c.Conn.Close()
	}
}

func (l *listener) all(draining bool) []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = l.draining || draining
	list := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		list = append(list, c)
	}
	return list
}

// wait returns when no connection is left.
func (l *listener) wait() { l.empty.Wait() }
