package relay

import (
	"strings"
	"unicode/utf8"
)

// wirePath is the address of a MAIL or RCPT, as it may stand on the wire (RFC 5321 §4.1.2). Without a domain it is a name
// that is completed later; without anything it is the null sender.
type wirePath struct {
	local  string // a Dot-string, or a Quoted-string where one is needed
	domain string
}

func (p wirePath) String() string {
	if p.domain == "" {
		return p.local
	}
	return p.local + "@" + p.domain
}

// carrier stands for an address that the library would refuse or unquote. The session never looks at what the library
// hands it but at the layer's path, so that a client which sends this very address gains nothing.
const carrier = "carried@mailbearer.invalid"

// carried is how the library is told of a path.
func (p wirePath) carried() string {
	if p == (wirePath{}) || p.domain != "" && p.local[0] != '"' {
		return p.String()
	}
	return carrier
}

// parsePath reads the address at the start of s and returns what follows it: parameters, after a blank. It takes the
// ways in which old clients write one: blanks around it, no brackets, one bracket, two pairs, a name in front, a source
// route.
func parsePath(s string) (p wirePath, params string, err error) {
	raw, params, ok := cutPath(strings.Trim(s, " "))
	if !ok {
		return wirePath{}, "", badAddress(strings.TrimSuffix(strings.TrimPrefix(strings.Trim(s, " "), "<"), ">"))
	}
	raw = strings.Trim(raw, " ")
	if strings.HasPrefix(raw, "@") { // RFC 5321 §4.1.1.3: a source route is stripped
		if _, after, ok := strings.Cut(raw, ":"); ok {
			raw = after
		}
	}
	if raw == "" {
		return wirePath{}, params, nil
	}
	p, err = parseMailbox(raw)
	return p, params, err
}

// cutPath separates an address from the parameters after it. Brackets and blanks count only outside quotes. It is not
// ok where a bracket has something before it that is no name: `<a<b@example.com>` may not reach b.
func cutPath(s string) (raw, params string, ok bool) {
	open, depth, quoted := -1, 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == '<':
			if !mayPrecede(s[:i]) {
				return "", "", false
			}
			open, depth = i, depth+1
		case s[i] == '>':
			params, ok = strings.CutPrefix(s[i:], strings.Repeat(">", max(depth, 1)))
			return s[open+1 : i], apart(params), ok && (depth > 0 || i > 0)
		case s[i] == ' ' && open < 0 && (strings.ContainsRune(s[:i], '@') || !strings.Contains(s[i:], " <")):
			return s[:i], s[i:], true // no brackets; otherwise this is a name in front of them
		}
	}
	if open >= 0 { // a bracket that is never closed ends at the first blank
		raw, params, _ = strings.Cut(strings.TrimLeft(s[open+1:], " "), " ")
		return raw, " " + params, depth == 1
	}
	return s, "", true
}

// mayPrecede says what may stand before a bracket: other ones, and a name with a blank behind it.
func mayPrecede(s string) bool {
	name := strings.TrimLeft(s, "< ")
	if name == "" {
		return true
	}
	return strings.HasSuffix(name, " ") && !strings.ContainsFunc(unquoted(name), func(r rune) bool {
		return r != ' ' && r != '.' && r != utf8.RuneError && !isAtext(r)
	})
}

// unquoted is what stands outside quotes.
func unquoted(s string) string {
	var b strings.Builder
	for s != "" {
		n := 1
		if s[0] == '"' {
			n = quoteEnd(s)
		} else {
			b.WriteByte(s[0])
		}
		s = s[n:]
	}
	return b.String()
}

// apart puts the blank between an address and a parameter that some clients forget.
func apart(params string) string {
	if key, _, ok := strings.Cut(params, "="); ok && isKeyword(key) {
		return " " + params
	}
	return params
}

// parseMailbox reads local-part and domain.
func parseMailbox(raw string) (wirePath, error) {
	local, domain, at := raw, "", endOfLocal(raw)
	if at >= 0 {
		local, domain = raw[:at], raw[at+1:]
	}
	content, ok := local, isLenientLocal(local)
	if strings.HasPrefix(local, `"`) {
		content, ok = readQuoted(local)
	}
	if !ok || at >= 0 && !validDomain(domain) {
		return wirePath{}, badAddress(raw)
	}
	if isDotString(content) {
		return wirePath{content, domain}, nil
	}
	local, err := quoteLocal(content)
	if err != nil || at < 0 || content == "" {
		return wirePath{}, badAddress(raw)
	}
	return wirePath{local, domain}, nil
}

// isLenientLocal lets dots stand where RFC 5321 has none without quotes, as in addresses of Japanese mobile carriers.
func isLenientLocal(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r != '.' && !isAtext(r) })
}

// endOfLocal finds the @ before the domain, or -1: the first one outside quotes, since neither a Dot-string nor a
// domain has one.
func endOfLocal(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '@' && !quoted:
			return i
		}
	}
	return -1
}

// readQuoted reads a Quoted-string that is all of s.
func readQuoted(s string) (content string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		case '"':
			return b.String(), i == len(s)-1
		}
		b.WriteByte(s[i])
	}
	return "", false
}
