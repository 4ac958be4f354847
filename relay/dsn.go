package relay

import (
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/mailbearer/mailbearer/mail"
)

// The DSN parameters of RFC 3461 are kept as they stand on the wire, since that is where they go next. go-smtp has
// taken xtext off them; it is put back here.

// dsnRecipient notes a recipient's NOTIFY and ORCPT.
func dsnRecipient(r *mail.Recipient, o *smtp.RcptOptions) {
	for _, n := range o.Notify {
		r.Notify = append(r.Notify, string(n))
	}
	if o.OriginalRecipient != "" {
		encode := xtext
		if strings.EqualFold(string(o.OriginalRecipientType), string(smtp.DSNAddressTypeUTF8)) {
			encode = utf8Xtext
		}
		r.Original = strings.ToLower(string(o.OriginalRecipientType)) + ";" + encode(o.OriginalRecipient)
	}
}

// xtext is RFC 3461 §4: printable ASCII as it is, everything else, "+" and "=" as +HH.
func xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// utf8Xtext is RFC 6533 §3: what cannot stand in an ASCII parameter as \x{HEX}.
func utf8Xtext(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || r == '+' || r == '=' || r == '\\' {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
