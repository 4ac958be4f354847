package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"
)

// What makes a text unfit to be sent on, whoever handed it over. The session answers these with 5yz, sendmail with an
// exit code.
var (
	ErrTooBig        = errTooBig
	ErrHeaderTooLong = errHeaderTooLong
	ErrLoop          = errLoop
	ErrControls      = errControls
)

// Text is the way of a message that no SMTP session brings: line ends are made CRLF as in a session, octets are
// counted, and the header section passes through Edit once. Everything behind the header streams, so a message of any
// size takes little memory. Close must be called when the message has ended.
type Text struct {
	inner  text
	out    io.Writer
	edit   func(*Header) error
	edited []byte // the header section as it goes on, until it has been written
	old    int    // its length as it came
}

// NewText returns the writer in front of out. A message of more than limit octets is refused with ErrTooBig.
func NewText(out io.Writer, limit int64, edit func(*Header) error) *Text {
	t := &Text{out: out, edit: edit, old: -1}
	t.inner = text{body: textBody{t}, limit: limit, look: t.look}
	return t
}

// Write takes a piece of the message.
func (t *Text) Write(p []byte) (int, error) { return t.inner.Write(p) }

// Close lets what was held back go on.
func (t *Text) Close() error { return t.inner.finish() }

// EightBit says whether an octet above 127 was seen.
func (t *Text) EightBit() bool { return t.inner.eight }

func (t *Text) look(section []byte) error {
	h := ParseHeader(section)
	if len(section) > headerLimit && !h.ended {
		return errHeaderTooLong
	}
	if err := t.edit(h); err != nil {
		return err
	}
	t.edited, t.old = h.Bytes(), len(section)
	return nil
}

// textBody puts the edited header section in the place of the one that was looked at, which is the first thing to
// arrive.
type textBody struct{ t *Text }

func (b textBody) Write(p []byte) (int, error) {
	t := b.t
	if t.old < 0 {
		return t.out.Write(p)
	}
	rest := p[t.old:]
	head := t.edited
	t.edited, t.old = nil, -1
	for _, part := range [][]byte{head, rest} {
		if len(part) == 0 {
			continue
		}
		if _, err := t.out.Write(part); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Missing is what a header section is given when it has none of its own.
type Missing struct {
	Date      time.Time
	MessageID string // without the angle brackets
	From      mail.Address
}

// Complete adds the fields that every message must have (RFC 5322 §3.6: Date and From) or ought to have
// (Message-ID), and says which were added. A field with nothing in it counts as missing and is replaced.
func (h *Header) Complete(m Missing) (added []string) {
	for _, f := range []struct{ name, value string }{
		{"Date", m.Date.Format("Mon, 2 Jan 2006 15:04:05 -0700")},
		{"Message-ID", "<" + m.MessageID + ">"},
		{"From", formatAddress(m.From)},
	} {
		if strings.TrimSpace(strings.Join(h.Values(f.name), "")) != "" {
			continue
		}
		h.Delete(f.name)
		h.Add(f.name, f.value)
		added = append(added, f.name)
	}
	return added
}

// formatAddress is net/mail's, except that a bare address stands without angle brackets, as people write it, and that
// an address which has its quotes already gets no second pair.
func formatAddress(a mail.Address) string {
	if a.Name == "" {
		return a.Address
	}
	name := (&mail.Address{Name: a.Name, Address: "a@b"}).String()
	return strings.TrimSuffix(name, "<a@b>") + "<" + a.Address + ">"
}

// Addressees are the recipients that the header section names, for `sendmail -t`. Where a message is sent again, its
// Resent fields say to whom and the others are history (RFC 5322 §3.6.6).
func (h *Header) Addressees() []string {
	if again := h.addresses("Resent-To", "Resent-Cc", "Resent-Bcc"); len(again) > 0 {
		return again
	}
	return h.addresses("To", "Cc", "Bcc")
}

func (h *Header) addresses(fields ...string) (list []string) {
	for _, name := range fields {
		for _, value := range h.Values(name) {
			for _, a := range AddressList(value) {
				list = append(list, a.Address)
			}
		}
	}
	return list
}

// Author is the first address of the From field, "" when there is none.
func (h *Header) Author() string {
	for _, value := range h.Values("From") {
		for _, a := range readAuthors(value) {
			if a.Address != "" {
				return a.Address
			}
		}
	}
	return ""
}

// Received is the trace field of a message that was handed over on this machine (RFC 5321 §4.4). It has no `with`:
// IANA's registry of mail transmission types names wire protocols only ("with local", which one meets, is not in it),
// and none was spoken. It has no `from` and no user name either, since there is no client host and the user's name is
// nobody's business; who it was stands in the spool's own trace.
func Received(hostname, id string, now time.Time) []byte {
	return fmt.Appendf(nil, "Received: by %s (mailbearer, local) id %s;\r\n\t%s\r\n",
		hostname, id, now.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
}

// Expand makes addresses of recipients: a name without a domain becomes what the aliases say (case ignored; "*" stands
// for all others), and without an alias the domain is added. Nobody gets a message twice.
func Expand(recipients []string, aliases map[string][]string, domain string) []string {
	var list []string
	seen := map[string]bool{}
	for _, r := range recipients {
		for _, address := range expandOne(r, aliases, domain) {
			if key := strings.ToLower(address); !seen[key] {
				seen[key] = true
				list = append(list, address)
			}
		}
	}
	return list
}

func expandOne(recipient string, aliases map[string][]string, domain string) []string {
	local, _, ok := cutAddress(recipient)
	if ok {
		return []string{recipient}
	}
	for _, name := range []string{strings.ToLower(local), "*"} {
		if to := aliases[name]; len(to) > 0 {
			return to
		}
	}
	return []string{recipient + "@" + domain}
}

// EnvelopeID writes an ENVID as RFC 3461 §4.4 has it on the wire.
func EnvelopeID(s string) (string, error) {
	if len(s) > 100 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("an envelope id has at most 100 printable ASCII characters")
	}
	return xtext(s), nil
}

// mboxLine is how a message in a mailbox file begins; it is the file's and not the message's.
var mboxLine = []byte("From ")

// isMboxLine knows it from a header field, which has its colon before the first blank.
func isMboxLine(line []byte) bool { return bytes.HasPrefix(line, mboxLine) }
