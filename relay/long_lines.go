package relay

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"

	"github.com/mailbearer/mailbearer/spool"
)

// lineLimit is how long a line of a message may be, its CRLF not counted (RFC 5322 §2.1.1).
const lineLimit = 998

// heldLimit is how much of a body waits for its decision. The spool's body keeps as much in memory anyway before it
// goes to the disk, and has nothing but our Received field while we hold this.
const heldLimit = spool.InlineLimit

// longLines stands between a message and the spool's body. Providers refuse lines that are too long, so a text that has
// one is encoded as quoted-printable (RFC 2045 §6.7), which changes how it travels and not what it says.
//
// Whether that has to be is known only when the line arrives, and the header says it first, but the spool's body can
// be neither read nor changed. So the header section of a message that could be encoded waits together with the first
// heldLimit octets of what follows it, also when a long line was seen: inline PGP may come behind it. If there is none,
// everything goes on byte for byte.
//
// Left as it came, and counted as such, is a long line in
//   - a message that is signed or encrypted, inline PGP included;
//   - a multipart message: its parts would have to be taken apart, with signed ones, digests and messages among them;
//   - a message that has an encoding already, or that does not say clearly what it is;
//   - a text whose first long line is beyond heldLimit.
type longLines struct {
	out     io.Writer
	note    func(string)
	section []byte // the header section, while the decision is open
	header  *Header
	held    []byte         // what followed it
	encoder io.WriteCloser // once the text is being encoded
	ascii   bool           // it is, and its header has no octet above 127: nothing in the message has

	line int  // octets of the line so far, its CR included
	cr   bool // the last of them is one
	long bool // a line was too long
}

// begin takes the header section as it is to go on; what is written afterwards is the body.
func (l *longLines) begin(section []byte) error {
	h := ParseHeader(section)
	l.measure(h.rest[min(len(crlf), len(h.rest)):]) // a body that begins without an empty line
	if encodable(h) {
		l.section, l.header = section, h
		return nil
	}
	_, err := l.out.Write(section)
	return err
}

// Write takes a piece of the body. Its lines end with CRLF.
func (l *longLines) Write(p []byte) (int, error) {
	l.measure(p)
	switch {
	case l.encoder != nil:
		return l.encoder.Write(p)
	case l.header == nil:
		return l.out.Write(p)
	}
	if len(l.section)+len(l.held)+len(p) <= heldLimit {
		l.held = append(l.held, p...)
		return len(p), nil
	}
	return len(p), l.decide(l.held, p)
}

// finish decides at the end of the message, if that is still open, and notes what became of long lines.
func (l *longLines) finish() error {
	if l.header != nil {
		if err := l.decide(l.held); err != nil {
			return err
		}
	}
	switch {
	case l.encoder != nil:
		l.note("long lines encoded")
		return l.encoder.Close()
	case l.long:
		l.note("long line left")
	}
	return nil
}

// measure looks for a line that is too long.
func (l *longLines) measure(p []byte) {
	for len(p) > 0 && !l.long {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			l.line += len(p)
			l.cr = p[len(p)-1] == '\r'
			break
		}
		length := l.line + end
		if end > 0 && p[end-1] == '\r' || end == 0 && l.cr {
			length--
		}
		l.long = length > lineLimit
		l.line, l.cr, p = 0, false, p[end+1:]
	}
	l.long = l.long || l.line > lineLimit+1 || l.line == lineLimit+1 && !l.cr
}

// decide lets the header section go on with what is there of the body, encoded or as it came.
func (l *longLines) decide(body ...[]byte) error {
	section, h := l.section, l.header
	l.section, l.header, l.held = nil, nil, nil
	out := l.out
	if start := h.rest[len(crlf):]; l.long && !inlinePGP(append([][]byte{start}, body...)) {
		h.rest = crlf
		setEncoding(h, "quoted-printable")
		section = h.Bytes()
		l.ascii = !hasEight(section)
		l.encoder = quotedprintable.NewWriter(l.out)
		body, out = append([][]byte{start}, body...), l.encoder
	}
	if _, err := l.out.Write(section); err != nil {
		return err
	}
	for _, part := range body {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// encodable says whether a message is one text (RFC 2045 §5.2: also when it says nothing), not encoded and not signed.
func encodable(h *Header) bool {
	kinds, encodings := h.Values("Content-Type"), h.Values("Content-Transfer-Encoding")
	if signed(h) || len(kinds) > 1 || len(encodings) > 1 {
		return false
	}
	if len(kinds) == 1 && !strings.HasPrefix(strings.ToLower(kinds[0]), "text/") {
		return false
	}
	return len(encodings) == 0 || strings.EqualFold(encodings[0], "7bit") || strings.EqualFold(encodings[0], "8bit")
}

// setEncoding says how the body is encoded. A field that was there keeps its place; without MIME-Version an encoding
// means nothing (RFC 2045 §4).
func setEncoding(h *Header, encoding string) {
	const name = "Content-Transfer-Encoding"
	if !h.Has("MIME-Version") {
		h.Add("MIME-Version", "1.0")
	}
	for i, f := range h.fields {
		if f.is(name) {
			h.fields[i] = makeField(name, encoding)
			return
		}
	}
	h.Add(name, encoding)
}

// inlinePGP finds the line that begins a text that is signed or encrypted in itself (RFC 9580 §6.2, §7), even where it
// came in two pieces.
func inlinePGP(body [][]byte) bool {
	text := bytes.Join(body, nil)
	for _, begin := range []string{"-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP MESSAGE-----"} {
		if bytes.HasPrefix(text, []byte(begin)) || bytes.Contains(text, []byte("\n"+begin)) {
			return true
		}
	}
	return false
}
