package relay

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// foldAt is where lines of a field that we write are folded, and wordLimit the length of an encoded word, which fits
// such a line together with most field names (RFC 2047 §2: 76 and 75 at most).
const (
	foldAt    = 76
	wordLimit = 60
)

// encodeHeader writes raw octets above 127 in header fields as encoded words (RFC 2047), since without SMTPUTF8 a
// header is ASCII (RFC 5322 §2.2) and providers refuse it or show rubbish. Octets that are no UTF-8 are taken for
// Latin 1. It does so where an encoded word may stand, in free text, names of people and groups, and comments,
// and for file names; a field with such octets anywhere else (an address above all) stays as it came.
//
// Inline PGP does not cover the header, so it is no reason to leave one alone.
func (m *mender) encodeHeader(h *Header) {
	if encodeFields(h) {
		m.note(headerEncoded)
	}
}

const headerEncoded = "8-bit header encoded"

// encodeFields encodes the fields that can be, and says whether there were any.
func encodeFields(h *Header) (encoded bool) {
	for i, f := range h.fields {
		if !hasEight(f) {
			continue
		}
		if g, ok := encodeField(f); ok {
			h.fields[i], encoded = g, true
		}
	}
	return encoded
}

// encodeField returns a field that says the same in ASCII; false when there is none.
func encodeField(f rawField) (rawField, bool) {
	name, _, _ := strings.Cut(string(f), ":")
	charset := "utf-8"
	if !utf8.Valid(f) {
		charset = "iso-8859-1"
	}
	var tokens []token
	kind := kindOf(fieldName(f))
	if kind != freeText && bytes.IndexByte(f, escape) >= 0 {
		return nil, false // two charsets in one field, and in one of them any octet may be a letter's
	}
	switch kind {
	case freeText:
		tokens = encodeText(tokenize(f.value()), charset)
	case addresses:
		s, ok := encodeNames(f.value(), charset)
		if !ok {
			s, ok = encodeLone(f.value())
		}
		if !ok {
			return nil, false
		}
		tokens = tokenize(s)
	case parameters:
		s, ok := encodeParams(f.value(), charset)
		if !ok {
			return nil, false
		}
		tokens = tokenize(s)
	default:
		return nil, false
	}
	g := fold(name+":", tokens)
	return g, !hasEight(g)
}

type fieldKind int

const (
	otherField fieldKind = iota
	freeText
	addresses
	parameters
)

// kindOf says how a field is written: RFC 5322 §3.6.2 to §3.6.6, RFC 2045 §8. What begins with X- is free text by
// custom (RFC 822 §4.7.4).
func kindOf(name string) fieldKind {
	name = strings.ToLower(name)
	switch strings.TrimPrefix(name, "resent-") {
	case "from", "sender", "reply-to", "to", "cc", "bcc":
		return addresses
	}
	switch name {
	case "subject", "comments", "content-description", "organization", "thread-topic", "user-agent":
		return freeText
	case "content-type", "content-disposition":
		return parameters
	}
	if strings.HasPrefix(name, "x-") {
		return freeText
	}
	return otherField
}

// token is a word and the blanks in front of it.
type token struct{ blank, word string }

func tokenize(s string) (list []token) {
	for s = strings.TrimRight(s, " \t"); s != ""; {
		word := strings.TrimLeft(s, " \t")
		blank := s[:len(s)-len(word)]
		if end := strings.IndexAny(word, " \t"); end >= 0 {
			word = word[:end]
		}
		list = append(list, token{blank, word})
		s = s[len(blank)+len(word):]
	}
	return list
}

// encodeText encodes the words that need it, runs of them as one: the blanks between two encoded words are not shown
// (RFC 2047 §6.2), so those that are to be seen must be inside, also next to a word that came encoded.
func encodeText(in []token, charset string) (out []token) {
	for i := 0; i < len(in); {
		if !hasEight([]byte(in[i].word)) {
			out = append(out, in[i])
			i++
			continue
		}
		var text strings.Builder // a run may be the whole header
		blank := in[i].blank
		if i > 0 && isEncodedWord(in[i-1].word) {
			text.WriteString(blank)
			blank = " "
		}
		text.WriteString(in[i].word)
		for i++; i < len(in) && hasEight([]byte(in[i].word)); i++ {
			text.WriteString(in[i].blank + in[i].word)
		}
		if i < len(in) && isEncodedWord(in[i].word) {
			text.WriteString(in[i].blank)
		}
		words := encodeWords(text.String(), charset)
		words[0].blank = blank
		out = append(out, words...)
	}
	return out
}

func isEncodedWord(s string) bool {
	return strings.HasPrefix(s, "=?") && strings.HasSuffix(s, "?=") && strings.Count(s, "?") == 4
}

// encodeWords writes a text as encoded words in the Q encoding, with what may stand in a phrase, the narrowest place
// (RFC 2047 §5). No letter is divided between two of them.
func encodeWords(s, charset string) (list []token) {
	begin := "=?" + charset + "?q?"
	word := begin
	for len(s) > 0 {
		size := 1
		if charset == "utf-8" {
			_, size = utf8.DecodeRuneInString(s)
		}
		var letter strings.Builder
		for _, c := range []byte(s[:size]) {
			letter.WriteString(encodeOctet(c))
		}
		if len(word)+letter.Len()+len("?=") > wordLimit {
			list = append(list, token{" ", word + "?="})
			word = begin
		}
		word += letter.String()
		s = s[size:]
	}
	return append(list, token{" ", word + "?="})
}

func encodeOctet(c byte) string {
	switch {
	case c == ' ':
		return "_"
	case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', strings.IndexByte("!*+-/", c) >= 0:
		return string(rune(c))
	}
	return fmt.Sprintf("=%02X", c)
}

// fold writes a field, in lines of foldAt where its blanks allow that. Unfolding gives the tokens back.
func fold(head string, tokens []token) rawField {
	f := []byte(head)
	column := len(f)
	for i, t := range tokens {
		if i == 0 {
			t.blank = " "
		} else if column+len(t.blank)+len(t.word) > foldAt {
			f = append(f, crlf...)
			column = 0
		}
		f = append(append(f, t.blank...), t.word...)
		column += len(t.blank) + len(t.word)
	}
	return append(f, crlf...)
}
