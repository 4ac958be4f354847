package relay

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// Write takes a reply from the library, which writes it line by line, and sends it on when it is whole.
func (c *conn) Write(p []byte) (int, error) {
	if !c.started {
		if err := c.start(); err != nil {
			c.gone.Store(true)
			return 0, err
		}
	}
	if c.out = append(c.out, p...); !whole(c.out) {
		return len(p), nil
	}
	reply := c.reword(c.out)
	c.out = c.out[:0]
	return len(p), c.deliver(reply)
}

// whole says whether a reply has its last line (RFC 5321 §4.2.1).
func whole(reply []byte) bool {
	last := reply[bytes.LastIndexByte(bytes.TrimSuffix(reply, crlf), '\n')+1:]
	return len(last) > 4 && last[3] == ' ' && last[len(last)-1] == '\n'
}

// deliver writes a reply and draws from its code what the client's next octets are.
func (c *conn) deliver(reply []byte) error {
	code, _ := strconv.Atoi(string(reply[:3]))
	var err error
	if !c.quiet {
		_, err = c.stream.Write(reply)
	}
	c.quiet = false
	c.nextLine()
	switch code {
	case 354:
		c.mode, c.text = data, &body{conn: c, start: true}
		c.in.resize(textBuffer)
		c.inData.Store(true)
	case 334:
		c.mode = exchange
	default:
		c.settled(code)
	}
	if hook := c.onReply; hook != nil {
		c.onReply = nil
		hook(err)
	}
	return err
}

// settled ends what the reply was to.
func (c *conn) settled(code int) {
	if c.mode == data {
		c.text = nil
		c.in.resize(idleBuffer)
		c.inData.Store(false)
		if code < 400 {
			c.faults = 0
		}
	}
	c.mode = command
	if code >= 400 {
		c.fault()
	}
}

// faultLimit is how many commands may be refused before the connection is cut, beyond max_recipients: a client that
// goes on asking, with 100,000 recipients say, is either broken or looking for something.
const faultLimit = 1000

func (c *conn) fault() {
	c.faults++
	if c.faults > faultLimit+c.list.policy.MaxRecipients {
		c.cutOff(421, "4.7.0", "%d commands of this connection were refused; goodbye", c.faults)
	}
}

// reword makes a reply ours where the library's does not fit what the client said to us, or the RFC.
func (c *conn) reword(reply []byte) []byte {
	if c.verb == "EHLO" && bytes.HasPrefix(reply, []byte("250-")) {
		return c.capabilities(reply)
	}
	if c.verb == "MAIL" || c.verb == "RCPT" {
		reply = bytes.Replace(reply, []byte(carrier), []byte(c.path.String()), 1)
	}
	return c.reworded(reply)
}

// capabilities are EHLO's lines (RFC 5321 §4.1.1.1): without CHUNKING, which we do not take, with STARTTLS where it is
// offered, and with AUTH once more in the form that clients older than RFC 2554 look for.
func (c *conn) capabilities(reply []byte) []byte {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(string(reply), "\r\n"), "\r\n") {
		text := line[4:]
		if name, ok := strings.CutPrefix(text, "Hello "); ok && len(lines) == 0 {
			text = c.greets(name)
		}
		if text == "CHUNKING" {
			if c.offersTLS() {
				lines = append(lines, "STARTTLS")
			}
			continue
		}
		lines = append(lines, text)
		if mechanisms, ok := strings.CutPrefix(text, "AUTH "); ok {
			lines = append(lines, "AUTH="+mechanisms)
		}
	}
	var b bytes.Buffer
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		io.WriteString(&b, "250"+sep+line+"\r\n")
	}
	return b.Bytes()
}

// afterReply calls hook once the next reply has been written, or could not be.
func (c *conn) afterReply(hook func(error)) { c.onReply = hook }
