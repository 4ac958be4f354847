package fake365

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxUnknown is how many unknown commands a client may send; a body after a refused BDAT looks like many.
const maxUnknown = 10

// maxRecipients bounds a transaction; Exchange's own limit is set per mailbox, up to 1000.
const maxRecipients = 1000

// commands maps the verbs to what they do. An error ends the connection.
var commands = map[string]func(*session, string) error{
	"HELO": (*session).helo, "EHLO": (*session).ehlo, "STARTTLS": (*session).startTLS, "AUTH": (*session).auth,
	"MAIL": (*session).mail, "RCPT": (*session).rcpt, "DATA": (*session).data, "BDAT": (*session).bdat,
	"RSET": (*session).rset, "NOOP": (*session).noop, "VRFY": (*session).vrfy, "QUIT": (*session).quit,
}

// converse greets, and then answers command after command.
func (c *session) converse() error {
	if done, err := c.play(c.srv.fault("connect", c.raw.RemoteAddr().String())); err != nil {
		return err
	} else if done {
		return errBye
	}
	c.reply(fmt.Sprintf("220 %s Microsoft ESMTP MAIL Service ready at %s", c.host, time.Now().UTC().Format("Mon, 2 Jan 2006 15:04:05 +0000")))
	for {
		if err := c.settle(); err != nil {
			return err
		}
		line, err := c.readLine()
		if err != nil {
			return err
		}
		c.instead = ""
		if err := c.command(line); err != nil {
			return err
		}
	}
}

// command does one command. Verbs are known in any case, RFC 5321 §2.4.
func (c *session) command(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	do, known := commands[strings.ToUpper(verb)]
	if strings.EqualFold(verb, "BDAT") && c.srv.opt.NoChunking {
		known = false // the octets that follow are then read as commands, as any server without BDAT would
	}
	if known {
		return do(c, strings.TrimSpace(arg))
	}
	if c.bad++; c.bad > maxUnknown {
		c.refuse("421 4.7.0 Too many errors on this connection, closing transmission channel")
		return errBye
	}
	c.refuse(fmt.Sprintf("500 5.3.3 Unrecognized command %.40q", verb))
	return nil
}

func (c *session) helo(arg string) error {
	return c.greet(arg, "250 "+c.welcome())
}

func (c *session) ehlo(arg string) error {
	extensions := c.extensions()
	last := len(extensions) - 1
	return c.greet(arg, "250-"+strings.Join(append([]string{c.welcome()}, extensions[:last]...), "\n250-")+"\n250 "+extensions[last])
}

// welcome is the first line of the answer, which names the client by its address.
func (c *session) welcome() string {
	address, _, _ := net.SplitHostPort(c.raw.RemoteAddr().String())
	return fmt.Sprintf("%s Hello [%s]", c.host, address)
}

// extensions are those of smtp.office365.com, in its order. AUTH appears after STARTTLS only, and lists LOGIN
// although passwords are refused.
func (c *session) extensions() []string {
	o := c.srv.opt
	list := []string{fmt.Sprintf("SIZE %d", o.MaxSize)}
	if !o.NoPipelining {
		list = append(list, "PIPELINING")
	}
	list = append(list, "DSN", "ENHANCEDSTATUSCODES")
	if c.secure {
		list = append(list, "AUTH LOGIN XOAUTH2", "8BITMIME")
	} else {
		list = append(list, "STARTTLS", "8BITMIME")
	}
	if !o.NoChunking {
		list = append(list, "BINARYMIME", "CHUNKING") // RFC 3030 §3: the one needs the other
	}
	return append(list, "SMTPUTF8")
}

// greet answers HELO and EHLO, which also reset the transaction (RFC 5321 §4.1.4).
func (c *session) greet(arg, text string) error {
	if done, err := c.play(c.srv.fault("ehlo", arg)); done || err != nil {
		return err
	}
	if !domainOrLiteral(arg) {
		c.refuse("501 5.5.4 Invalid domain name")
		return nil
	}
	c.hello, c.tx = true, transaction{}
	c.reply(text)
	return nil
}

// domainOrLiteral is as strict as Exchange: a name with a dot in letters, digits and hyphens, or an address in
// brackets (RFC 5321 §4.1.3). Bare machine names are refused there, and so they are here.
func domainOrLiteral(name string) bool {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		_, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:"))
		return ok && err == nil
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, ldh) != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(labels) > 1
}

const ldh = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// startTLS upgrades the connection. What the client sent behind the command in the clear is a command injection
// (RFC 3207 §4.2 makes us forget it); the fake cuts the connection, so that nobody overlooks it.
func (c *session) startTLS(arg string) error {
	if done, err := c.play(c.srv.fault("starttls")); done || err != nil {
		return err
	}
	switch {
	case arg != "":
		c.refuse("501 5.5.4 Invalid arguments")
		return nil
	case c.secure:
		c.refuse("503 5.5.2 Only one STARTTLS command can be issued per session")
		return nil
	case !c.hello:
		c.refuse("503 5.5.2 Send hello first")
		return nil
	case c.r.Buffered() > 0:
		return errCut
	}
	c.reply("220 2.0.0 SMTP server ready")
	if err := c.flush(); err != nil {
		return err
	}
	return c.handshake()
}

// handshake begins the session anew over TLS, RFC 3207 §4.2.
func (c *session) handshake() error {
	conn := tls.Server(c.raw, c.srv.ca.tlsConfig())
	if err := c.raw.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if err := conn.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.use(conn)
	c.secure, c.hello, c.tx = true, false, transaction{}
	c.srv.record.count(func(n *Counters) { n.Handshakes++ })
	c.srv.tell(Event{Kind: EventTLS, Remote: c.raw.RemoteAddr().String(), Detail: tls.VersionName(conn.ConnectionState().Version)})
	return nil
}

