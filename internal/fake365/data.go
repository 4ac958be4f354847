package fake365

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// collector keeps a message up to a size, and counts what is beyond.
type collector struct {
	text   bytes.Buffer
	max    int64
	over   bool
	bareLF bool
	last   byte
}

// Write never fails: a message that is too large is read to its end and refused there.
func (t *collector) Write(p []byte) (int, error) {
	t.look(p)
	if int64(t.text.Len()+len(p)) > t.max {
		t.over = true
		return len(p), nil
	}
	return t.text.Write(p)
}

// look watches for a line feed without its carriage return.
func (t *collector) look(p []byte) {
	for _, b := range p {
		if b == '\n' && t.last != '\r' {
			t.bareLF = true
		}
		t.last = b
	}
}

// data is the DATA command, RFC 5321 §4.1.1.4.
func (c *session) data(arg string) error {
	switch {
	case arg != "":
		c.refuse("501 5.5.4 Invalid arguments")
		return nil
	case !c.ready() || !c.mayCarry():
		return nil
	case c.tx.chunked || c.tx.binary: // RFC 3030 §2 and §3
		c.refuse("503 5.5.2 Use BDAT for this message")
		return nil
	}
	if done, err := c.beginData(arg); done || err != nil {
		return err
	}
	c.reply("354 Start mail input; end with <CRLF>.<CRLF>")
	if err := c.flush(); err != nil {
		return err
	}
	c.tx.text.max = c.srv.opt.MaxSize
	if err := readDots(c.r, &c.tx.text); err != nil {
		return err
	}
	return c.end()
}

// beginData plays the fault of DATA or of the first BDAT; a refusal ends the transaction.
func (c *session) beginData(arg string) (done bool, err error) {
	done, err = c.play(c.srv.fault("data", append([]string{arg, c.tx.sender}, c.tx.recipients...)...))
	if done {
		c.tx = transaction{}
	}
	return done, err
}

// mayCarry says whether there is somebody to carry text to, and answers if not.
func (c *session) mayCarry() bool {
	switch {
	case !c.tx.open:
		c.refuse("503 5.5.2 Need mail command")
	case len(c.tx.recipients) == 0:
		c.refuse("503 5.5.2 Need rcpt command")
	default:
		return true
	}
	return false
}

// readDots copies text up to CRLF.CRLF, and takes one dot from the front of each line that has one (RFC 5321
// §4.5.2). A line begins after CRLF and nowhere else (§2.3.8), or a message could smuggle in a second one.
func readDots(r *bufio.Reader, to io.Writer) error {
	begins, cr := true, false // at the beginning of a line; the byte before was a CR
	for {
		part, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if begins && string(part) == ".\r\n" {
			return nil
		}
		ended := bytes.HasSuffix(part, []byte("\r\n")) || cr && string(part) == "\n"
		cr = part[len(part)-1] == '\r'
		if begins && part[0] == '.' {
			part = part[1:]
		}
		begins = ended
		to.Write(part)
	}
}

// bdat is the BDAT command, RFC 3030 §2. Its octets are read whatever becomes of them: they follow without a
// go-ahead, and must not be taken for commands.
func (c *session) bdat(arg string) error {
	size, last, ok := chunkSize(arg)
	if !ok {
		c.refuse("501 5.5.4 Invalid arguments")
		return errBye // where the next command begins is unknown
	}
	c.srv.record.count(func(n *Counters) { n.Chunks++ })
	c.tx.text.max = c.srv.opt.MaxSize
	if err := c.readChunk(size); err != nil {
		return err
	}
	if !c.ready() || !c.mayCarry() {
		return nil
	}
	if !c.tx.chunked {
		if done, err := c.beginData(arg); done || err != nil {
			return err
		}
	}
	c.tx.chunked = true
	if last {
		return c.end()
	}
	c.reply(fmt.Sprintf("250 2.6.0 Chunk received OK, %d octets", size))
	return nil
}

func chunkSize(arg string) (size int64, last, ok bool) {
	fields := strings.Fields(arg)
	if len(fields) == 0 || len(fields) > 2 || len(fields) == 2 && !strings.EqualFold(fields[1], "LAST") {
		return 0, false, false
	}
	size, err := strconv.ParseInt(fields[0], 10, 64)
	return size, len(fields) == 2, err == nil && size >= 0
}

// readChunk reads the octets of a chunk, and keeps them if there is a transaction to keep them for.
func (c *session) readChunk(size int64) error {
	to := io.Discard
	if c.tx.open && len(c.tx.recipients) > 0 {
		to = &c.tx.text
	}
	_, err := io.CopyN(onlyWriter{to}, c.r, size)
	return err
}

// onlyWriter hides ReadFrom, which would make io.CopyN grow the text by what is announced before it has come.
type onlyWriter struct{ io.Writer }

// end is the end of data: the message is judged, taken and answered, and the transaction is over.
func (c *session) end() error {
	tx := c.tx
	c.tx = transaction{}
	refusal := c.judge(&tx)
	m := c.message(&tx)
	f := c.srv.fault("end", c.subjects(m)...)
	taken := f != nil && f.Taken && refusal == ""
	if taken {
		c.srv.take(m)
	}
	if done, err := c.play(f); done || err != nil {
		return err
	}
	if err := sleep(c.ctx, c.srv.opt.DataLatency); err != nil {
		return err
	}
	if refusal != "" {
		c.srv.tell(Event{Kind: EventRefused, Remote: c.raw.RemoteAddr().String(), Mailbox: c.mailbox, Detail: refusal})
		c.reply(refusal)
		return nil
	}
	if !taken {
		c.srv.take(m)
	}
	c.reply(fmt.Sprintf("250 2.0.0 OK <%s@%s> [Hostname=%s]", newGUID(), c.host, c.host))
	return nil
}

// subjects is what a fault at the end of data may match; the text is copied only if there are faults at all.
func (c *session) subjects(m Message) []string {
	if c.srv.script.empty() {
		return nil
	}
	return append([]string{m.Sender, string(m.Data)}, m.Recipients...)
}

// judge returns the refusal of a message that has been read, or "".
func (c *session) judge(tx *transaction) string {
	switch {
	case tx.text.over:
		return "552 5.3.4 Message size exceeds fixed maximum message size " + c.stamp()
	case tx.text.bareLF && !tx.binary:
		return "550 5.6.11 Invalid characters: bare line feed characters in the message " + c.stamp()
	case !c.srv.opt.maySendAs(c.mailbox, tx.sender):
		return fmt.Sprintf("554 5.2.252 SendAsDenied; %s not allowed to send as %s; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message.[EndDiagnosticData] [Hostname=%s]", c.mailbox, tx.sender, c.host)
	}
	return ""
}

func (c *session) message(tx *transaction) Message {
	return Message{
		Sender: tx.sender, Recipients: tx.recipients, RcptParams: tx.rcptParams, MailParams: tx.params,
		Data: tx.text.text.Bytes(), Mailbox: c.mailbox, Mechanism: "XOAUTH2", Via: "smtp", Chunked: tx.chunked,
	}
}
