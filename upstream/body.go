package upstream

import (
	"errors"
	"io"
)

// readExactly fills p from r; last says that r must have nothing more.
func readExactly(r io.Reader, p []byte, last bool) error {
	if _, err := io.ReadFull(r, p); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the text is shorter than its envelope says")
	} else if err != nil {
		return err
	}
	if !last {
		return nil
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return errors.New("the text is longer than its envelope says")
	case err != io.EOF:
		return err
	}
	return nil
}

// encoding is how a text is written.
type encoding interface {
	encode(to, text []byte) []byte // appends a part
	end(to []byte) []byte          // appends the end
}

// plainText is what BDAT takes, RFC 3030 §2: the octets as they are.
type plainText struct{}

func (plainText) encode(to, text []byte) []byte { return append(to, text...) }
func (plainText) end(to []byte) []byte          { return to }

// dotted is what DATA takes, RFC 5321 §4.5.2. A dot is doubled after CR alone and LF alone too. Text from the spool has
// neither; should one slip through, a server that takes it for a line's end must not see a lone dot behind it.
type dotted struct {
	within bool // the last octet was not the end of a line
	last   byte
}

func (d *dotted) encode(to, text []byte) []byte {
	for _, b := range text {
		if b == '.' && !d.within {
			to = append(to, '.')
		}
		to = append(to, b)
		d.within = b != '\n' && b != '\r'
		d.last = b
	}
	return to
}

func (d *dotted) end(to []byte) []byte {
	if d.within || d.last == '\r' {
		to = append(to, '\r', '\n')
	}
	return append(to, '.', '\r', '\n')
}

// stream sends the text in pieces behind what is already to be said. The last piece is held back until the text has
// turned out to be whole: a server commits no message whose end it has not seen.
func (x *exchange) stream(out []byte, as encoding) {
	part := make([]byte, min(int64(pieceSize), x.size))
	for left := x.size; ; {
		part = part[:min(int64(len(part)), left)]
		left -= int64(len(part))
		if x.t.broken = readExactly(x.text, part, left == 0); x.t.broken != nil {
			return
		}
		out = as.encode(out, part)
		if left == 0 {
			break
		}
		if x.t.lost = x.c.write(out); x.t.lost != nil {
			x.lastWords()
			return
		}
		out = out[:0]
	}
	x.finish(as.end(out))
}

// finish sends the end of data and waits for the verdict.
func (x *exchange) finish(out []byte) {
	if !x.commits() {
		return
	}
	if x.t.lost = x.c.write(out); x.t.lost != nil {
		x.lastWords()
		return
	}
	x.t.sent = true
	x.listen([]command{{"", 2, &x.t.end}})
}

// lastWords looks for the reason why a server does not take the text any more.
func (x *exchange) lastWords() {
	if reply, _, err := x.c.reply(afterwards); err == nil && reply.Code >= 400 {
		x.t.end = reply
	}
}
