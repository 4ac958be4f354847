package relay

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/mailbearer/mailbearer/mail"
)

// replyLimit keeps a reply's text within a line of 512 octets (RFC 5321 §4.5.3.1.5), codes and line end included.
const replyLimit = 480

// verdict is what a waiting client is told:
//
//	delivered, all recipients   250, in the provider's words
//	refused, all recipients     the provider's 5xx, with our cause
//	anything else               250 2.0.0 queued as ID
func verdict(o mail.Outcome, known bool, id mail.ID) *smtp.SMTPError {
	switch {
	case known && o.State == mail.Delivered:
		return reply(250, enhanced(o.Reply.Enhanced, 2), o.Reply.Text)
	case known && o.State == mail.Failed && o.Reply.Permanent():
		return reply(o.Reply.Code, enhanced(o.Reply.Enhanced, 5), refusal(o))
	case known && o.State == mail.Failed:
		return reply(554, smtp.EnhancedCode{5, 0, 0}, refusal(o))
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "queued as "+id.String())
}

// refusal is the provider's text with our cause. The cause is kept whole if one of them must be cut.
func refusal(o mail.Outcome) string {
	if o.Cause == "" {
		return o.Reply.Text
	}
	cause := " (" + clip(o.Cause, replyLimit/2) + ")"
	return strings.TrimSpace(clip(o.Reply.Text, replyLimit-len(cause)) + cause)
}

func reply(code int, e smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: e, Message: clip(printable(text), replyLimit)}
}

// printable keeps a provider's text from breaking our reply: one line, ASCII (RFC 5321 §4.2).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

func clip(s string, n int) string {
	if n < 0 || len(s) <= n {
		return s
	}
	return s[:max(n-3, 0)] + "..."
}

// enhanced reads a status code of the given class (RFC 3463), or makes the general one.
func enhanced(s string, class int) smtp.EnhancedCode {
	parts := strings.Split(s, ".")
	code := smtp.EnhancedCode{class, 0, 0}
	if len(parts) != 3 || parts[0] != strconv.Itoa(class) {
		return code
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 999 {
			return smtp.EnhancedCode{class, 0, 0}
		}
		code[i] = n
	}
	return code
}
