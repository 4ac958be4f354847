package relay

import (
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"
)

// quoted puts an address back into the form that may stand on the wire. go-smtp takes the quotes off a local part, so
// `"v@evil.test> "@allowed.test` would arrive as something else, and leave as two addresses.
func quoted(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return plain(address)
	}
	local, domain := address[:at], address[at+1:]
	if !validDomain(domain) {
		return "", badAddress(address)
	}
	if isDotString(local) {
		return address, nil
	}
	local, err := quoteLocal(local)
	if err != nil {
		return "", badAddress(address)
	}
	return local + "@" + domain, nil
}

// Requote is the wire form of an address whose local part has lost its quotes, as libraries hand it out.
func Requote(address string) (string, error) { return quoted(address) }

// plain passes a name without a domain.
func plain(name string) (string, error) {
	if name == "" || isDotString(name) {
		return name, nil
	}
	return "", badAddress(name)
}

func badAddress(address string) error {
	return refuse(553, smtp.EnhancedCode{5, 1, 3}, "<%s> is not an address that can be sent on (RFC 5321 section 4.1.2)", address)
}

// isDotString is RFC 5321's Dot-string, with the letters of RFC 6531.
func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	switch {
	case r >= 0x80:
		return r != '�' && r > 0x9f // no C1 controls
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		return true
	}
	return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// quoteLocal writes a local part as RFC 5321's Quoted-string.
func quoteLocal(s string) (string, error) {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '�' {
			return "", badAddress(s)
		}
		if r == '"' || r == '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String(), nil
}

// validDomain is a host name of letters, digits, hyphens, underscores (seen in the field) or letters beyond ASCII, or
// an address literal.
func validDomain(d string) bool {
	if d == "" || len(d) > 255 {
		return false
	}
	if d[0] == '[' {
		return validLiteral(d)
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x9f && r != '�')
		}) {
			return false
		}
	}
	return true
}

// validLiteral is an address in brackets (RFC 5321 §4.1.3).
func validLiteral(d string) bool {
	ip, closed := strings.CutSuffix(d[1:], "]")
	if len(ip) > 5 && strings.EqualFold(ip[:5], "IPv6:") {
		ip = ip[5:]
	}
	a, err := netip.ParseAddr(ip)
	return closed && err == nil && a.Zone() == ""
}
