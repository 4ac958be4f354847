package config

import (
	"net"
	"net/netip"
	"strings"
)

// private are the networks that no stranger on the Internet comes from.
var private = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),    // this machine
	netip.MustParsePrefix("10.0.0.0/8"),     // RFC 1918
	netip.MustParsePrefix("172.16.0.0/12"),  // RFC 1918
	netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
	netip.MustParsePrefix("169.254.0.0/16"), // RFC 3927, link-local
	netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598, behind a carrier; also overlay networks
	netip.MustParsePrefix("::1/128"),        // this machine
	netip.MustParsePrefix("fc00::/7"),       // RFC 4193
	netip.MustParsePrefix("fe80::/10"),      // RFC 4291, link-local
}

// The widest public networks that may send without signing in: one site's, not a provider's.
const (
	widestPublic4 = 24
	widestPublic6 = 48
)

// embedding are the IPv6 networks in which IPv4 addresses stand, from octet at on: who comes from one of them comes from
// IPv4, by way of a translator.
var embedding = []struct {
	network netip.Prefix
	at      int
	what    string
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12, "NAT64, RFC 6052"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12, "NAT64, RFC 8215"},
	{netip.MustParsePrefix("2002::/16"), 2, "6to4, RFC 3056"},
	{netip.PrefixFrom(netip.MustParseAddr("::ffff:0:0"), 96), 12, "IPv4-mapped, RFC 4291"},
}

// embedded is the IPv4 network that an IPv6 one holds; what is "" when it holds none.
func embedded(p netip.Prefix) (held netip.Prefix, what string) {
	for _, e := range embedding {
		within := e.network.Bits() <= p.Bits() && e.network.Contains(p.Addr())
		if !within && !(p.Bits() <= e.network.Bits() && p.Contains(e.network.Addr())) {
			continue
		}
		bits := 0
		if within {
			bits = min(max(p.Bits()-8*e.at, 0), 32)
		}
		octets := p.Addr().As16()
		v4 := netip.AddrFrom4([4]byte(octets[e.at : e.at+4]))
		return netip.PrefixFrom(v4, bits).Masked(), e.what
	}
	return held, ""
}

const openRelay = ", and would make this an open relay: list the networks of your own devices"

// openNetwork says that an entry of allow would make an open relay, and what to do.
func openNetwork(p netip.Prefix) string {
	for _, net := range private {
		if net.Bits() <= p.Bits() && net.Contains(p.Addr()) {
			return ""
		}
	}
	widest := widestPublic6
	if p.Addr().Is4() {
		widest = widestPublic4
	}
	held, what := embedded(p)
	switch {
	case p.Bits() == 0:
		return quote(p.String()) + " is the whole Internet" + openRelay
	case what != "" && held.Bits() == 0:
		return quote(p.String()) + " holds all of IPv4 (" + what + ")" + openRelay
	case what != "" && openNetwork(held) != "":
		return quote(p.String()) + " holds " + held.String() + " (" + what + "), a public network wider than a /" + itoa(widestPublic4) + openRelay
	case what == "" && p.Bits() < widest:
		return quote(p.String()) + " is a public network wider than a /" + itoa(widest) + openRelay
	}
	return ""
}

// parseNetwork reads a network, or one address. It is masked, and an IPv4-mapped one is IPv4, as clients are.
func parseNetwork(s string) (p netip.Prefix, problem string) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, quote(s) + ` is not a network: write one as in "192.168.1.0/24", or an address as in "192.168.1.20"`
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, quote(s) + ` is not a network: write one as in "192.168.1.0/24"`
	}
	if !p.Addr().Is4In6() {
		return p.Masked(), ""
	}
	if p.Bits() < 96 {
		return p, quote(s) + ` is wider than IPv4: write the IPv4 network itself`
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked(), ""
}

// beyondLoopback says whether others than this machine may reach a listening address. Who may open a unix socket is
// up to its file; what systemd passes is not known here.
func beyondLoopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	return err != nil || !isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
