package relay

import (
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// listener accepts connections within the limits of its policy and keeps count of them.
type listener struct {
	net.Listener
	policy   *Listener
	hostname string
	log      zerolog.Logger

	mu       sync.Mutex
	conns    map[*conn]struct{}
	from     map[string]int // connections of each client address
	draining bool
	empty    sync.WaitGroup
}

func newListener(inner net.Listener, p *Listener, hostname string, log zerolog.Logger) *listener {
	return &listener{
		Listener: inner, policy: p, hostname: hostname, log: log,
		conns: make(map[*conn]struct{}), from: make(map[string]int),
	}
}

// Accept returns the next connection that is within the limits; the others are told 421.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newConn(raw, l)
		why := l.admit(c)
		if why == "" {
			return c, nil
		}
		l.refuse(raw, why)
	}
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
	case l.from[c.host] >= l.policy.MaxConnectionsPerAddress:
		return "too many connections from your address (max_connections_per_address)"
	}
	l.conns[c] = struct{}{}
	l.from[c.host]++
	l.empty.Add(1)
	return ""
}

// refuse says 421 as the banner. A new socket's buffer takes the line at once, so this cannot hold up Accept.
func (l *listener) refuse(raw net.Conn, why string) {
	l.log.Warn().Str("client", raw.RemoteAddr().String()).Str("listener", l.policy.Address).Str("detail", why).
		Msg("connection refused with 421")
	if l.policy.Security != SecurityTLS {
		raw.SetWriteDeadline(time.Now().Add(time.Second))
		raw.Write([]byte("421 4.3.2 " + l.hostname + " " + why + "; try again later\r\n"))
	}
	raw.Close()
}

func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	if l.from[c.host]--; l.from[c.host] == 0 {
		delete(l.from, c.host)
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
