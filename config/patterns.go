package config

import (
	"strings"
	"unicode"
)

// Patterns match whole addresses: `*` stands for any run of characters, case is ignored.
type Patterns []string

// Match says whether one of the patterns matches the address; none of them does when there are none. The null
// sender, "", is matched by `*` alone.
func (p Patterns) Match(addr string) bool {
	addr = foldCase(addr)
	for _, pattern := range p {
		if glob(foldCase(pattern), addr) {
			return true
		}
	}
	return false
}

// Any says whether everything matches, whatever it looks like.
func (p Patterns) Any() bool {
	for _, pattern := range p {
		if pattern != "" && strings.Trim(pattern, "*") == "" {
			return true
		}
	}
	return false
}

// foldCase is lower case, except that no letter beyond ASCII becomes an ASCII one: the Kelvin sign is not a k, or a
// look-alike of an allowed address would pass for it.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); l >= 0x80 || r < 0x80 {
			return l
		}
		return r
	}, s)
}

// glob takes each `*` as short as possible and comes back to the last one only, so that no pattern is slow.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
