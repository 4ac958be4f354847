package relay

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// translate makes a command line what the library understands, or answers it itself and returns nil. It sees lines in
// command state only: neither a text nor an AUTH exchange ever comes here. What a correct client sends passes as it is.
func (c *conn) translate(raw []byte) []byte {
	line := tidy(raw)
	if line == "" { // no reply: a client that ends its text with CRLF . CRLF CRLF would take it for the next command's
		if c.blanks++; c.blanks > blankLimit {
			c.cutOff(421, "4.7.0", "nothing but empty lines; goodbye")
		}
		return nil
	}
	c.blanks = 0
	verb, arg, _ := strings.Cut(line, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimLeft(arg, " ")
	if httpVerb(verb) {
		c.log().Warn().Str("detail", clip(line, 100)).Msg("an HTTP request on a mail port was cut: a web page in a browser may be attacking this relay")
		c.cutOff(554, "5.5.1", "this is a mail server, not a web server")
		return nil
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.refuse(500, "5.5.2", "a command has no control characters")
		return nil
	}
	c.verb = verb
	if c.tlsState != nil && !c.greeted && verb != "HELO" && verb != "EHLO" && needsName(verb) {
		c.refuse(503, "5.5.1", "say EHLO or HELO first") // RFC 3207 §4.2: what was said before TLS is forgotten
		return nil
	}
	return c.command(verb, arg)
}

// command translates a line that has been taken apart.
func (c *conn) command(verb, arg string) []byte {
	switch verb {
	case "HELO", "EHLO":
		if arg == "" { // RFC 5321 §4.1.1.1 wants a name; UPS cards have none
			arg = "unknown"
		}
		arg = arg[:min(len(arg), nameLimit)]
		c.greeted = true
		c.visit.HELO = heloToken(arg)
	case "MAIL":
		return c.pathCommand(verb, "FROM", arg)
	case "RCPT":
		return c.pathCommand(verb, "TO", arg)
	case "STARTTLS":
		if !c.upgrade(arg) {
			return nil
		}
		c.quiet = true // the library forgets what was said before TLS; the client does not see its reply
		return []byte("RSET")
	case "BDAT":
		c.refuseChunk(arg)
		return nil
	case "HELP":
		c.help()
		return nil
	case "PROXY":
		c.refuseProxy()
		return nil
	default:
		if mechanism, ok := strings.CutPrefix(verb, "AUTH="); ok { // older than RFC 2554
			c.verb, verb, arg = "AUTH", "AUTH", strings.TrimSpace(mechanism+" "+arg)
		}
	}
	if arg == "" {
		return []byte(verb)
	}
	return []byte(verb + " " + arg)
}

// help is RFC 5321 §4.1.1.8's.
func (c *conn) help() {
	secure := ""
	if c.offersTLS() {
		secure = "STARTTLS, "
	}
	c.say(214, "2.0.0", "mailbearer: EHLO, "+secure+"AUTH, MAIL FROM, RCPT TO, DATA, RSET, NOOP, QUIT; RFC 5321 says the rest")
}

// needsName says whether a command comes after EHLO only.
func needsName(verb string) bool {
	switch verb {
	case "MAIL", "RCPT", "DATA", "AUTH":
		return true
	}
	return strings.HasPrefix(verb, "AUTH=")
}

// tidy makes blanks of the tabs outside quotes and takes blanks off both ends.
func tidy(raw []byte) string {
	if bytes.IndexByte(raw, '\t') >= 0 {
		quoted := false
		raw = bytes.Clone(raw)
		for i, b := range raw {
			if b == '"' {
				quoted = !quoted
			}
			if b == '\t' && !quoted {
				raw[i] = ' '
			}
		}
	}
	return string(bytes.Trim(raw, " "))
}

// httpVerb says whether a line begins like an HTTP request or one of its fields.
func httpVerb(verb string) bool {
	switch verb {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI":
		return true
	}
	return strings.HasPrefix(verb, "HOST:")
}

// pathCommand translates MAIL FROM:<…> and RCPT TO:<…>.
func (c *conn) pathCommand(verb, word, arg string) []byte {
	rest, ok := cutWord(arg, word)
	if !ok {
		return []byte(verb + " " + arg) // the library refuses it
	}
	p, params, err := parsePath(rest)
	c.path, c.pathErr = p, err
	told := carrier
	if err == nil {
		told = p.carried()
	}
	if ok = params == "" || params[0] == ' '; !ok {
		c.notAlone(verb)
		return nil
	}
	if c.list.policy.Security == SecurityNone {
		if params, ok = lenient(verb, params); !ok {
			c.notAlone(verb)
			return nil
		}
	}
	return []byte(verb + " " + word + ":<" + told + ">" + strict(params))
}

// notAlone refuses an address with something behind it that is no parameter: it may be a second address.
func (c *conn) notAlone(verb string) {
	c.refuse(501, "5.5.4", verb+" takes one address, and nothing but parameters after it")
}

// cutWord takes FROM or TO and the colon, blanks around it, off an argument.
func cutWord(arg, word string) (rest string, ok bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", false
	}
	return strings.CutPrefix(strings.TrimLeft(arg[len(word):], " "), ":")
}

