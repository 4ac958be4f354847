package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
)

// bodyLine bounds a line of a text: long HTML lines pass, an endless one does not.
const bodyLine = 1 << 20

var (
	errLongLine = errors.New("the message has a line longer than 1 MiB")
	errStalled  = errors.New("no octet of the message came within idle_timeout")
)

// body reads one text: everything up to the line that holds a single dot, dot-stuffing undone (RFC 5321 §4.5.2). The
// session reads here and not from the library, whose reader takes one octet at a time, never sees the end of a text
// that ends in CR CR LF . CR LF, and loses octets after `.CR`.
//
// Nothing but CR LF . CR LF ends a text: whatever another server might take for an end (LF . LF, CR . CR, …) stays a
// part of it, so that nobody can hide a second message in a first.
type body struct {
	conn  *conn
	start bool // at the start of a line, right after CR LF
	cr    bool // the octet before was a CR
	line  int  // octets of the line so far
	done  bool
	loose bool // the text is only being passed over: line lengths do not matter any more
	err   error
}

// Read returns octets of the text.
func (b *body) Read(p []byte) (int, error) {
	for {
		switch {
		case b.done:
			return 0, io.EOF
		case b.err != nil:
			return 0, b.err
		}
		have := b.conn.in.unread()
		if len(have) == 0 || b.start && len(have) < len(endOfData) && bytes.HasPrefix(endOfData, have) {
			b.fill()
			continue
		}
		if b.start && have[0] == '.' {
			b.dot(have)
			continue
		}
		n := copy(p, have[:b.safe(have)])
		b.pass(have[:n])
		return n, nil
	}
}

// endOfData is the line that ends a text, after a CR LF or at its very start.
var endOfData = []byte(".\r\n")

func (b *body) fill() {
	if err := b.conn.in.fill(b.conn.stream); err != nil {
		b.conn.gone.Store(true)
		b.err = io.ErrUnexpectedEOF
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			b.err = errStalled
		}
	}
}

// dot takes the dot at the start of a line: it ends the text, or it was stuffed.
func (b *body) dot(have []byte) {
	if bytes.HasPrefix(have, endOfData) {
		b.conn.in.skip(len(endOfData))
		b.done = true
		return
	}
	b.conn.in.skip(1)
	b.start = false
}

// safe is how many octets can be taken before a dot must be looked at.
func (b *body) safe(have []byte) int {
	if b.cr && have[0] == '\n' {
		return 1
	}
	if i := bytes.Index(have, []byte("\r\n.")); i >= 0 {
		return i + len(crlf)
	}
	return len(have)
}

// pass notes what goes to the session.
func (b *body) pass(p []byte) {
	if len(p) == 0 {
		return
	}
	b.conn.in.skip(len(p))
	if first := bytes.IndexByte(p, '\n'); first >= 0 {
		b.measure(first)
		b.line = len(p) - 1 - bytes.LastIndexByte(p, '\n')
	} else {
		b.measure(len(p))
		b.line += len(p)
	}
	b.start = bytes.HasSuffix(p, crlf) || len(p) == 1 && p[0] == '\n' && b.cr
	b.cr = p[len(p)-1] == '\r'
}

func (b *body) measure(more int) {
	if b.line+more > bodyLine+1 && !b.loose { // its CR included
		b.err = errLongLine
	}
}

// discard passes over the rest of a text that was refused before its end, since a client listens only there.
func (b *body) discard() error {
	if b.err == errLongLine {
		b.err = nil
	}
	b.loose = true
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, b, make([]byte, 8<<10))
	return err
}
