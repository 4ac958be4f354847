package relay

import (
	"io"
	"slices"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// Post is the way into the spool of a message that no SMTP session brings: it meets the same repairs there.
type Post struct {
	Spool    spool.Spool
	Envelope *mail.Envelope // its id and time are given; Edit may fill the rest
	Hostname string         // of the trace field
	Limit    int64          // octets; a larger message is refused with ErrTooBig
	Edit     func(*Header) (Mending, error)
}

// Mending is what the repairs of a message have to know.
type Mending struct {
	AccountInfo
	UTF8    bool // its header may have octets above 127
	Missing Missing
}

// Take makes a body of a text. After an error nothing of it is left.
func (p *Post) Take(in io.Reader) (spool.Body, error) {
	env := p.Envelope
	body, m := p.Spool.NewBody(env.ID), &mender{}
	long := &longLines{out: body, note: m.note}
	rewrite, err := p.receive(body, long, m, in)
	if err != nil {
		body.Discard()
		return nil, err
	}
	env.Size, env.Client.Repairs = body.Size(), m.done
	if rewrite {
		return p.rewrite(body, long)
	}
	return body, nil
}

// receive streams the text into the spool's body, our trace field in front.
func (p *Post) receive(body io.Writer, long *longLines, m *mender, in io.Reader) (rewrite bool, err error) {
	if _, err := body.Write(p.traceField()); err != nil {
		return false, err
	}
	t := NewText(&headed{long: long}, p.Limit, func(h *Header) error {
		section, err := m.clean(h.Bytes())
		if err != nil {
			return err
		}
		*h = *ParseHeader(section)
		mending, err := p.Edit(h)
		if err != nil {
			return err
		}
		m.mailbox, m.rewrite, m.utf8, m.missing = mending.Mailbox, mending.Rewrite, mending.UTF8, mending.Missing
		long.survey.utf8 = m.utf8
		*h = *ParseHeader(m.edit(h.Bytes()))
		long.told = slices.Contains(m.done, headerEncoded)
		return nil
	})
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{in}, make([]byte, 32<<10)); err != nil {
		return false, err
	}
	if err := t.Close(); err != nil {
		return false, err
	}
	p.Envelope.EightBit = t.EightBit()
	return long.finish()
}

func (p *Post) traceField() []byte {
	return Received(p.Hostname, p.Envelope.ID.String(), p.Envelope.Received)
}

// rewrite writes a text once more, without its long lines. Who handed it over may know the message by its id already,
// so it is the text as it came that moves to another one, for as long as it is read.
func (p *Post) rewrite(old spool.Body, long *longLines) (spool.Body, error) {
	aside := p.Spool.NewBody(mail.NewID(p.Envelope.Received))
	defer aside.Discard()
	err := copyBody(aside, old)
	old.Discard()
	if err != nil {
		return nil, err
	}
	return rewriteBody(p.Spool.NewBody(p.Envelope.ID), aside, long, p.Envelope, p.traceField)
}

func copyBody(to, from spool.Body) error {
	in, err := from.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(to, in)
	return err
}

// headed takes the header section, which comes in one piece, apart from the body.
type headed struct {
	long  *longLines
	begun bool
}

func (w *headed) Write(p []byte) (int, error) {
	if w.begun {
		return w.long.Write(p)
	}
	w.begun = true
	return len(p), w.long.begin(p)
}
