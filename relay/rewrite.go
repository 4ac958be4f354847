package relay

import (
	"io"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// rewriteBody writes a text from one body into another, without its long lines, and notes in the envelope what the text
// is now. Both begin with the trace field, whose length does not depend on the id in it.
func rewriteBody(body, old spool.Body, long *longLines, env *mail.Envelope, trace func() []byte) (spool.Body, error) {
	out := &eightWriter{out: body}
	err := rewriteText(out, old, long, trace())
	if err != nil {
		body.Discard()
		return nil, err
	}
	env.EightBit, env.Size = out.eight, body.Size()
	return body, nil
}

func rewriteText(out io.Writer, old spool.Body, long *longLines, trace []byte) error {
	in, err := old.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.CopyN(io.Discard, in, int64(len(trace))); err != nil {
		return err
	}
	if _, err := out.Write(trace); err != nil {
		return err
	}
	return long.rewrite(out, in)
}

// eightWriter notes whether an octet above 127 passed.
type eightWriter struct {
	out   io.Writer
	eight bool
}

func (w *eightWriter) Write(p []byte) (int, error) {
	w.eight = w.eight || hasEight(p)
	return w.out.Write(p)
}
