package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

const (
	// flightSize is the size up to which a body leaves together with its envelope. The spool keeps bodies up to here
	// in its database; above it one round trip more is little against the time of the transfer.
	flightSize = 128 << 10 // spool.InlineLimit

	// groupSize bounds the commands that are under way at once. RFC 2920 §3.1: if the replies to them fill every
	// buffer on the way back while we still write, both sides wait for ever.
	groupSize = 250

	// afterwards is how long replies are awaited from a server that has said 421 or does not take what we write.
	afterwards = 5 * time.Second
)

// dialogue is what was said about one message over one connection.
type dialogue struct {
	rcpts []answer
	line  string // of MAIL

	rset, mail, data, end mail.Reply // Code 0: not asked, or no reply came

	sent   bool  // the end of data
	lost   error // the connection, or the sense of what comes over it
	broken error // the text could not be read
	keep   bool  // the connection can carry another message
}

// answer is what became of one recipient: its reply, or what we found ourselves.
type answer struct {
	line  string // of RCPT
	own   *mail.Outcome
	reply mail.Reply
}

// open says whether the recipient can still get the message.
func (a *answer) open() bool { return a.own == nil && a.reply.Code < 400 }

func (a *answer) accepted() bool { return a.own == nil && a.reply.Code/100 == 2 }

func (t *dialogue) anyOpen() bool {
	return t.mail.Code < 400 && slices.ContainsFunc(t.rcpts, func(a answer) bool { return a.open() })
}

func (t *dialogue) anyAccepted() bool {
	return t.mail.Code/100 == 2 && slices.ContainsFunc(t.rcpts, func(a answer) bool { return a.accepted() })
}

// taken says whether the provider has the message.
func (t *dialogue) taken() bool { return t.sent && t.end.Code/100 == 2 && t.anyAccepted() }

// doubtful says whether the provider may have it.
func (t *dialogue) doubtful() bool { return t.sent && t.end.Code == 0 && t.anyOpen() }

// dead says whether a kept connection has turned out to be one that the server had left before.
func (t *dialogue) dead() bool {
	if t.mail.Code == 421 {
		return explain(phaseMail, t.mail).verdict == unreachable
	}
	return t.lost != nil && t.mail.Code == 0
}

// converse carries the message over c as far as it gets. Until the end of data is sent, ctx cuts the connection.
func (d *delivery) converse(ctx context.Context, c *conn) *dialogue {
	t := d.plan(c.caps)
	c.messages++
	if !t.anyOpen() {
		t.keep = true
		return t
	}
	text, err := d.open()
	if err != nil {
		t.broken, t.keep = err, true
		return t
	}
	defer text.Close()
	stop := context.AfterFunc(ctx, c.cut)
	x := &exchange{opts: d.opts, c: c, t: t, text: text, size: d.env.Size, commit: stop}
	x.run()
	c.unclean = t.end.Code/100 != 2
	if !x.committed && !stop() {
		t.keep = false
	}
	return t
}

// exchange is one conversation under way.
type exchange struct {
	opts      Options
	c         *conn
	t         *dialogue
	text      io.Reader
	size      int64
	commit    func() bool // from here on ctx does not cut; false if it has
	committed bool
}

// command is a line, the class of the reply that agrees with it, and where its reply goes.
type command struct {
	line   string
	agrees int
	reply  *mail.Reply
}

// commands are those of the envelope.
func (x *exchange) commands() []command {
	var list []command
	if x.c.unclean {
		list = append(list, command{"RSET", 2, &x.t.rset})
	}
	list = append(list, command{x.t.line, 2, &x.t.mail})
	for i := range x.t.rcpts {
		if a := &x.t.rcpts[i]; a.own == nil {
			list = append(list, command{a.line, 2, &a.reply})
		}
	}
	return list
}

