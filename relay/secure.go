package relay

import (
	"crypto/tls"
	"io"
	"time"
)

// handshakeTime bounds a TLS handshake, and a PROXY header.
const handshakeTime = 30 * time.Second

// clientHello is what a client's TLS hello said.
type clientHello struct{ newest uint16 }

// noteHello makes a listener's TLS configuration tell the layer what each client asks for: when a handshake fails, the
// log can then say why.
func noteHello(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	inner := c.GetConfigForClient
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if w, ok := h.Conn.(*wire); ok {
			for _, v := range h.SupportedVersions {
				w.conn.hello.newest = max(w.conn.hello.newest, v)
			}
		}
		if inner == nil {
			return nil, nil
		}
		return inner(h)
	}
	return c
}

// start does what comes before the banner: the PROXY header, and TLS where the listener begins with it.
func (c *conn) start() error {
	c.started = true
	c.lineBy.Store(time.Now().Add(min(handshakeTime, c.list.policy.IdleTimeout)).UnixNano())
	if err := c.readProxy(); err != nil {
		return err
	}
	if c.list.policy.Security != SecurityTLS {
		return nil
	}
	first := make([]byte, 5)
	n, err := io.ReadAtLeast(c.socket, first, 1)
	if err != nil {
		return c.bye(err)
	}
	if first = first[:n]; first[0] != 0x16 && first[0]&0x80 == 0 {
		c.visit.Trouble = "no TLS on a port that begins with it"
		c.log().Warn().Str("detail", printable(string(first))).
			Msg("a client spoke plain text where TLS is expected: set the device to TLS (not STARTTLS), or this listener to security = \"starttls\" or \"none\"")
		c.cutOff(554, "5.5.1", "this port begins with TLS (security of this listener)")
		return errTold
	}
	c.socket.ahead = first
	return c.handshake()
}

// handshake begins TLS. A client that fails at it is cut: what it sends next would be neither TLS nor a command.
func (c *conn) handshake() error {
	c.lineBy.Store(time.Now().Add(min(handshakeTime, c.list.policy.IdleTimeout)).UnixNano())
	t := tls.Server(c.socket, c.list.tls)
	if err := t.Handshake(); err != nil {
		c.gone.Store(true)
		c.visit.Trouble = "the TLS handshake failed: " + err.Error()
		e := c.log().Warn().Str("detail", err.Error())
		if offered := c.hello.newest; offered != 0 {
			e = e.Str("newest_version", tls.VersionName(offered))
			if offered < c.list.tls.MinVersion {
				e = e.Str("fix", "set min_tls = \"1.0\" for this listener, or switch TLS off on the device and on a listener of its own")
			}
		}
		e.Msg("a TLS handshake failed; the client was cut")
		return err
	}
	state := t.ConnectionState()
	c.stream, c.tlsState = t, &state
	c.visit.TLS = tlsName(&state)
	c.nextLine()
	return nil
}

func tlsName(state *tls.ConnectionState) string {
	if state == nil {
		return ""
	}
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}

// offersTLS says whether STARTTLS can be used now.
func (c *conn) offersTLS() bool {
	return c.list.policy.Security == SecurityStartTLS && c.tlsState == nil
}

// upgrade answers STARTTLS (RFC 3207 §4) and says whether TLS runs now.
func (c *conn) upgrade(arg string) bool {
	switch {
	case c.tlsState != nil:
		c.refuse(503, "5.5.1", "TLS is running already")
		return false
	case !c.offersTLS():
		c.refuse(502, "5.5.1", "TLS is not offered here (this listener has security = \"none\")")
		return false
	case arg != "":
		c.refuse(501, "5.5.4", "STARTTLS takes no parameters")
		return false
	}
	if n := len(c.in.unread()); n > 0 { // RFC 3207 §4.2: an attacker may have put them there
		c.log().Warn().Int("octets", n).Msg("what a client sent after STARTTLS in plain text was dropped")
		c.in.skip(n)
	}
	c.say(220, "2.0.0", "ready to start TLS")
	if c.handshake() != nil {
		return false
	}
	c.greeted = false
	return true
}

// isTLSHello says whether octets begin a TLS or an SSL 2 hello.
func isTLSHello(b []byte) bool {
	return b[0] == 0x16 || len(b) > 4 && b[0]&0x80 != 0 && b[2] == 1 && (b[3] == 3 || b[3] == 0 && b[4] == 2)
}
