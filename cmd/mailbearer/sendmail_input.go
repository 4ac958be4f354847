package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// input is the message as it comes from standard input; it remembers how that ended.
type input struct {
	r   io.Reader
	n   int64
	err error
}

func newInput(ctx context.Context, stdin io.Reader, ignoreDots bool) *input {
	r := interruptible(ctx, stdin)
	if !ignoreDots {
		r = &dotReader{r: bufio.NewReaderSize(r, 32<<10), lineStart: true}
	}
	return &input{r: r}
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.n += int64(n)
	if err != nil && err != io.EOF {
		i.err = err
	}
	return n, err
}

// failure says why standard input could not be read to its end, if so.
func (i *input) failure() error {
	switch {
	case i.err == nil:
		return nil
	case errors.Is(i.err, context.Canceled):
		return exitWith(exTempFail, "interrupted: the message was not taken")
	case i.n == 0:
		return exitWith(exNoInput, "the message cannot be read from standard input: %w", i.err)
	}
	return exitWith(exIOErr, "the message broke off: %w; nothing was taken", i.err)
}

// interruptible ends a read when ctx ends: on a terminal somebody presses Ctrl-C while it waits. The goroutine stays in
// its read until the process ends, which is soon.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pw.CloseWithError(context.Canceled) })
	go func() {
		_, err := io.CopyBuffer(pw, struct{ io.Reader }{r}, make([]byte, 32<<10))
		pw.CloseWithError(err)
	}()
	return pr
}

// dotReader ends the message at a line with a single dot, as sendmail does without -i.
type dotReader struct {
	r         *bufio.Reader
	lineStart bool
	pending   []byte
	err       error
}

func (d *dotReader) Read(p []byte) (int, error) {
	for len(d.pending) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.pending)
	d.pending = d.pending[n:]
	return n, nil
}

func (d *dotReader) fill() {
	line, err := d.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	d.err = err
	if d.lineStart && strings.TrimRight(string(line), "\r\n") == "." {
		d.err = io.EOF
		return
	}
	d.pending = line
	d.lineStart = len(line) > 0 && line[len(line)-1] == '\n'
}

// osUser is the name of the user who calls.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // Windows has the domain in front
	}
	return userName(os.Getuid())
}

// userName is the name of a user id, or words for one that has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid" + strconv.Itoa(uid)
}
