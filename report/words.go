package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// kind is how the reports of one kind differ from those of another.
type kind struct {
	subject string
	action  string // RFC 3464 §2.3.3
	class   byte   // first digit of the status, RFC 3463 §3.1
	about   string // what comes before the recipients
	then    func(in Input) string
}

// kinds has no "delivered": we hand on to a provider and never to a mailbox, and RFC 3464 §2.3.3 calls that relayed.
var kinds = map[mail.Kind]kind{
	mail.KindFailure: {
		"Not delivered", "failed", '5', "could not be delivered to",
		func(in Input) string {
			return "It will not be tried again by itself. Whoever runs the relay can have it tried again with: mailbearer queue retry " + in.Envelope.ID.String()
		},
	},
	mail.KindDelay: {
		"Not delivered yet", "delayed", '4', "has not been delivered yet to",
		func(in Input) string {
			if in.Until.IsZero() {
				return "You need not do anything, and need not send it again. It will be tried again, and you will be told if that does not help."
			}
			return "You need not do anything, and need not send it again. It will be tried until " + date(in.Until) + ", and you will be told if that does not help."
		},
	},
	mail.KindSuccess: {
		"Handed on", "relayed", '2', "was handed on to the provider for",
		func(Input) string {
			return "You asked to be told. The provider does not say when it reaches the mailbox, so no further report will come unless delivery fails."
		},
	},
}

// words is the part for people.
func words(in Input, o original, k kind) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is mailbearer, the mail relay on %s.\n\n", in.Hostname)
	fmt.Fprintf(&b, "A message from %s %s:\n", line(in.Envelope.Sender), k.about)
	for _, same := range alike(in.Recipients) {
		b.WriteString("\n")
		for _, r := range same {
			fmt.Fprintf(&b, "    %s\n", line(in.Envelope.Recipients[r.Index].Address))
		}
		b.WriteString(explain(in.Kind, same[0]))
	}
	if others := len(in.Envelope.Recipients) - len(in.Recipients); others > 0 {
		fmt.Fprintf(&b, "\nThis says nothing about its other recipients (%d).\n", others)
	}
	fmt.Fprintf(&b, "\n%s\n%s", wrap(k.then(in), ""), particulars(in, o))
	return b.String()
}

// alike groups recipients with the same outcome, in the order they come: five hundred that failed for one reason get
// one explanation.
func alike(recipients []Recipient) [][]Recipient {
	var groups [][]Recipient
	row := make(map[Recipient]int)
	for _, r := range recipients {
		key := r
		key.Index = 0
		i, ok := row[key]
		if !ok {
			i = len(groups)
			row[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// explain says what became of recipients: the provider's words on a line of their own, not broken, so that they can
// be copied and looked up; then ours.
func explain(k mail.Kind, r Recipient) string {
	var b strings.Builder
	if k == mail.KindFailure && expired(r) {
		b.WriteString("\n    It was not refused, but given up on: it could not be delivered in time.\n")
	}
	if said := line(r.Outcome.Reply.String()); said != "" {
		fmt.Fprintf(&b, "\n    The provider said:\n        %s\n", cut(said, maxDiagnostic))
	}
	fix := "What to do:"
	if k == mail.KindDelay {
		fix = "What whoever runs the relay can do:" // the sender is told that nothing need be done
	}
	for _, e := range [][2]string{{"What it means:", r.Outcome.Cause}, {fix, r.Outcome.Fix}} {
		if e[1] != "" && k != mail.KindSuccess {
			fmt.Fprintf(&b, "\n    %s\n%s", e[0], wrap(e[1], "        "))
		}
	}
	return b.String()
}

// particulars is what an administrator asks for first.
func particulars(in Input, o original) string {
	var b strings.Builder
	b.WriteString("About the message:\n\n")
	row := func(name, value string) {
		if value = line(value); value != "" {
			fmt.Fprintf(&b, "    %-10s %s\n", name+":", cut(value, maxField))
		}
	}
	row("Queue id", in.Envelope.ID.String())
	row("Subject", o.subject)
	row("Received", date(in.Envelope.Received)+from(in.Envelope.Client))
	row("Account", in.Envelope.Account)
	fmt.Fprintf(&b, "\nIts whole history: mailbearer queue show %s\n", in.Envelope.ID)
	switch {
	case in.Original == nil:
	case o.full:
		b.WriteString("The message is attached.\n")
	default:
		b.WriteString("The header of the message is attached.\n")
	}
	return b.String()
}

// from says which device a message came from.
func from(c mail.Client) string {
	var parts []string
	if c.Address != "" {
		parts = append(parts, " from "+c.Address)
	}
	if c.Name != "" {
		parts = append(parts, " as "+c.Name)
	}
	if c.User != "" {
		parts = append(parts, " by user "+c.User)
	}
	return strings.Join(parts, "")
}

// wrap breaks our own prose into lines of at most 72 octets, its line ends kept.
func wrap(s, indent string) string {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(s, "\n") {
		at := 0
		for word := range strings.FieldsSeq(line(paragraph)) {
			switch {
			case at == 0:
				b.WriteString(indent)
				at = len(indent)
			case at+1+len(word) > 72:
				b.WriteString("\n" + indent)
				at = len(indent)
			default:
				b.WriteString(" ")
				at++
			}
			b.WriteString(word)
			at += len(word)
		}
		if at > 0 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// human makes a part of text for people; quoted-printable only where plain text does not do.
func human(text string) part {
	p := part{
		kind: "text/plain", params: map[string]string{"charset": "utf-8"}, encoding: "7bit", title: "What happened",
		body: crlf([]byte(text)),
	}
	if long := func(l string) bool { return len(l) > 900 }; !isASCII(text) || slices.ContainsFunc(strings.Split(text, "\n"), long) {
		p.encoding = "quoted-printable"
	}
	return p
}
