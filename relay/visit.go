package relay

import (
	"net/netip"
	"time"
)

// Visit is what one connection was, for the inventory of clients: what an administrator has to know about a device
// before the sign-in method it uses is switched off.
type Visit struct {
	Address   netip.Addr // invalid on a unix socket
	Listener  string
	User      string // the [[user]] that signed in
	HELO      string // cut to what may stand in a header
	TLS       string // version and cipher suite; empty without TLS
	Mechanism string // of the sign-in that passed, as AUTH names it
	Began     time.Time
	Ended     time.Time
	Accepted  int            // messages taken
	LastSent  time.Time      // when the last of them was
	Refused   int            // messages and envelopes turned away by policy
	Failures  int            // passwords refused
	Repairs   map[string]int // what had to be mended, and how often
	Trouble   string         // why the connection came to nothing, as a TLS handshake that failed
}

// leave tells the inventory about a connection that ended, if the client said anything at all: a port scan is none.
func (c *conn) leave() {
	if c.list.seen == nil || c.visit.HELO == "" && c.visit.Trouble == "" {
		return
	}
	c.visit.Ended, c.visit.Listener, c.visit.Failures = time.Now(), c.list.policy.Address, c.authFailures
	c.list.seen(c.visit)
}

// repaired counts something that had to be mended.
func (v *Visit) repaired(what string) {
	if v.Repairs == nil {
		v.Repairs = make(map[string]int)
	}
	v.Repairs[what]++
}
