package relay

import (
	"errors"
	"io"
	"net"
	"time"
)

// wire is the socket itself, below TLS. It sets the deadline of each single read, so that a slow but steady client is
// never cut in the middle of a TLS record, and a stop reaches a client wherever it idles.
type wire struct {
	net.Conn
	conn  *conn
	ahead []byte // looked at before TLS began
}

// endOfListening ends a read because the client is to be told goodbye. It is a time-out to TLS, which then can still
// be written to.
type endOfListening struct{}

func (endOfListening) Error() string   { return "the relay has stopped listening to this client" }
func (endOfListening) Timeout() bool   { return true }
func (endOfListening) Temporary() bool { return true }

// Read reads what the client has sent. The deadline stands before the question whether to end is asked, and drain asks
// in the opposite order: one of the two notices the other.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(p, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	c := w.conn
	if c.watching.Load() {
		return w.Conn.Read(p)
	}
	for {
		by := c.readBy()
		w.Conn.SetReadDeadline(by)
		if c.ending() {
			return 0, endOfListening{}
		}
		n, err := w.Conn.Read(p)
		var ne net.Error
		if n == 0 && errors.As(err, &ne) && ne.Timeout() && time.Now().Before(by) && !c.ending() {
			continue // a stop took a client for idle that had just begun its text
		}
		return n, err
	}
}

// writeTimeout bounds one write; a client that reads nothing for so long is gone.
const writeTimeout = time.Minute

func (w *wire) Write(p []byte) (int, error) {
	w.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return w.Conn.Write(p)
}

// A client that is cut may still be sending. Closing a socket with unread octets resets the connection, and the reset
// takes the reply away that says why: so the rest is read for a moment.
const (
	lingerTime   = time.Second
	lingerOctets = 1 << 20
)

// linger ends our side and waits shortly for the client to end its own.
func (w *wire) linger() {
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	w.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, w.Conn, lingerOctets)
}
