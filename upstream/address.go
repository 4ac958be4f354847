package upstream

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// maxAddress is the longest address: RFC 5321 §4.5.3.1.1 and §4.5.3.1.2.
const maxAddress = 64 + 1 + 255

var errAddress = errors.New("this is not an address that can be written in an SMTP command (RFC 5321 section 4.1.2)")

// wire returns an address as it stands between the brackets of MAIL and RCPT, its local part quoted if it has to be.
// Everything was checked when the message came in; it is checked again because a slip here would let one address
// become two, or a command.
func wire(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || len(address) > maxAddress || !utf8.ValidString(address) {
		return "", errAddress
	}
	local, err := unquote(address[:at])
	if err != nil || strings.ContainsFunc(local, isControl) || !isDomain(address[at+1:]) {
		return "", errAddress
	}
	if !isDotString(local) {
		local = quote(local)
	}
	return local + address[at:], nil
}

// unquote returns the content of a Quoted-string; anything else it returns as it is.
func unquote(s string) (string, error) {
	if s[0] != '"' {
		return s, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", errAddress
			}
		case '"':
			if i != len(s)-1 {
				return "", errAddress
			}
			return b.String(), nil
		}
		b.WriteByte(s[i])
	}
	return "", errAddress
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// isControl knows the controls of ASCII and of ISO 8859, and what stands for octets that are no UTF-8.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }

// isDotString is RFC 5321 §4.1.2, with the letters of RFC 6531 §3.3.
func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	return isAlphanumeric(r) || r >= 0xa0 || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// isDomain takes names in LDH and underscores (seen in the field), in the letters of RFC 6531, and address literals.
func isDomain(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && !strings.ContainsFunc(inner, func(r rune) bool {
			return !isAlphanumeric(r) && r != ':' && r != '.' && r != '-'
		})
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return !isAlphanumeric(r) && r != '-' && r != '_' && (r < 0xa0 || r == utf8.RuneError)
		}) {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// anonymous is what we call ourselves without a name that every server takes: Exchange answers a bare machine name
// with 501 5.5.4.
const anonymous = "[127.0.0.1]"

// helloName returns name if it may stand in EHLO (RFC 5321 §4.1.1.1), else an address literal.
func helloName(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		v6, is6 := strings.CutPrefix(inner, "IPv6:") // RFC 5321 §4.1.3
		ip, err := netip.ParseAddr(v6)
		if ok && err == nil && ip.Is6() == is6 && ip.Zone() == "" {
			return name
		}
		return anonymous
	}
	if len(name) > 255 || !strings.Contains(name, ".") {
		return anonymous
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) {
			return anonymous
		}
	}
	return name
}
