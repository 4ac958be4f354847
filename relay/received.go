package relay

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// received writes the trace header of RFC 5321 §4.4: no `for` clause and no user name, since both tell strangers what
// is none of their business.
func received(hostname, helo, client string, secure, signedIn bool, id mail.ID, now time.Time) []byte {
	with := "ESMTP"
	if secure {
		with += "S"
	}
	if signedIn {
		with += "A"
	}
	return fmt.Appendf(nil, "Received: from %s (%s)\r\n\tby %s with %s id %s;\r\n\t%s\r\n",
		heloToken(helo), addressLiteral(client), hostname, with, id, now.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
}

// heloToken makes what a client calls itself safe to stand in a header: 255 printable ASCII characters at most, and
// none that have a meaning there.
func heloToken(helo string) string {
	var b strings.Builder
	for _, c := range []byte(helo) {
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`()\<>`, rune(c)) && b.Len() < 255 {
			b.WriteByte(c)
		}
	}
	if b.Len() == 0 {
		return "unknown"
	}
	return b.String()
}

// addressLiteral writes a client's address as RFC 5321 §4.1.3 has it.
func addressLiteral(client string) string {
	host, _, err := net.SplitHostPort(client)
	if err != nil {
		return "local"
	}
	if strings.Contains(host, ":") {
		return "[IPv6:" + host + "]"
	}
	return "[" + host + "]"
}
