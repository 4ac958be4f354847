package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/mailbearer/mailbearer/mail"
)

// AlertMail is what the e-mail of an alert is made of.
type AlertMail struct {
	ID       mail.ID // of the e-mail; its Message-ID comes from it
	Now      time.Time
	Hostname string   // of this relay
	Account  string   // that sends it
	Mailbox  string   // of that account
	To       []string // at least one
	Subject  string
	Body     []byte // plain words
}

// FormatAlertMail writes the e-mail and the envelope that it is put into the spool with. It fails when an address
// cannot stand in a header.
func FormatAlertMail(m AlertMail) (*mail.Envelope, []byte, error) {
	if len(m.To) == 0 {
		return nil, nil, errors.New("an alert has nobody to go to")
	}
	host := hostname(m.Hostname)
	from, err := address(m.Mailbox)
	if err != nil {
		return nil, nil, err
	}
	from.Name = "mailbearer on " + host
	env := &mail.Envelope{
		ID: m.ID, Account: m.Account, Sender: m.Mailbox, Received: m.Now,
		Client: mail.Client{Address: mail.LocalClient}, SMTPUTF8: !isASCII(m.Mailbox), Kind: mail.KindAlert,
	}
	var to []string
	for _, s := range m.To {
		a, err := address(s)
		if err != nil {
			return nil, nil, err
		}
		to = append(to, a.String())
		env.SMTPUTF8 = env.SMTPUTF8 || !isASCII(s)
		env.Recipients = append(env.Recipients, mail.Recipient{Address: s, State: mail.Pending, Notify: []string{"NEVER"}})
	}
	text, err := writeText([]field{
		{"Date", date(m.Now)},
		{"From", from.String()},
		{"To", strings.Join(to, ", ")},
		{"Subject", words2047(cut(line(m.Subject), maxSubject))},
		{"Message-ID", fmt.Sprintf("<%s.alert@%s>", m.ID, host)},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834 §5.1
		{"X-Auto-Response-Suppress", "All"},
		{"X-Mailbearer-ID", m.ID.String()},
		{"MIME-Version", "1.0"},
	}, human(lines(string(m.Body))))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot write an alert: %w", err)
	}
	env.Size, env.EightBit = int64(len(text)), !isASCII(text)
	return env, text, nil
}

// writeText writes a message of one part.
func writeText(fields []field, p part) ([]byte, error) {
	h := p.header()
	h.Del("Content-Description")
	for i := len(fields) - 1; i >= 0; i-- {
		h.Add(fields[i].name, fields[i].value) // Add puts a field on top
	}
	var text bytes.Buffer
	w, err := message.CreateWriter(&text, h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(p.body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// lines cleans each line of a text and keeps its line ends and indents.
func lines(s string) string {
	var b strings.Builder
	for l := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		indent := len(l) - len(strings.TrimLeft(l, " "))
		b.WriteString(strings.TrimRight(l[:indent]+line(l), " ") + "\n")
	}
	return b.String()
}

// alertText is subject and body of one e-mail: about one alert, or a digest of several.
func alertText(host string, list []telling, dropped int) (subject, body string) {
	var b strings.Builder
	subject = fmt.Sprintf("[mailbearer %s] ", hostname(host))
	if len(list) == 1 {
		subject += line(list[0].Title) + often(list[0])
		b.WriteString(alertWords(list[0]))
	} else {
		n := len(list) + dropped
		subject += fmt.Sprintf("%d alerts", n)
		fmt.Fprintf(&b, "%d alerts that could not go out one by one:\n", n)
		for _, t := range list {
			fmt.Fprintf(&b, "\n-- %s%s\n\n%s", line(t.Title), often(t), alertWords(t))
		}
	}
	if dropped > 0 {
		fmt.Fprintf(&b, "\n%d more alerts are not listed here; the log has what they were about.\n", dropped)
	}
	fmt.Fprintf(&b, "\nNow: mailbearer status\nYou get this because [alerts] email names you in the configuration of %s.\n", hostname(host))
	return cut(subject, maxSubject), b.String()
}

// often says how many times an alert came, if that is not once.
func often(t telling) string {
	if t.Count <= 1 || t.Kind == AlertWell {
		return ""
	}
	return fmt.Sprintf(" (%d times)", t.Count)
}

// alertWords says in plain words what happened and what to do.
func alertWords(t telling) string {
	var b strings.Builder
	for _, e := range [][2]string{{"What happened:", t.Text}, {"What to do:", t.Fix}} {
		if e[1] != "" {
			fmt.Fprintf(&b, "%s\n%s\n", e[0], wrap(cut(e[1], maxDiagnostic), "    "))
		}
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	row("Account", line(t.Account))
	row("When", when(t))
	row("Messages", idWords(t.IDs))
	return b.String()
}

// when says when an alert came, and of trouble that ended or repeated, from when to when.
func when(t telling) string {
	const layout = "2006-01-02 15:04:05 UTC"
	first, last := t.First.UTC().Format(layout), t.Last.UTC().Format(layout)
	switch {
	case t.Kind == AlertWell:
		return fmt.Sprintf("%s, after %s", last, t.Last.Sub(t.First).Round(time.Second))
	case t.Count > 1:
		return fmt.Sprintf("%d times since it was last told, first %s, last %s", t.Count, first, last)
	}
	return last
}

func idWords(ids []mail.ID) string {
	var list []string
	for _, id := range ids {
		list = append(list, id.String())
	}
	return strings.Join(list, " ")
}
