package relay

import (
	"bytes"
	"errors"
)

// errControls refuses what may be neither sent nor mended.
var errControls = errors.New("the message is signed, and its header has control characters, which no mail may have (RFC 5322 section 2.2); " +
	"they cannot be taken out without breaking the signature")

// clean takes control characters out of a header section: NUL may stand nowhere in mail (RFC 5322 §4), and the others
// end in addresses what receivers take for one. It comes before any rule looks at the header, since with them gone a
// field may say something else. Names of fields have none: a line that has is where the header ends.
func (m *mender) clean(section []byte) ([]byte, error) {
	if !hasControls(section) {
		return section, nil
	}
	h := ParseHeader(section)
	if signed(h) {
		return section, refuseControls(h)
	}
	if isMboxLine(section) { // ParseHeader has dropped it
		m.note("mailbox line removed")
	}
	removed := false
	for i, f := range h.fields {
		h.fields[i] = withoutControls(f)
		removed = removed || len(h.fields[i]) < len(f)
	}
	if removed {
		m.note("control characters removed")
	}
	if hasControls(h.rest) {
		m.note("empty line added")
	}
	return h.Bytes(), nil
}

// refuseControls finds NUL anywhere, and in address fields what is not part of a Japanese name.
func refuseControls(h *Header) error {
	if bytes.IndexByte(h.rest, 0) >= 0 {
		return errControls
	}
	for _, f := range h.fields {
		if bytes.IndexByte(f, 0) >= 0 || kindOf(fieldName(f)) == addresses && len(withoutControls(f)) < len(f) {
			return errControls
		}
	}
	return nil
}

func hasControls(p []byte) bool {
	for _, c := range p {
		if isControl(c) {
			return true
		}
	}
	return false
}

// isControl leaves out what makes lines and blanks.
func isControl(c byte) bool { return c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f }

// withoutControls is a field without its control characters, but for the escape sequences of ISO-2022-JP, which old
// Japanese devices write as they are, in names of people and files as in text (RFC 1468).
func withoutControls(f rawField) rawField {
	out := make(rawField, 0, len(f))
	for i, c := range f {
		if !isControl(c) || c == escape && isShift(f[i:]) {
			out = append(out, c)
		}
	}
	return out
}

func isShift(p []byte) bool {
	length, _ := shift(string(p[:min(len(p), len("\x1b$(B"))]))
	return length > 0
}
