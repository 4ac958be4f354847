package relay

import (
	"net/mail"
	"strings"
)

// encodeNames encodes the names and comments of an address list. Everything else in it, the addresses above
// all, stays octet for octet; false when octets above 127 are left, which only SMTPUTF8 could carry.
func encodeNames(value, charset string) (string, bool) {
	var out strings.Builder
	start := 0               // of what may become a display name
	stop, angle := -1, false // what ends a name next, and whether that is its address
	for i := 0; i < len(value); {
		rest := value[i:]
		switch rest[0] {
		case '"':
			i += quoteEnd(rest)
		case '[':
			i += literalEnd(rest)
		case '(':
			end := i + commentEnd(rest)
			before := value[start:i]
			if end > stop {
				stop, angle = nameEnd(value, end)
			}
			if angle { // this comment stands within a name, and not behind an address
				before = encodeName(before, charset)
			}
			out.WriteString(before + encodeComment(value[i:end], charset))
			i, start = end, end
		case '<':
			end := i + angleEnd(rest)
			out.WriteString(encodeName(value[start:i], charset) + value[i:end])
			i, start = end, end
		case ':': // the end of a group's name
			out.WriteString(strings.TrimRight(encodeName(value[start:i], charset), " ") + ":")
			i++
			start = i
		case ',', ';':
			i++
			out.WriteString(value[start:i])
			start = i
		default:
			i++
		}
	}
	out.WriteString(value[start:])
	s := out.String()
	return s, !hasEight([]byte(s))
}

// nameEnd finds what ends a name that goes on at i: an address in brackets, or something that no name has.
func nameEnd(s string, i int) (stop int, angle bool) {
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quoteEnd(s[i:]) - 1
		case '(':
			i += commentEnd(s[i:]) - 1
		case '<':
			return i, true
		case ',', ';', ':', '@':
			return i, false
		}
	}
	return len(s), false
}

// encodeLone writes a field with one <address> and a name that lacks its quotes, as in `Müller, Hans <a@example.com>`.
func encodeLone(value string) (string, bool) {
	a, ok := loneAuthor(value)
	if _, err := parseList(value); err == nil || !ok {
		return "", false
	}
	address, err := Address(a.Address)
	return formatAuthor(mail.Address{Name: a.Name, Address: address}), err == nil && !hasEight([]byte(address))
}

// encodeName encodes the phrase in front of an address. As a whole: a name that is half a quoted string and half an
// encoded word is read differently by every receiver.
func encodeName(phrase, charset string) string {
	name := strings.Trim(phrase, " \t")
	if !hasEight([]byte(name)) || strings.Contains(name, "=?") {
		return phrase
	}
	before, _, _ := strings.Cut(phrase, name)
	switch {
	case name[0] == '"' && quoteEnd(name) == len(name) && len(name) > 1 && name[len(name)-1] == '"':
		name = unescape(name[1 : len(name)-1])
	case strings.ContainsRune(name, '"'):
		return phrase
	}
	return before + join(encodeWords(name, charset)) + " "
}

// encodeComment encodes what stands in brackets, as in `root@host (Jürgen)`. One within another is left alone.
func encodeComment(comment, charset string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(comment, "("), ")")
	if !hasEight([]byte(inner)) || len(inner) != len(comment)-2 || strings.ContainsAny(inner, `()\`) {
		return comment
	}
	tail := inner[len(strings.TrimRight(inner, " \t")):]
	return "(" + join(encodeText(tokenize(inner), charset)) + tail + ")"
}

// join writes tokens in one line; the blank in front of the first is the caller's.
func join(tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 {
			b.WriteString(t.blank)
		}
		b.WriteString(t.word)
	}
	return b.String()
}
