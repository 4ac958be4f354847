package upstream

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// delivery is one message and the recipients that it is to be tried for.
type delivery struct {
	env    *mail.Envelope
	open   func() (io.ReadCloser, error)
	opts   Options
	sender string      // as it stands on the wire
	rcpts  []recipient // in the order of env.Unsettled
}

type recipient struct {
	mail.Recipient
	wire string
	own  *mail.Outcome // what no server has to be asked for
}

func newDelivery(env *mail.Envelope, open func() (io.ReadCloser, error), o Options) *delivery {
	d := &delivery{env: env, open: open, opts: o}
	var badSender error
	if env.Sender != "" { // RFC 5321 §4.5.5
		d.sender, badSender = wire(env.Sender)
	}
	for _, i := range env.Unsettled() {
		r := recipient{Recipient: env.Recipients[i]}
		var err error
		if r.wire, err = wire(r.Address); err != nil {
			r.own = ours(501, "5.1.3", "the recipient's address cannot be written safely", err.Error())
		}
		if badSender != nil {
			r.own = ours(501, "5.1.7", "the sender's address cannot be written safely", badSender.Error())
		}
		d.rcpts = append(d.rcpts, r)
	}
	return d
}

// settled says whether no server has to be asked.
func (d *delivery) settled() bool {
	for _, r := range d.rcpts {
		if r.own == nil {
			return false
		}
	}
	return true
}

// outcomes are those of a settled delivery.
func (d *delivery) outcomes() []mail.Outcome {
	var list []mail.Outcome
	for _, r := range d.rcpts {
		list = append(list, *r.own)
	}
	return list
}

// ours is the outcome of a recipient that we refuse in the provider's place.
func ours(code int, enhanced, cause, text string) *mail.Outcome {
	return &mail.Outcome{
		State: mail.Failed, Reply: mail.Reply{Code: code, Enhanced: enhanced, Text: "mailbearer: " + text},
		Class: mail.ClassPermanent, Cause: cause, Fix: "Correct it where the message comes from, and send it again.",
	}
}

// plan writes the lines of the envelope for a server with these capabilities, and finds what it cannot take.
func (d *delivery) plan(caps capabilities) *dialogue {
	t := &dialogue{line: d.mailLine(caps)}
	for _, r := range d.rcpts {
		a := answer{own: r.own, line: d.rcptLine(caps, r)}
		switch {
		case a.own != nil:
		case caps.size > 0 && d.env.Size > caps.size: // RFC 1870 §6
			a.own = ours(552, "5.3.4", "the message is larger than the provider takes",
				fmt.Sprintf("message size %d exceeds the maximum of %d octets that the server announces", d.env.Size, caps.size))
		case !caps.smtputf8 && !isASCII(d.sender+r.wire): // RFC 6531 §3.5
			a.own = ours(553, "5.6.7", "the provider does not take addresses beyond ASCII",
				"the server does not offer SMTPUTF8, which this address needs")
		}
		t.rcpts = append(t.rcpts, a)
	}
	return t
}

func (d *delivery) mailLine(caps capabilities) string {
	line := fmt.Sprintf("MAIL FROM:<%s>", d.sender)
	if caps.sized {
		line += fmt.Sprintf(" SIZE=%d", d.env.Size)
	}
	if caps.eightBit && d.env.EightBit {
		line += " BODY=8BITMIME"
	}
	if caps.smtputf8 && d.needsUTF8() {
		line += " SMTPUTF8"
	}
	if caps.dsn && (d.env.Return == "FULL" || d.env.Return == "HDRS") { // RFC 3461 §4.3
		line += " RET=" + d.env.Return
	}
	if caps.dsn && isXtext(d.env.EnvelopeID, 100) { // RFC 3461 §4.4
		line += " ENVID=" + d.env.EnvelopeID
	}
	return line
}

func (d *delivery) needsUTF8() bool {
	return d.env.SMTPUTF8 || !isASCII(d.sender) ||
		slices.ContainsFunc(d.rcpts, func(r recipient) bool { return r.own == nil && !isASCII(r.wire) })
}

func (d *delivery) rcptLine(caps capabilities, r recipient) string {
	line := fmt.Sprintf("RCPT TO:<%s>", r.wire)
	if !caps.dsn {
		return line
	}
	if notify := strings.Join(r.Notify, ","); notify != "" && strings.Trim(notify, "ABCDEFGHIJKLMNOPQRSTUVWXYZ,") == "" { // RFC 3461 §4.1
		line += " NOTIFY=" + notify
	}
	if isXtext(r.Original, 500) { // RFC 3461 §4.2
		line += " ORCPT=" + r.Original
	}
	return line
}

// isXtext takes what the client wrote only if it cannot be anything but one parameter's value, RFC 3461 §4.
func isXtext(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' })
}
