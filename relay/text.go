package relay

import (
	"bytes"
	"errors"
	"io"
)

// headerLimit bounds the header section that is kept in memory to be looked at; a longer one is refused where the
// policy has to read it, and passes unread where it has not.
const headerLimit = 256 << 10

// hopLimit is how many Received fields show a loop (RFC 5321 §6.3).
const hopLimit = 50

var (
	errTooBig        = errors.New("the message is larger than max_message_size")
	errHeaderTooLong = errors.New("the header section is too long to be checked")
	errLoop          = errors.New("too many Received fields: the message goes in circles")
)

// text is a message on its way from the client to the spool: line ends are made CRLF, octets are counted, and the
// header section is held back until it is complete and has been looked at. Nothing else is changed.
type text struct {
	body   io.Writer
	limit  int64
	look   func(header []byte) error           // sees the header section, its empty line included; or
	edit   func(header []byte) ([]byte, error) // returns what is to stand in its place
	strict bool                                // a header section too long to look at is refused

	size     int64  // octets received, before our line-end repairs
	eight    bool   // an octet above 127 was seen
	header   []byte // until the empty line
	past     bool   // beyond the header section
	cr       bool   // the last octet was a CR whose line end is not written yet
	repaired bool   // a line end had to be mended
}

// Write takes a piece of the message. The end of data has been decided before, by CRLF.CRLF alone, so mending line
// ends here cannot open a way to smuggle a second message in (RFC 5321 §2.3.8 forbids bare CR and LF).
func (t *text) Write(p []byte) (int, error) {
	t.size += int64(len(p))
	if t.size > t.limit {
		return 0, errTooBig
	}
	t.eight = t.eight || hasEight(p)
	for rest := p; len(rest) > 0; {
		n, err := t.piece(rest)
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

var crlf = []byte("\r\n")

// piece writes as much of p as needs one treatment, and says how much that was.
func (t *text) piece(p []byte) (int, error) {
	if t.cr { // a run of CRs before a LF is one line end; a CR before anything else is one too
		switch p[0] {
		case '\r':
			t.repaired = true
			return 1, nil
		case '\n':
			t.cr = false
			return 1, t.emit(crlf)
		}
		t.cr, t.repaired = false, true
		return 0, t.emit(crlf)
	}
	end := clean(p)
	if end > 0 {
		return end, t.emit(p[:end])
	}
	if p[0] == '\r' {
		t.cr = true
		return 1, nil
	}
	t.repaired = true
	return 1, t.emit(crlf) // a bare LF
}

// clean is the length of the longest start of p in which every CR and LF is part of a CRLF.
func clean(p []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			if cr := bytes.IndexByte(p[i:], '\r'); cr >= 0 {
				return i + cr
			}
			return len(p)
		}
		cr := bytes.IndexByte(p[i:i+n], '\r')
		switch {
		case cr < 0:
			return i + n
		case cr != n-1:
			return i + cr
		}
		i += n + 1
	}
}

// emit passes mended octets on, by way of the header while that is incomplete.
func (t *text) emit(p []byte) error {
	if t.past {
		_, err := t.body.Write(p)
		return err
	}
	from := max(len(t.header)-3, 0)
	t.header = append(t.header, p...)
	end := headerEnd(t.header, from)
	switch {
	case end >= 0:
		return t.headerDone(end)
	case len(t.header) > headerLimit && t.strict:
		return errHeaderTooLong
	case len(t.header) > headerLimit:
		t.edit = nil // half a section cannot be mended
		return t.headerDone(len(t.header))
	}
	return nil
}

// headerEnd finds the end of the empty line after the header section, looking from an index on.
func headerEnd(h []byte, from int) int {
	if bytes.HasPrefix(h, crlf) {
		return len(crlf)
	}
	if i := bytes.Index(h[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return -1
}

// headerDone has the header section looked at and lets everything held back go on.
func (t *text) headerDone(end int) error {
	held := t.header
	t.header, t.past = nil, true
	if countReceived(held[:end]) > hopLimit {
		return errLoop
	}
	if t.look != nil {
		if err := t.look(held[:end]); err != nil {
			return err
		}
	}
	if t.edit != nil {
		edited, err := t.edit(held[:end])
		if err != nil {
			return err
		}
		if _, err := t.body.Write(edited); err != nil {
			return err
		}
		held = held[end:]
	}
	_, err := t.body.Write(held)
	return err
}

// finish lets what is still held back go on: a message may end inside its header section.
func (t *text) finish() error {
	if t.cr {
		t.cr, t.repaired = false, true
		if err := t.emit(crlf); err != nil {
			return err
		}
	}
	if t.past {
		return nil
	}
	return t.headerDone(len(t.header))
}

func countReceived(header []byte) (n int) {
	for line := range bytes.SplitSeq(header, crlf) {
		if len(line) > 9 && bytes.EqualFold(line[:9], []byte("received:")) {
			n++
		}
	}
	return n
}

func hasEight(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
