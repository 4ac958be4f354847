package sqlite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// fileBuffer saves system calls for a text that arrives line by line.
const fileBuffer = 64 << 10

var errBodyUsed = errors.New("the text was already put into the spool or given up")

// body is a text while it arrives: in memory, and from spool.InlineLimit on in its file.
type body struct {
	s    *Spool
	id   mail.ID
	size int64
	text []byte        // while it fits
	file file          // from when it does not
	buf  *bufio.Writer // in front of file
	err  error         // the first error; nothing is written after it

	checked int64 // octets since the disk's room was looked at
}

// NewBody implements spool.Spool.
func (s *Spool) NewBody(id mail.ID) spool.Body { return &body{s: s, id: id} }

func (b *body) Size() int64 { return b.size }

// Reader implements spool.Body.
func (b *body) Reader() (io.ReadCloser, error) {
	switch {
	case b.err != nil:
		return nil, b.err
	case b.file == nil:
		return io.NopCloser(bytes.NewReader(b.text)), nil
	}
	if err := b.buf.Flush(); err != nil {
		b.give(fmt.Errorf("write the text of %s: %w", b.id, b.s.plain(err)))
		return nil, b.err
	}
	return os.Open(b.path())
}

func (b *body) path() string { return bodyPath(b.s.opt.Dir, b.id) }

// Write keeps p. After an error nothing of the text is left, in memory or on disk.
func (b *body) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if err := b.keep(p); err != nil {
		b.give(fmt.Errorf("write the text of %s: %w", b.id, b.s.plain(err)))
		return 0, b.err
	}
	b.size += int64(len(p))
	return len(p), nil
}

func (b *body) keep(p []byte) error {
	if b.file == nil {
		if len(b.text)+len(p) <= spool.InlineLimit {
			b.text = append(b.text, p...)
			return nil
		}
		if err := b.spill(); err != nil {
			return err
		}
	}
	if b.checked += int64(len(p)); b.checked >= roomEvery {
		b.checked = 0
		if err := b.s.room(0); err != nil {
			return err
		}
	}
	_, err := b.buf.Write(p)
	return err
}

// spill moves the text to its file. A file that is there already belongs to someone else and is left alone.
func (b *body) spill() error {
	if err := b.s.room(0); err != nil {
		return err
	}
	f, err := b.s.opt.create(b.path())
	if err != nil {
		return err
	}
	b.file, b.buf = f, bufio.NewWriterSize(f, fileBuffer)
	_, err = b.buf.Write(b.text)
	b.text = nil
	return err
}

// harden makes a spilled text durable: the file, then the directory that names it. The row comes after.
func (b *body) harden() error {
	if b.file == nil {
		return nil
	}
	err := b.buf.Flush()
	if err == nil {
		err = b.file.Sync()
	}
	if closed := b.file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncDir(filepath.Dir(b.path()))
	}
	if err == nil {
		_, err = os.Stat(b.path()) // a text that took hours to arrive may look like an orphan to a relay that starts
	}
	return err
}

// give ends the body with an error and removes its file.
func (b *body) give(err error) {
	spilled := b.file != nil
	if spilled {
		_ = b.file.Close()
	}
	b.end(err)
	if spilled {
		_ = os.Remove(b.path())
	}
}

// end lets go of everything but the file on disk.
func (b *body) end(err error) { b.text, b.file, b.buf, b.err = nil, nil, nil, err }

// Discard gives the text up. It does nothing after Put, or after an error.
func (b *body) Discard() {
	if b.err == nil {
		b.give(errBodyUsed)
	}
}
