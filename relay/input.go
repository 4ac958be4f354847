package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Limits of a line outside a text, its end included. RFC 5321 §4.5.3.1.4 asks for 512 octets and RFC 4954 §4 for 12288.
const (
	commandLimit = 2 << 10
	authLimit    = 12 << 10
)

// Sizes of the buffer: an idle client costs little, a long text few system calls.
const (
	idleBuffer = 1 << 10
	textBuffer = 32 << 10
	aheadLimit = 4 << 10 // read from a client that pipelines while it waits for a verdict
)

// errTold ends a connection whose client has been told why.
var errTold = errors.New("the client has been told")

// input holds what the client sent and nobody has taken yet.
type input struct {
	buf  []byte
	r, w int
}

func (in *input) unread() []byte { return in.buf[in.r:in.w] }

func (in *input) skip(n int) { in.r += n }

// room says whether a watching goroutine may read more ahead.
func (in *input) room() bool { return in.w-in.r < aheadLimit }

// resize moves what is unread into a buffer of at least n octets.
func (in *input) resize(n int) {
	buf := make([]byte, max(n, in.w-in.r))
	in.r, in.w, in.buf = 0, copy(buf, in.unread()), buf
}

// fill waits for more octets.
func (in *input) fill(r io.Reader) error {
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf) && in.r > 0:
		in.w = copy(in.buf, in.unread())
		in.r = 0
	}
	if in.w == len(in.buf) {
		in.resize(max(idleBuffer, 2*len(in.buf)))
	}
	n, err := r.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil // the error comes again
	}
	return err
}

// line returns the next line without its end. A bare LF ends a command, as many old clients have it: nothing can be
// smuggled with that, since where a text ends is decided elsewhere (body.go).
func (in *input) line(c *conn) ([]byte, error) {
	for scanned := 0; ; {
		have := in.unread()
		if c.mode == command && c.foreign(have) {
			return nil, errTold
		}
		end := bytes.IndexByte(have[scanned:], '\n')
		length := len(have)
		if end >= 0 {
			length = scanned + end + 1
		}
		if limit := c.lineLimit(have); length > limit {
			c.cutOff(500, "5.5.2", "a command line may have %d octets", limit)
			return nil, errTold
		}
		if end >= 0 {
			in.skip(length)
			return bytes.TrimRight(have[:length-1:length-1], "\r"), nil
		}
		scanned = len(have)
		if err := in.fill(c.stream); err != nil {
			return nil, err
		}
	}
}

// lineLimit is the limit of the line that begins so.
func (c *conn) lineLimit(start []byte) int {
	if c.mode == exchange || len(start) >= 4 && strings.EqualFold(string(start[:4]), "AUTH") {
		return authLimit
	}
	return commandLimit
}