// run sends the envelope in as few flights as the server allows, then the text.
//
// A small text goes along with its envelope from the second message of a connection on. The first waits for the
// replies to the envelope: one round trip more where seven have been made already, and a server that is going down, or
// that cuts us off at MAIL, leaves no doubt about what it has taken.
func (x *exchange) run() {
	at := 1
	if x.c.caps.pipelining {
		at = groupSize
	}
	groups := slices.Collect(slices.Chunk(x.commands(), at))
	last := len(groups) - 1
	for _, g := range groups[:last] {
		if x.say(g, nil); x.t.lost != nil || x.t.mail.Code >= 400 {
			x.leave()
			return
		}
	}
	switch caps := x.c.caps; {
	case caps.pipelining && caps.chunking && x.size <= flightSize && x.c.messages > 1:
		x.flight(groups[last])
		return
	case caps.pipelining && !caps.chunking: // RFC 2920 §3.1: DATA may be the last of a flight
		x.say(slices.Concat(groups[last], []command{{"DATA", 3, &x.t.data}}), nil)
	default:
		x.say(groups[last], nil)
	}
	x.body()
	x.leave()
}

// leave decides whether the connection is kept. It is not after a 421, and not after a 354 that nobody was there for:
// RFC 2920 §3.1 would have us send an empty message, and we never do.
func (x *exchange) leave() {
	t := x.t
	said421 := t.mail.Code == 421 || t.data.Code == 421 || t.end.Code == 421 ||
		slices.ContainsFunc(t.rcpts, func(a answer) bool { return a.reply.Code == 421 })
	waiting := t.data.Code/100 == 3 && !t.sent
	t.keep = t.lost == nil && t.broken == nil && !said421 && !waiting
}

// flight sends the last commands and a small text in one write.
func (x *exchange) flight(group []command) {
	body := make([]byte, x.size)
	if err := readExactly(x.text, body, true); err != nil {
		x.t.broken, x.t.keep = err, true // nothing of this flight has been sent
		return
	}
	if !x.commits() {
		return
	}
	x.say(slices.Concat(group, []command{{fmt.Sprintf("BDAT %d LAST", x.size), 2, &x.t.end}}), body)
	x.leave()
	// RFC 3030 §2: a server that refuses BDAT still has to swallow its octets. One that does not takes them for
	// commands, and its replies to them for replies to our next message; we do not stay to find out.
	x.t.keep = x.t.keep && x.t.anyAccepted()
}

// commits ends the time in which ctx may cut.
func (x *exchange) commits() bool {
	if !x.commit() {
		x.t.lost = context.Canceled
		return false
	}
	x.committed = true
	return true
}

// say sends commands in one flight, with a whole body behind the last if it is not nil, and reads their replies.
func (x *exchange) say(group []command, body []byte) {
	var b bytes.Buffer
	for _, cmd := range group {
		b.WriteString(cmd.line + "\r\n")
	}
	b.Write(body)
	x.t.lost = x.c.write(b.Bytes())
	x.t.sent = body != nil && x.t.lost == nil
	x.listen(group)
}

// listen reads the replies to a group. RFC 2920 §3.1: every one of them is looked at.
func (x *exchange) listen(group []command) {
	closing := x.t.lost != nil
	for _, cmd := range group {
		within := x.opts.CommandTimeout
		if cmd.reply == &x.t.end {
			within = x.opts.EndOfDataTimeout
		}
		if closing {
			within = afterwards
		}
		reply, err := x.hear(cmd, within)
		if err != nil {
			x.t.lost = errors.Join(x.t.lost, err)
			return
		}
		*cmd.reply = reply
		closing = closing || reply.Code == 421
		if x.t.mail.Code == 421 || x.t.rset.Code >= 400 {
			x.t.lost = errors.Join(x.t.lost, errGarbage) // nothing that follows has a meaning
			return
		}
	}
}

// hear reads the reply to one command; one that neither agrees nor refuses has no meaning.
func (x *exchange) hear(cmd command, within time.Duration) (mail.Reply, error) {
	reply, _, err := x.c.reply(within)
	if err == nil && reply.Code < 400 && reply.Code/100 != cmd.agrees {
		err = errGarbage
	}
	return reply, err
}

// body sends a text that did not go with its envelope, if somebody is there for it.
func (x *exchange) body() {
	if x.t.lost != nil || !x.t.anyAccepted() {
		return
	}
	if x.c.caps.chunking {
		x.stream(fmt.Appendf(nil, "BDAT %d LAST\r\n", x.size), plainText{})
		return
	}
	if x.t.data.Code == 0 {
		if x.say([]command{{"DATA", 3, &x.t.data}}, nil); x.t.lost != nil {
			return
		}
	}
	if x.t.data.Code/100 == 3 {
		x.stream(nil, new(dotted))
	}
}
