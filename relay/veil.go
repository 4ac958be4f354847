package relay

import (
	"encoding/base64"
	"errors"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
)

const escape = 0x1b

// shift is the length of the escape sequence that s begins with and how many octets a letter has behind it, 0 for
// ASCII (RFC 1468, RFC 1554, JIS X 0213). The length is 0 when s begins none of them.
func shift(s string) (length, width int) {
	has := func(begin, ends string) bool {
		return strings.HasPrefix(s, begin) && len(s) > len(begin) && strings.IndexByte(ends, s[len(begin)]) >= 0
	}
	switch {
	case has("\x1b(", "BJH"): // JIS-Roman, under its right name and a wrong one, is ASCII but for two signs
		return 3, 0
	case has("\x1b(", "I"):
		return 3, 1
	case has("\x1b$", "@AB"):
		return 3, 2
	case has("\x1b$(", "@ABCDOPQ"):
		return 4, 2
	}
	return 0, 0
}

// japaneseEnd is the index after the return to ASCII that ends a text in ISO-2022-JP. Such a text has neither blanks
// nor line ends. When it is none, the index is how far that was read.
func japaneseEnd(s string) (end int, ok bool) {
	for end < len(s) && s[end] == escape {
		length, width := shift(s[end:])
		if length == 0 {
			return end + 1, false
		}
		end += length
		if width == 0 {
			return end, true
		}
		from := end
		for end < len(s) && s[end] > ' ' && s[end] < 0x7f {
			end++
		}
		if (end-from)%width != 0 {
			return end, false
		}
	}
	return end, false
}

// veil keeps the pieces of an address field that neither net/mail nor our scanners can read, but receivers can: raw
// ISO-2022-JP, in whose letters any sign may stand, and encoded words in charsets that Go does not know. Each is one
// private letter while the field is read.
type veil struct{ pieces []string }

// The private letters.
const firstVeil, lastVeil = rune(0xf0000), rune(0xffffd)

func isVeil(r rune) bool { return r >= firstVeil && r <= lastVeil }

// foreignWord is an encoded word (RFC 2047) of letters that mean nothing in an address field.
var foreignWord = regexp.MustCompile("=\\?([-\\w*.+]+)\\?[bBqQ]\\?[!#-'*+./0-9=A-Z^_`a-z{|}~-]*\\?=")

// veiled returns a text with its pieces covered.
func veiled(s string) (string, *veil) {
	v := &veil{}
	if strings.IndexByte(s, escape) < 0 && !strings.Contains(s, "=?") || strings.ContainsFunc(s, isVeil) {
		return s, v
	}
	s = v.coverWords(v.coverJapanese(s))
	return s, v
}

func (v *veil) coverJapanese(s string) string {
	var b strings.Builder
	for s != "" {
		start := strings.IndexByte(s, escape)
		if start < 0 {
			break
		}
		b.WriteString(s[:start])
		s = s[start:]
		end, ok := japaneseEnd(s)
		if ok {
			b.WriteString(v.cover(s[:end]))
		} else {
			b.WriteString(s[:end])
		}
		s = s[end:]
	}
	return b.String() + s
}

func (v *veil) coverWords(s string) string {
	return foreignWord.ReplaceAllStringFunc(s, func(word string) string {
		charset, _, _ := strings.Cut(word[2:], "?")
		switch strings.ToLower(charset) {
		case "utf-8", "us-ascii", "iso-8859-1":
			return word
		}
		return v.cover(word)
	})
}

func (v *veil) cover(piece string) string {
	if len(v.pieces) > int(lastVeil-firstVeil) {
		return piece
	}
	v.pieces = append(v.pieces, piece)
	return string(firstVeil + rune(len(v.pieces)-1))
}

// lift puts the pieces back.
func (v *veil) lift(s string) string {
	if len(v.pieces) == 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		at := strings.IndexFunc(s, isVeil)
		if at < 0 {
			break
		}
		r := []rune(s[at : at+4])[0]
		b.WriteString(s[:at])
		if i := int(r - firstVeil); i < len(v.pieces) {
			b.WriteString(v.pieces[i])
		}
		s = s[at+4:]
	}
	return b.String() + s
}

func (v *veil) liftAddress(a mail.Address) mail.Address {
	return mail.Address{Name: v.lift(a.Name), Address: v.lift(a.Address)}
}

var errJapaneseAddress = errors.New("an address is in ASCII, or in UTF-8 (RFC 6532); this one has escape sequences")

// parseList is mail.ParseAddressList that can also read names which it cannot decode.
func parseList(value string) (list []mail.Address, err error) {
	text, v := veiled(value)
	read, err := mail.ParseAddressList(text)
	if err != nil {
		return nil, err
	}
	for _, a := range read {
		lifted := v.liftAddress(*a)
		if strings.IndexByte(lifted.Address, escape) >= 0 {
			return nil, errJapaneseAddress
		}
		list = append(list, lifted)
	}
	return list, nil
}

// phrase writes a display name that has pieces, all of it as encoded words: half of it in quotes would be read
// differently by every receiver. What was an encoded word stays the same one, and raw ISO-2022-JP becomes one.
func (v *veil) phrase(s string) string {
	var words []string
	before := "=?" // the piece in front
	for s != "" {
		at := strings.IndexFunc(s, isVeil)
		if at < 0 {
			words = append(words, join(encodeWords(s, "utf-8")))
			break
		}
		piece := v.lift(s[at : at+4])
		bare := strings.HasPrefix(before, "=?") && strings.HasPrefix(piece, "=?") // blanks between these are not shown
		if text := s[:at]; text != "" && !(bare && strings.TrimSpace(text) == "") {
			words = append(words, join(encodeWords(text, "utf-8")))
		}
		if word := encodedWord(piece); word != "" {
			words = append(words, word)
		}
		before, s = piece, s[at+4:]
	}
	return strings.Join(words, " ")
}

// encodedWord is a piece as an encoded word; "" when it was nothing but a return to ASCII.
func encodedWord(piece string) string {
	switch {
	case strings.HasPrefix(piece, "=?"):
		return piece
	case len(piece) <= len("\x1b(B"):
		return ""
	}
	return "=?iso-2022-jp?b?" + base64.StdEncoding.EncodeToString([]byte(piece)) + "?="
}

// spelled finds every address that a receiver might see which knows nothing of ISO-2022-JP, or reads it another way
// than we do; false when it is not clear which.
func spelled(value string) (list []string, ok bool) {
	for i, c := range []byte(value) {
		if c != '@' {
			continue
		}
		before, after := value[:i], value[i+1:]
		local := before[strings.LastIndexFunc(before, func(r rune) bool { return r != '.' && !isAtext(r) })+1:]
		domain := after
		if end := strings.IndexFunc(after, notOfDomain); end >= 0 {
			domain = after[:end]
		}
		if after != "" && strings.IndexByte(" \t(", after[0]) >= 0 {
			return nil, false
		}
		if strings.Contains(domain, ".") {
			list = append(list, local+"@"+domain)
		}
	}
	return list, true
}

func notOfDomain(r rune) bool {
	return r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && strings.IndexByte("-._[]:", byte(r)) < 0
}
