package report

import (
	"bytes"
	"fmt"
	"io"
	netmail "net/mail"
	"time"

	"github.com/emersion/go-message"
	"github.com/mailbearer/mailbearer/mail"
)

// Input is all that a report is made of.
type Input struct {
	ID       mail.ID // of the report itself; its Message-ID and boundary come from it
	Kind     mail.Kind
	Now      time.Time
	Hostname string // of this relay
	Mailbox  string // of the account: the report's sender

	Envelope   *mail.Envelope // of the message it is about
	Recipients []Recipient    // those it tells about: one or more
	Remote     string         // host name of the provider's server; "" when none was reached
	Attempted  time.Time      // the last attempt; zero leaves it out
	Until      time.Time      // of a delay: when the message is given up

	Original    io.Reader // the message it is about, from its beginning; nil when it is gone
	MaxOriginal int64     // octets; a longer one is never returned in full. 0 is DefaultMaxOriginal
}

// Recipient is one recipient that a report tells about.
type Recipient struct {
	Index   int          // into Envelope.Recipients
	Outcome mail.Outcome // what became of it
	Expired bool         // of a failure: not refused, but given up on
}

// DefaultMaxOriginal keeps reports, which are made in memory, below what any provider takes.
const DefaultMaxOriginal = 5 << 20

// Message writes a report (RFC 3464) and the envelope that it is put into the spool with. It fails when sender or
// mailbox cannot stand in a header, when nobody is to be told about, and when the original cannot be read.
func Message(in Input) (*mail.Envelope, []byte, error) {
	h, ok := kinds[in.Kind]
	if !ok || len(in.Recipients) == 0 {
		return nil, nil, fmt.Errorf("there is no report of kind %q about %d recipients", in.Kind, len(in.Recipients))
	}
	from, to, err := correspondents(in)
	if err != nil {
		return nil, nil, err
	}
	in.Hostname = hostname(in.Hostname)
	o, err := readOriginal(in)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the message that a report is about: %w", err)
	}
	parts := []part{human(words(in, o, h)), status(in, h)}
	if in.Original != nil {
		parts = append(parts, o.part())
	}
	text, err := assemble(header(in, o, h, from, to), boundary(in.ID, parts), parts)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot write a report: %w", err)
	}
	return envelope(in, text, !isASCII(in.Mailbox+in.Envelope.Sender)), text, nil
}

// correspondents are the report's From and To.
func correspondents(in Input) (from, to *netmail.Address, err error) {
	if from, err = address(in.Mailbox); err != nil {
		return nil, nil, err
	}
	from.Name = "mailbearer on " + hostname(in.Hostname)
	to, err = address(in.Envelope.Sender)
	return from, to, err
}

// envelope is what the report is carried by. Its sender should be the null sender (RFC 3461 §6.1), which providers do
// not take from a mailbox; so NOTIFY=NEVER keeps others from reporting on it, and Kind and About keep us.
func envelope(in Input, text []byte, utf8 bool) *mail.Envelope {
	return &mail.Envelope{
		ID: in.ID, Account: in.Envelope.Account, Sender: in.Mailbox,
		Recipients: []mail.Recipient{{Address: in.Envelope.Sender, State: mail.Pending, Notify: []string{"NEVER"}}},
		Size:       int64(len(text)), Received: in.Now, Client: mail.Client{Address: mail.LocalClient},
		EightBit: !isASCII(text), SMTPUTF8: utf8, About: in.Envelope.ID, Kind: in.Kind,
	}
}

// field is one field of a header.
type field struct{ name, value string }

// header is the report's own, in the order it is read in.
func header(in Input, o original, k kind, from, to *netmail.Address) []field {
	subject := k.subject
	if o.subject != "" {
		subject += ": " + o.subject
	}
	fields := []field{
		{"Date", date(in.Now)},
		{"From", from.String()},
		{"To", to.String()},
		{"Subject", words2047(cut(subject, maxSubject))},
		{"Message-ID", fmt.Sprintf("<%s.report@%s>", in.ID, in.Hostname)},
		{"Auto-Submitted", "auto-replied"},  // RFC 3834 §5.1: no vacation message comes back
		{"X-Auto-Response-Suppress", "All"}, // the same, for Exchange
		{"X-Mailbearer-ID", in.ID.String()}, // where the log knows it
		{"MIME-Version", "1.0"},
	}
	if o.messageID != "" {
		fields = append(fields, field{"In-Reply-To", o.messageID}, field{"References", o.messageID})
	}
	return fields
}

// maxSubject is the longest subject a report has, before it is encoded.
const maxSubject = 200

// date is RFC 5322 §3.3. Times are in UTC, since a relay's own zone says nothing about its readers'.
func date(t time.Time) string { return t.UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// words2047 encodes what is not ASCII in a text field, RFC 2047. SetText does it, and is part of a header.
func words2047(s string) string {
	var h message.Header
	h.SetText("Subject", line(s))
	return h.Get("Subject")
}

// part is one part of a report.
type part struct {
	kind     string            // media type
	params   map[string]string // of the media type
	encoding string            // Content-Transfer-Encoding
	title    string            // Content-Description
	body     []byte            // lines end with CRLF
}

func (p part) header() message.Header {
	var h message.Header
	h.Set("Content-Transfer-Encoding", p.encoding)
	h.Set("Content-Description", p.title)
	h.SetContentType(p.kind, p.params) // Set puts a field on top
	return h
}

// boundary returns one that no part contains. "=_" cannot come out of quoted-printable; the id is new, so an original
// can only contain it by a chance that the loop takes care of.
func boundary(id mail.ID, parts []part) string {
	b := "=_mailbearer_" + id.String()
	for n := 0; ; n++ {
		try := b
		if n > 0 {
			try = fmt.Sprintf("%s_%d", b, n)
		}
		taken := false
		for _, p := range parts {
			taken = taken || bytes.Contains(p.body, []byte("--"+try))
		}
		if !taken {
			return try
		}
	}
}

// assemble writes header and parts as a multipart/report, RFC 6522 §3.
func assemble(fields []field, boundary string, parts []part) ([]byte, error) {
	var h message.Header
	h.SetContentType("multipart/report", map[string]string{"report-type": "delivery-status", "boundary": boundary})
	for i := len(fields) - 1; i >= 0; i-- {
		h.Add(fields[i].name, fields[i].value) // Add puts a field on top
	}
	var text bytes.Buffer
	w, err := message.CreateWriter(&text, h)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		pw, err := w.CreatePart(p.header())
		if err != nil {
			return nil, err
		}
		if _, err := pw.Write(p.body); err != nil {
			return nil, err
		}
		if err := pw.Close(); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
