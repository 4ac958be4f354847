package report

import (
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"
)

// line makes text from outside fit for one line of a header or a report. Whatever is not printable becomes a space,
// Unicode's own line ends and direction marks with it: other parsers than ours split lines at more than CR and LF.
// Runs of spaces become one, so that folding never leaves a line of spaces only.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// ascii makes a line fit for a field of message/delivery-status, which is ASCII: other characters are written as
// RFC 6533 §3 writes them in an address, \x{HEX}. The report then travels where SMTPUTF8 does not.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range line(s) {
		if r < 0x7f {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// isASCII says whether s needs neither 8BITMIME nor SMTPUTF8.
func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// cut shortens s to at most n octets, at the end of a character, and shows that it did.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = " [...]"
	return strings.ToValidUTF8(s[:n-len(more)], "") + more
}

// address reads an envelope's address for use in a header. What cannot be read is no address, and nobody is written
// to: in a header "a@b>, <c@d" would be two.
func address(s string) (*netmail.Address, error) {
	if line(s) != s || len(s) > maxAddress {
		return nil, fmt.Errorf("%q is not an address that a report can be sent to", cut(s, maxAddress))
	}
	a, err := netmail.ParseAddress("<" + s + ">")
	if err != nil {
		return nil, fmt.Errorf("%q is not an address that a report can be sent to: %w", s, err)
	}
	return a, nil
}

// maxAddress is above what RFC 5321 §4.5.3.1.3 allows, 256 octets with the brackets, and below what needs folding.
const maxAddress = 500

// hostname makes the name of this host fit for "dns; HOST" and for a Message-ID.
func hostname(s string) string {
	if isHostname(s) {
		return s
	}
	return "localhost"
}

// isHostname says whether s is a name or an address literal, and nothing but one.
func isHostname(s string) bool {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:[]", r))
	}
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, bad)
}
