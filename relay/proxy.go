package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt). Our own parser: it is read octet by octet or
// by announced lengths, so that nothing of what follows is swallowed, and before TLS, where no library of ours looks.

// proxySignature begins a header of version 2.
var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Limits of the two forms. Version 2 may announce 64 KiB of extras; nobody sends more than a few hundred octets.
const (
	proxyLineLimit   = 107
	proxyExtrasLimit = 4 << 10
)

var (
	errProxy   = errors.New("this is no PROXY header as haproxy's proxy-protocol.txt has it")
	errNoProxy = errors.New("there is no PROXY header")
)

// proxied says whether a PROXY header is required from this address.
func (l *listener) proxied(a netip.Addr) bool {
	return a.IsValid() && len(l.policy.ProxyFrom) > 0 && allowed(l.policy.ProxyFrom, a)
}

// readProxy takes the client's address from the header that a load balancer must send.
func (c *conn) readProxy() error {
	if !c.list.proxied(c.addr) {
		return nil
	}
	source, err := parseProxy(c.socket)
	if errors.Is(err, io.EOF) { // a health check that only connects
		return err
	}
	if err != nil {
		c.proxyFailed(err)
		return errTold
	}
	c.balanced = true
	if source.IsValid() {
		c.identify(net.TCPAddrFromAddrPort(source))
	}
	if !c.list.count(c) {
		c.cutOff(421, "4.3.2", "%s too many connections from your address (max_connections_per_address); try again later", c.list.hostname)
		return errTold
	}
	return nil
}

// proxyFailed cuts a load balancer that is not set up as the listener is.
func (c *conn) proxyFailed(err error) {
	var ne net.Error
	text := "the PROXY header cannot be read: send version 1 or 2 as haproxy's proxy-protocol.txt has it"
	switch {
	case errors.Is(err, errNoProxy):
		text = "a PROXY header is required from the addresses in `proxy_protocol_from` of this listener"
	case errors.As(err, &ne) && ne.Timeout():
		text = "no complete PROXY header came in time"
	}
	c.cutFor("an address in proxy_protocol_from sent no good PROXY header; it was cut: set the load balancer to send one, or take it out of proxy_protocol_from",
		554, "5.7.1", text)
}

// refuseProxy cuts whoever sends a header where none belongs: it would name another client.
func (c *conn) refuseProxy() {
	if c.balanced {
		c.cutFor("a second PROXY header came on a connection; it was cut: one load balancer behind another, or a client that pretends to be one",
			554, "5.7.1", "there was a PROXY header already, and a connection has one")
		return
	}
	c.cutFor("a PROXY header came from an address that is not in proxy_protocol_from of this listener; the client was cut",
		554, "5.7.1", "a PROXY header is taken only from the addresses in `proxy_protocol_from` of this listener")
}

// parseProxy reads one header and nothing beyond it. The address is invalid when the header names none, as a load
// balancer's own connections have it.
func parseProxy(r io.Reader) (source netip.AddrPort, err error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		return source, err
	}
	switch first[0] {
	case 'P':
		return proxyLine(r)
	case '\r':
		return proxyBinary(r)
	}
	return source, errNoProxy
}

// proxyLine reads version 1, its P already taken.
func proxyLine(r io.Reader) (source netip.AddrPort, err error) {
	line, octet := []byte("P"), make([]byte, 1)
	for !bytes.HasSuffix(line, crlf) {
		if len(line) == proxyLineLimit {
			return source, errProxy
		}
		if _, err := io.ReadFull(r, octet); err != nil {
			return source, err
		}
		line = append(line, octet[0])
	}
	text := string(line[:len(line)-len(crlf)])
	if text == "PROXY UNKNOWN" || strings.HasPrefix(text, "PROXY UNKNOWN ") {
		return source, nil
	}
	f := strings.Split(text, " ")
	if len(f) != 6 || f[0] != "PROXY" || f[1] != "TCP4" && f[1] != "TCP6" {
		return source, errProxy
	}
	address, err := netip.ParseAddr(f[2])
	if err != nil || address.Is4() != (f[1] == "TCP4") || address.Zone() != "" {
		return source, errProxy
	}
	if _, err := netip.ParseAddr(f[3]); err != nil {
		return source, errProxy
	}
	port, err := strconv.ParseUint(f[4], 10, 16)
	if err != nil {
		return source, errProxy
	}
	return netip.AddrPortFrom(address, uint16(port)), nil
}

// proxyBinary reads version 2, its first octet already taken.
func proxyBinary(r io.Reader) (source netip.AddrPort, err error) {
	head := make([]byte, 16)
	head[0] = '\r'
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return source, err
	}
	length := int(binary.BigEndian.Uint16(head[14:]))
	if !bytes.HasPrefix(head, proxySignature) || head[12]>>4 != 2 || length > proxyExtrasLimit {
		return source, errProxy
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return source, fmt.Errorf("a PROXY header was cut short: %w", io.ErrUnexpectedEOF)
	}
	switch order, family := head[12]&15, head[13]; {
	case order > 1:
		return source, errProxy
	case order == 0: // LOCAL: the load balancer itself
		return source, nil
	case family == 0x11 && length >= 12: // TCP over IPv4
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest)), binary.BigEndian.Uint16(rest[8:])), nil
	case family == 0x21 && length >= 36: // TCP over IPv6
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest)), binary.BigEndian.Uint16(rest[32:])), nil
	case family == 0x11, family == 0x21:
		return source, errProxy
	}
	return source, nil // UNSPEC, UDP, unix: no address that means anything here
}
