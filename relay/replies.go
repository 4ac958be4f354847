package relay

import (
	"bytes"
	"strconv"
	"strings"
)

// words are replies of the library's own and what is said in their place: the codes of RFC 5321 §4.3.2, where the
// library has others, and texts that say what to do. A "*" stands for what the library puts in, in both.
var words = []struct{ theirs, ours string }{
	{"250 2.0.0 Roger, accepting mail from <*>", "250 2.1.0 sender <*> accepted"},
	{"250 2.0.0 I'll make sure <*> gets this", "250 2.1.5 recipient <*> accepted"},
	{"250 2.0.0 I have successfully done nothing", "250 2.0.0 OK"},
	{"250 2.0.0 Session reset", "250 2.0.0 transaction reset"},
	{"235 2.0.0 Authentication succeeded", "235 2.7.0 Authentication successful"}, // RFC 4954 §6
	{"221 2.0.0 Bye", "221 2.0.0 closing the connection"},
	{"252 2.5.0 Cannot VRFY user, but will accept message", "252 2.5.0 addresses are not verified here; send the message to try one"},
	{"354 Go ahead. End your data with <CR><LF>.<CR><LF>", "354 send the message, and end it with <CRLF>.<CRLF>"},
	{"500 5.5.2 Syntax errors, * command unrecognized", "500 5.5.1 there is no command *"},
	{"502 5.5.1 * command not implemented", "502 5.5.1 * is not offered here"},
	{"500 5.5.1 Too many errors. Quiting now", "421 4.7.0 too many lines that are no commands; goodbye"},
	{"452 4.5.3 Maximum limit of * recipients reached", "452 4.5.3 a message may have * recipients (max_recipients of this listener)"},
	{"500 5.5.1 This is not a LMTP server", "502 5.5.1 this is no LMTP server: say EHLO"},

	// commands in the wrong order are 503, not 502
	{"502 5.5.1 Please introduce yourself first.", "503 5.5.1 say EHLO or HELO first"},
	{"502 5.5.1 Missing MAIL FROM command.", "503 5.5.1 send MAIL FROM first"},
	{"502 5.5.1 Missing RCPT TO command.", "503 5.5.1 no recipient was accepted: send RCPT TO first"},
	{"503 5.5.1 Already authenticated", "503 5.5.1 signed in already"},

	// parameters: RFC 5321 §4.1.1.11 has 555 for those that are not known, §4.2.2 501 for what cannot be read
	{"500 5.5.4 Unknown MAIL FROM argument", "555 5.5.4 MAIL FROM has a parameter that is not known here"},
	{"500 5.5.4 Unknown RCPT TO argument", "555 5.5.4 RCPT TO has a parameter that is not known here"},
	{"504 5.5.4 * is not implemented", "555 5.5.4 the parameter * is not known here"},
	{"501 5.5.2 Was expecting MAIL arg syntax of FROM:<address>", "501 5.5.2 write it as MAIL FROM:<address>"},
	{"501 5.5.2 Was expecting RCPT arg syntax of TO:<address>", "501 5.5.2 write it as RCPT TO:<address>"},
	{"501 5.5.4 Unable to parse SIZE as an integer", "501 5.5.4 SIZE is no number of octets"},
	{"501 5.5.4 DATA command should not have any arguments", "501 5.5.4 DATA takes no parameters"},
	{"502 5.5.4 Missing parameter", "501 5.5.4 AUTH needs a mechanism, as in AUTH PLAIN"},
	{"501 5.0.0 Negotiation cancelled", "501 5.7.0 sign-in given up"},

	// RFC 4954 §4: what is not base64 is refused for good, or the client tries it again for ever
	{"454 4.7.0 Invalid base64 data", "501 5.5.2 this is not base64"},
}

// reworded is a reply as we say it.
func (c *conn) reworded(reply []byte) []byte {
	line := string(bytes.TrimSuffix(reply, crlf))
	if line == "552 5.3.4 Max message size exceeded" {
		return []byte("552 5.3.4 a message may have " + strconv.FormatInt(c.list.policy.MaxMessageSize, 10) + " octets (max_message_size of this listener)\r\n")
	}
	if line == "501 5.5.2 Bad command" { // shorter or longer than the four letters that the library looks at
		return []byte("500 5.5.1 there is no command " + clip(printable(c.verb), 40) + "\r\n")
	}
	if name, ok := strings.CutPrefix(line, "250 2.0.0 Hello "); ok && c.verb == "HELO" {
		return []byte("250 " + c.greets(name) + "\r\n") // no enhanced code here (RFC 2034 §3)
	}
	return []byte(ours(line) + "\r\n")
}

// greets is the answer to HELO, and EHLO's first line: our name comes first (RFC 5321 §4.1.1.1), the client's as it
// stands in Received.
func (c *conn) greets(client string) string { return c.list.hostname + " greets " + heloToken(client) }

// ours says in our words what the library says in its own; what it does not say, it leaves.
func ours(line string) string {
	for _, w := range words {
		before, after, star := strings.Cut(w.theirs, "*")
		if line == w.theirs {
			return w.ours
		}
		if star && len(line) >= len(before)+len(after) && strings.HasPrefix(line, before) && strings.HasSuffix(line, after) {
			return strings.Replace(w.ours, "*", line[len(before):len(line)-len(after)], 1)
		}
	}
	return line
}
