package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// A write is cut into pieces with a deadline each: a peer that has stopped reading is noticed, a slow but steady one
// may take its time.
const (
	pieceSize    = 64 << 10
	pieceTimeout = time.Minute
)

// conn is one connection to the provider, used by one goroutine at a time.
type conn struct {
	raw    net.Conn // closing it cuts the connection
	wire   net.Conn // raw, or TLS over it
	r      *bufio.Reader
	unhook func() bool // Close of the transport cuts the connection until then
	caps   capabilities

	token    string   // it signed in with
	secrets  []string // what no reply may show
	epoch    int      // of the transport when it signed in
	messages int      // tried over it
	unclean  bool     // the last transaction did not end in 250: RSET comes first

	heard func(mail.Reply) // is told every reply; nil but in a Probe

	woken chan bool // the watcher's last word: whether the connection lives
}

// talk makes wire the connection that is talked over.
func (c *conn) talk(wire net.Conn) {
	c.wire = wire
	c.r = bufio.NewReaderSize(wire, maxReplyLine)
}

// String says which connection it is, for the trace.
func (c *conn) String() string {
	return fmt.Sprintf("%s from %s, message %d", c.raw.RemoteAddr(), c.raw.LocalAddr(), c.messages)
}

// cut ends the connection at once. TLS is not told: its close alert could block on a peer that does not read.
func (c *conn) cut() {
	if c.unhook != nil {
		c.unhook()
	}
	c.raw.Close()
}

// quitPatience bounds how long the end of a connection may take.
const quitPatience = time.Second

// quit says good-bye, RFC 5321 §4.1.1.10. Whatever comes of it does not matter.
func (c *conn) quit() {
	c.wire.SetDeadline(time.Now().Add(quitPatience))
	if _, err := c.wire.Write([]byte("QUIT\r\n")); err == nil {
		readReply(c.r)
	}
}

// idle lets the watcher wait for so long.
func (c *conn) idle(d time.Duration) {
	c.woken = make(chan bool, 1)
	c.wire.SetReadDeadline(time.Now().Add(d))
}

// disturb ends the watcher's wait.
func (c *conn) disturb() { c.wire.SetReadDeadline(time.Unix(1, 0)) }

// glance is how long a connection that was idle is looked at before it is used. The watcher was disturbed, and may
// have missed a good-bye that had just come; to send into it would leave a doubt. Any longer would be felt.
const glance = 200 * time.Microsecond

// wake takes the connection back from its watcher; nil if it has died.
func (c *conn) wake() *conn {
	c.disturb()
	alive := <-c.woken
	if alive {
		c.wire.SetReadDeadline(time.Now().Add(glance))
		_, err := c.r.Peek(1)
		alive = isTimeout(err)
	}
	if !alive {
		c.cut()
		return nil
	}
	return c
}

func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pieceSize)
		if err := c.wire.SetWriteDeadline(time.Now().Add(pieceTimeout)); err != nil {
			return err
		}
		if _, err := c.wire.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// reply reads one reply, which must be complete within the time. Secrets are gone from it.
func (c *conn) reply(within time.Duration) (mail.Reply, []string, error) {
	if err := c.wire.SetReadDeadline(time.Now().Add(within)); err != nil {
		return mail.Reply{}, nil, err
	}
	reply, lines, err := readReply(c.r)
	reply.Text = cutText(redact(reply.Text, c.secrets))
	if c.heard != nil && err == nil {
		c.heard(reply)
	}
	return reply, lines, err
}

// ask sends one command and reads its reply.
func (c *conn) ask(within time.Duration, line string) (mail.Reply, []string, error) {
	if err := c.write([]byte(line + "\r\n")); err != nil {
		return mail.Reply{}, nil, err
	}
	return c.reply(within)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// redacted stands for what must not be shown, fragment is the shortest piece of it that counts.
const (
	redacted = "[redacted]"
	fragment = 16
)

// redact takes secrets out of a server's words. A server may echo a line that it did not understand, whole or cut, so
// every piece counts that is too long to be there by chance.
func redact(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		text = strings.ReplaceAll(text, secret, redacted)
		text = redactPieces(text, secret)
	}
	return text
}

func redactPieces(text, secret string) string {
	if len(secret) < fragment {
		return text
	}
	var b strings.Builder
	for len(text) >= fragment {
		if !strings.Contains(secret, text[:fragment]) {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		n := fragment
		for n < len(text) && strings.Contains(secret, text[:n+1]) {
			n++
		}
		b.WriteString(redacted)
		text = text[n:]
	}
	return b.String() + text
}
