package main

import (
	"bufio"
	"context"
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// prompts reads what a person types, or what is piped in, until the command is called off: a read of a terminal cannot
// be, so it is left behind, and with it the only reader there is. The process ends with the command, and what is typed
// then is the shell's.
type prompts struct {
	ctx context.Context
	in  io.Reader
	buf *bufio.Reader
}

func newPrompts(ctx context.Context, in io.Reader) *prompts {
	return &prompts{ctx: ctx, in: in, buf: bufio.NewReader(in)}
}

// interrupted is what a command says when Ctrl-C or SIGTERM came instead of an answer.
func interrupted() error { return fail("interrupted: nothing was done") }

// line is the next line with its end; the last one of an input may have none, and comes with io.EOF.
func (p *prompts) line() (string, error) {
	return awaited(p.ctx, func() (string, error) { return p.buf.ReadString('\n') })
}

// all is everything up to a limit.
func (p *prompts) all(limit int64) (string, error) {
	return awaited(p.ctx, func() (string, error) {
		data, err := io.ReadAll(io.LimitReader(p.buf, limit))
		return string(data), err
	})
}

// terminal is the terminal that is read, if it is one.
func (p *prompts) terminal() (fd int, ok bool) {
	f, isFile := p.in.(*os.File)
	if !isFile || !isatty.IsTerminal(f.Fd()) {
		return 0, false
	}
	return int(f.Fd()), true
}

// hidden is the next line, without echo. However it ends, the terminal shows again what is typed.
func (p *prompts) hidden(fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	text, err := awaited(p.ctx, func() (string, error) {
		secret, err := term.ReadPassword(fd)
		return string(secret), err
	})
	if p.ctx.Err() != nil { // the read goes on, and would restore the terminal only at its end
		_ = term.Restore(fd, before)
	}
	return text, err
}

// awaited returns what a read returns, or that it was called off.
func awaited(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	if ctx.Err() != nil {
		return "", interrupted()
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", interrupted()
	}
}
