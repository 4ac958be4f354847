package relay

import "bytes"

// pieceSize is the length of the longest line that is handed on whole; a longer one comes in pieces, the first of at
// least this size. It is above lineLimit, so that no line of lawful length is ever divided.
const pieceSize = 1 << 10

// lines divides what is written to it into lines, in bounded memory.
type lines struct {
	take func(line []byte, begins, ends bool) error
	held []byte // the start of a line, shorter than pieceSize
	mid  bool   // what comes continues a line of which pieces were handed on
}

// Write takes octets whose line ends are CRLF.
func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		piece := rest
		if end > 0 {
			piece = rest[:end]
		}
		rest = rest[len(piece):]
		if err := l.piece(piece, end > 0); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *lines) piece(piece []byte, ends bool) error {
	if len(l.held) > 0 {
		l.held = append(l.held, piece...)
		piece = l.held
	}
	if !ends && len(piece) < pieceSize {
		if len(l.held) == 0 {
			l.held = append(l.held, piece...)
		}
		return nil
	}
	var cr []byte // a CRLF is never divided
	if !ends && piece[len(piece)-1] == '\r' {
		cr = []byte{'\r'}
		piece = piece[:len(piece)-1]
	}
	begins := !l.mid
	l.mid = !ends
	err := l.take(piece, begins, ends)
	l.held = append(l.held[:0], cr...)
	return err
}

// finish hands on a line that has no end.
func (l *lines) finish() error {
	held, begins := l.held, !l.mid
	l.held = nil
	if len(held) == 0 {
		return nil
	}
	return l.take(held, begins, true)
}