// ready says whether a mail transaction may begin, and answers if not.
func (c *session) ready() bool {
	switch {
	case !c.hello:
		c.refuse("503 5.5.2 Send hello first")
	case !c.secure:
		c.refuse("451 5.7.3 STARTTLS is required to send mail")
	case c.mailbox == "":
		c.refuse("530 5.7.57 Client not authenticated to send mail.")
	default:
		return true
	}
	return false
}

func (c *session) mail(arg string) error {
	if !c.ready() {
		return nil
	}
	if c.tx.open {
		c.refuse("503 5.5.2 Sender already specified")
		return nil
	}
	if done, err := c.play(c.srv.fault("mail", arg)); done || err != nil {
		return err
	}
	sender, params, ok := path(arg, "FROM:")
	if !ok {
		c.refuse("501 5.1.7 Invalid address")
		return nil
	}
	tx := transaction{open: true, sender: sender, params: params}
	if refusal := tx.readParams(c.srv.opt); refusal != "" {
		c.refuse(refusal)
		return nil
	}
	c.tx = tx
	c.reply("250 2.1.0 Sender OK")
	return nil
}

// readParams reads the parameters of MAIL; "" or the refusal.
func (t *transaction) readParams(o Options) string {
	for param := range strings.FieldsSeq(t.params) {
		name, value, _ := strings.Cut(param, "=")
		switch strings.ToUpper(name) {
		case "SIZE": // RFC 1870 §6.1
			if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 {
				return "501 5.5.4 Invalid arguments"
			} else if n > o.MaxSize {
				return "552 5.3.4 Message size exceeds fixed maximum message size"
			}
		case "BODY":
			t.binary = strings.EqualFold(value, "BINARYMIME")
			if !t.binary && !strings.EqualFold(value, "8BITMIME") && !strings.EqualFold(value, "7BIT") || t.binary && o.NoChunking {
				return "501 5.5.4 Invalid arguments"
			}
		case "SMTPUTF8": // RFC 6531 §3.4: without a value
			t.utf8 = value == ""
		case "RET", "ENVID", "AUTH": // RFC 3461 §4.3, §4.4; RFC 4954 §5
		default:
			return "501 5.5.4 Unrecognized parameter"
		}
	}
	if !t.utf8 && !ascii(t.sender) {
		return "550 5.6.7 SMTPUTF8 is required" // RFC 6531 §3.5
	}
	return ""
}

func (c *session) rcpt(arg string) error {
	switch {
	case !c.ready():
		return nil
	case !c.tx.open || c.tx.chunked:
		c.refuse("503 5.5.2 Need mail command")
		return nil
	case len(c.tx.recipients) >= maxRecipients:
		c.refuse("452 4.5.3 Too many recipients")
		return nil
	}
	if done, err := c.play(c.srv.fault("rcpt", arg)); done || err != nil {
		return err
	}
	c.recipient(arg)
	return nil
}

// recipient reads the argument of RCPT and adds it to the transaction.
func (c *session) recipient(arg string) {
	to, params, ok := path(arg, "TO:")
	switch {
	case !ok || to == "":
		c.refuse("501 5.1.3 Invalid address")
	case !knownRcptParams(params):
		c.refuse("501 5.5.4 Unrecognized parameter")
	case !c.tx.utf8 && !ascii(to):
		c.refuse("553 5.6.7 SMTPUTF8 is required") // RFC 6531 §3.5
	default:
		c.tx.recipients = append(c.tx.recipients, to)
		c.tx.rcptParams = append(c.tx.rcptParams, params)
		c.reply("250 2.1.5 Recipient OK")
	}
}

// knownRcptParams knows those of RFC 3461 §4.1 and §4.2.
func knownRcptParams(params string) bool {
	for param := range strings.FieldsSeq(params) {
		name, _, _ := strings.Cut(param, "=")
		if !strings.EqualFold(name, "NOTIFY") && !strings.EqualFold(name, "ORCPT") {
			return false
		}
	}
	return true
}

// path takes "FROM:<a@b> PARAM=…" apart, RFC 5321 §4.1.2, to the letter: no blank after the colon, no missing
// brackets, no source route. "" with ok is the null reverse-path.
func path(arg, prefix string) (address, params string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	rest, ok := strings.CutPrefix(arg[len(prefix):], "<")
	if !ok {
		return "", "", false
	}
	end := closing(rest)
	if end < 0 || end+1 < len(rest) && rest[end+1] != ' ' {
		return "", "", false
	}
	address, params = rest[:end], strings.TrimSpace(rest[end+1:])
	at := strings.LastIndex(address, "@")
	whole := at > 0 && at < len(address)-1 && !strings.ContainsAny(address[at+1:], " <>") && !strings.ContainsAny(address, "\x00\t")
	return address, params, address == "" || whole
}

// closing returns the index of the bracket that ends a path: the first outside a quoted local part, or -1.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++ // RFC 5321 §4.1.2: quoted-pair
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func (c *session) rset(string) error {
	c.tx = transaction{}
	c.reply("250 2.0.0 Resetting")
	return nil
}

func (c *session) noop(string) error {
	c.reply("250 2.0.0 OK")
	return nil
}

func (c *session) vrfy(string) error {
	c.reply("252 2.1.5 Cannot VRFY user")
	return nil
}

// quit gives the place among the mailbox's connections back before the client can know, or its next connection
// might be one too many.
func (c *session) quit(string) error {
	c.leave()
	c.reply("221 2.0.0 Service closing transmission channel")
	return errBye
}
