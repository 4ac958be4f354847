package relay

import (
	"fmt"
	"mime"
	"net/mail"
	"strings"
)

// Address checks what a person or a program wrote as an address and returns the form that may stand on the wire:
// local@domain, a quoted local part in its quotes, or a name without a domain.
func Address(s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = stripRoute(strings.TrimSpace(s[1 : len(s)-1]))
	}
	local, domain, hasDomain := cutAddress(s)
	address := unquoteLocal(local)
	special := strings.ContainsFunc(local, func(r rune) bool { return r != '.' && !isAtext(r) })
	if special && address == local || hasDomain && address == "" || !hasDomain && strings.ContainsRune(address, '@') {
		return "", notAnAddress(s)
	}
	if hasDomain {
		address += "@" + domain
	}
	wire, err := quoted(address)
	if err != nil || wire == "" {
		return "", notAnAddress(s)
	}
	return wire, nil
}

func notAnAddress(s string) error {
	return fmt.Errorf("%q is not an address: write it as in root, or as in printer@example.com", s)
}

// stripRoute takes a source route off, which means nothing any more (RFC 5321 §4.1.1.3, appendix C).
func stripRoute(s string) string {
	if strings.HasPrefix(s, "@") {
		if _, address, ok := strings.Cut(s, ":"); ok {
			return address
		}
	}
	return s
}

// cutAddress parts an address at the @ in front of its domain. In a quoted local part an @ is a letter like any other.
func cutAddress(s string) (local, domain string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		end := quoteEnd(s)
		local, rest := s[:end], s[end:]
		if rest == "" {
			return local, "", false
		}
		if rest[0] == '@' {
			return local, rest[1:], true
		}
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

// quoteEnd is the index after the quote that ends a quoted string beginning at 0; its length when none does.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

func unquoteLocal(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return unescape(s[1 : len(s)-1])
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// AddressList reads the body of an address field as old software writes it: names without a domain, groups, comments,
// empty members, semicolons for commas, quotes anywhere. net/mail refuses the whole list for any of these, and then
// somebody would not get the message. What an element means is decided by Address.
func AddressList(value string) []mail.Address {
	var list []mail.Address
	value, v := veiled(value)
	s := &listScanner{rest: value}
	for s.next() {
		if s.address != "" {
			list = append(list, v.liftAddress(mail.Address{Name: decodeWords(s.name), Address: s.address}))
		}
	}
	return list
}

var wordDecoder mime.WordDecoder

func decodeWords(s string) string {
	if d, err := wordDecoder.DecodeHeader(s); err == nil {
		return d
	}
	return s
}

// listScanner takes an address list apart, one element at a time.
type listScanner struct {
	rest          string
	name, address string // of the element that next found; the address is "" for an empty one
	bracketed     bool   // it had angle brackets, even if nothing was between them
}

// next reads up to the comma or semicolon that ends an element. A colon ends a group's name, which is nobody's.
func (s *listScanner) next() bool {
	if s.rest == "" {
		return false
	}
	var words, comment strings.Builder
	angle, hasAngle := "", false
	for s.rest != "" {
		c := s.rest[0]
		switch c {
		case ',', ';':
			s.rest = s.rest[1:]
			s.element(words.String(), angle, hasAngle, comment.String())
			return true
		case ':':
			s.rest = s.rest[1:]
			words.Reset()
		case '(':
			comment.WriteString(s.take(commentEnd(s.rest)))
		case '"':
			words.WriteString(s.take(quoteEnd(s.rest)))
		case '[': // an address literal, which has colons when it is IPv6
			words.WriteString(s.take(literalEnd(s.rest)))
		case '<':
			angle, hasAngle = s.take(angleEnd(s.rest)), true
		default:
			words.WriteByte(c)
			s.rest = s.rest[1:]
		}
	}
	s.element(words.String(), angle, hasAngle, comment.String())
	return true
}

func (s *listScanner) take(n int) string {
	part := s.rest[:n]
	s.rest = s.rest[n:]
	return part
}

// element decides which part of what was read is the address. Without angle brackets everything is, and a comment
// behind it is the name, as in `root (Cron Daemon)`.
func (s *listScanner) element(words, angle string, hasAngle bool, comment string) {
	words, s.bracketed = strings.TrimSpace(words), hasAngle
	if hasAngle {
		s.address = stripRoute(strings.TrimSpace(strings.Trim(angle, "<>")))
		s.name = strings.TrimSpace(unquoteLocal(words))
		return
	}
	s.address = words
	s.name = strings.TrimSpace(strings.Trim(comment, "()"))
}

func literalEnd(s string) int {
	if i := strings.IndexByte(s, ']'); i >= 0 {
		return i + 1
	}
	return len(s)
}

// angleEnd is the index after the bracket that ends an address in angle brackets; quotes may hold one too.
func angleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quoteEnd(s[i:]) - 1
		case '>':
			return i + 1
		}
	}
	return len(s)
}

// commentEnd is the index after a comment, which may hold others (RFC 5322 §3.2.2).
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
