package relay

import (
	"bytes"
	"strings"
)

// Header is the header section of a message, field by field, every octet kept as it came. What is not deleted or
// replaced leaves as it arrived.
type Header struct {
	fields []rawField
	rest   []byte // the empty line, and whatever followed it
	ended  bool   // an end was seen, and not only the end of what there is
}

// rawField is one field with its folded lines and their line ends.
type rawField []byte

// ParseHeader takes a header section apart; lines end with CRLF. The section ends at its empty line, or at the first
// line that cannot belong to one: `echo hello | sendmail root` has no header at all, and "hello" is its body. The
// empty line that separates the two is then added. A "From " line, which mailbox files have, is dropped.
func ParseHeader(section []byte) *Header {
	h := &Header{}
	for rest := section; ; {
		line := firstLine(rest)
		switch {
		case len(line) == 0: // the message ends in its header
			h.rest = crlf
			return h
		case bytes.Equal(line, crlf):
			h.rest, h.ended = rest, true
			return h
		case (line[0] == ' ' || line[0] == '\t') && len(h.fields) > 0:
			last := &h.fields[len(h.fields)-1]
			*last = append(*last, line...)
		case fieldName(line) != "":
			h.fields = append(h.fields, append(rawField(nil), line...))
		case len(h.fields) == 0 && isMboxLine(line) && len(rest) == len(section):
		default:
			h.rest = append(append([]byte(nil), crlf...), rest...)
			h.ended = bytes.HasSuffix(line, crlf)
			return h
		}
		rest = rest[len(line):]
	}
}

// firstLine is a line with its CRLF, or what there is of it.
func firstLine(p []byte) []byte {
	if i := bytes.Index(p, crlf); i >= 0 {
		return p[:i+len(crlf)]
	}
	return p
}

// fieldName is the name of the field that a line begins (RFC 5322 §2.2, with the blanks before the colon that §4.5
// still knows); "" when it begins none.
func fieldName(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return string(name)
}

func (f rawField) is(name string) bool { return strings.EqualFold(fieldName(f), name) }

// value is the unfolded body of a field (RFC 5322 §2.2.3).
func (f rawField) value() string {
	_, body, _ := bytes.Cut(f, []byte(":"))
	return strings.TrimSpace(strings.ReplaceAll(string(body), "\r\n", ""))
}

// makeField writes a field. A value never brings a line of its own.
func makeField(name, value string) rawField {
	return rawField(name + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(value) + "\r\n")
}

// Has says whether there is a field of that name, even an empty one.
func (h *Header) Has(name string) bool {
	for _, f := range h.fields {
		if f.is(name) {
			return true
		}
	}
	return false
}

// Values are the unfolded bodies of all fields of that name, in order.
func (h *Header) Values(name string) (list []string) {
	for _, f := range h.fields {
		if f.is(name) {
			list = append(list, f.value())
		}
	}
	return list
}

// Delete takes all fields of these names away.
func (h *Header) Delete(names ...string) {
	kept := h.fields[:0]
next:
	for _, f := range h.fields {
		for _, name := range names {
			if f.is(name) {
				continue next
			}
		}
		kept = append(kept, f)
	}
	h.fields = kept
}

// Add puts a field at the end of the section, where it disturbs no signature over the fields above.
func (h *Header) Add(name, value string) {
	if n := len(h.fields); n > 0 && !bytes.HasSuffix(h.fields[n-1], crlf) {
		h.fields[n-1] = append(h.fields[n-1], crlf...) // the message ended in the middle of its last line
	}
	h.fields = append(h.fields, makeField(name, value))
}

// Bytes is the whole section, its empty line included, and whatever came in with it.
func (h *Header) Bytes() []byte {
	out := bytes.Join(toBytes(h.fields), nil)
	if len(out) > 0 && !bytes.HasSuffix(out, crlf) {
		out = append(out, crlf...)
	}
	return append(out, h.rest...)
}

func toBytes(fields []rawField) [][]byte {
	list := make([][]byte, len(fields))
	for i, f := range fields {
		list[i] = f
	}
	return list
}