// strict passes parameters on as they are, but for AUTH, which is not ours to trust (RFC 4954 §5).
func strict(params string) string {
	var b strings.Builder
	for param := range strings.FieldsSeq(params) {
		if key, _, _ := strings.Cut(param, "="); !strings.EqualFold(key, "AUTH") {
			b.WriteString(" " + param)
		}
	}
	return b.String()
}

// lenient drops parameters that the library would refuse. Something that does not look like a parameter is not
// dropped: it may be a second address.
func lenient(verb, params string) (kept string, ok bool) {
	var b strings.Builder
	for param := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(param, "=")
		if !isKeyword(key) {
			return "", false
		}
		if value, ok := known(verb, strings.ToUpper(key), value); ok {
			b.WriteString(" " + key)
			if value != "" {
				b.WriteString("=" + value)
			}
		}
	}
	return b.String(), true
}

// isKeyword is RFC 5321 §4.1.2's esmtp-keyword.
func isKeyword(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
}

// known says whether a parameter is one that the library takes with this value.
func known(verb, key, value string) (string, bool) {
	upper := strings.ToUpper(value)
	switch verb + " " + key {
	case "MAIL SIZE":
		n, err := strconv.ParseUint(value, 10, 32)
		if errors.Is(err, strconv.ErrRange) {
			err = nil // n is the largest that the library reads
		}
		if err != nil {
			return "x", value != "" // one word that is no number: the library answers 501 (RFC 1870 §4)
		}
		return strconv.FormatUint(n, 10), true
	case "MAIL BODY":
		return value, upper == "7BIT" || upper == "8BITMIME" || upper == "BINARYMIME"
	case "MAIL SMTPUTF8":
		return "", true
	case "MAIL RET":
		return value, upper == "FULL" || upper == "HDRS"
	case "MAIL ENVID":
		return value, isXtext(value)
	case "RCPT NOTIFY":
		return value, isNotify(upper)
	case "RCPT ORCPT":
		kind, address, _ := strings.Cut(upper, ";")
		return value, (kind == "RFC822" || kind == "UTF-8") && isXtext(address)
	}
	return "", false
}

// isXtext is RFC 3461 §4's xtext for printable ASCII, not empty.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] <= ' ' || s[i] >= 0x7f || s[i] == '=':
			return false
		case s[i] == '+':
			code, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err != nil || i+3 > len(s) || code < ' ' || code >= 0x7f || strings.ToUpper(s[i:i+3]) != s[i:i+3] {
				return false
			}
			i += 2
		}
	}
	return s != ""
}

// isNotify is RFC 3461 §4.1's list.
func isNotify(s string) bool {
	seen := map[string]bool{}
	for word := range strings.SplitSeq(s, ",") {
		if seen[word] || word != "NEVER" && word != "SUCCESS" && word != "FAILURE" && word != "DELAY" {
			return false
		}
		seen[word] = true
	}
	return !seen["NEVER"] || len(seen) == 1
}

// refuseChunk answers a BDAT that was never offered. Its octets are passed over, so that none is taken for a command.
func (c *conn) refuseChunk(arg string) {
	size, _, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(size, 10, 32)
	if err != nil {
		c.cutOff(501, "5.5.4", "BDAT is not offered here, and this one has no size")
		return
	}
	if err := c.passOver(int(n)); err != nil {
		c.bye(err)
		return
	}
	c.refuse(502, "5.5.1", "BDAT is not offered here: use DATA")
}

func (c *conn) passOver(n int) error {
	for n > 0 {
		if have := len(c.in.unread()); have > 0 {
			have = min(have, n)
			c.in.skip(have)
			n -= have
			continue
		}
		if err := c.in.fill(c.stream); err != nil {
			return err
		}
	}
	return nil
}

// Limits of what is no command: refused lines of a whole connection, empty ones in a row, octets of a name.
const (
	strikeLimit = 10
	blankLimit  = 200
	nameLimit   = 255
)

// refuse answers a line that the library does not see.
func (c *conn) refuse(code int, status, text string) {
	c.say(code, status, text)
	if c.strikes++; c.strikes > strikeLimit {
		c.cutOff(421, "4.7.0", "too many lines that are no commands; goodbye")
	}
}

// cutOff tells the client why and ends the connection.
func (c *conn) cutOff(code int, status, format string, args ...any) {
	c.cutFor("a client was cut off", code, status, fmt.Sprintf(format, args...))
}

// cutFor does so with words of its own for the log.
func (c *conn) cutFor(why string, code int, status, text string) {
	if c.gone.Swap(true) {
		return
	}
	c.log().Warn().Int("code", code).Str("detail", text).Msg(why)
	c.say(code, status, text)
	c.cut.Store(true)
}

// foreign cuts a client that speaks another protocol: what it sends need not have lines.
func (c *conn) foreign(have []byte) bool {
	switch {
	case len(have) == 0:
		return false
	case isTLSHello(have):
		c.visit.Trouble = "TLS on a port without it"
		c.log().Warn().Msg("a client began TLS where none is expected: set the device to STARTTLS or no TLS, or this listener to security = \"tls\"")
		c.cutOff(554, "5.5.1", "this port does not begin with TLS (security of this listener)")
	case bytes.HasPrefix(have, proxySignature):
		c.command("PROXY", "")
	default:
		return false
	}
	return true
}
