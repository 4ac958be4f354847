package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/emersion/go-message/textproto"
	"github.com/mailbearer/mailbearer/mail"
)

// status is the part for programs, RFC 3464 §2: a group of fields about the message, and one about each recipient.
// It is plain ASCII and 7bit, as it must be; message/global-delivery-status (RFC 6533 §4.1), which few programs know, could
// say nothing more.
func status(in Input, k kind) part {
	groups := []string{group(messageFields(in))}
	for _, r := range in.Recipients {
		groups = append(groups, group(recipientFields(in, k, r)))
	}
	return part{
		kind: "message/delivery-status", encoding: "7bit", title: "Delivery report",
		body: []byte(strings.Join(groups, "\r\n")),
	}
}

// group writes fields, long ones folded, and leaves out those that have no value.
func group(fields []field) string {
	var h textproto.Header
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].value != "" {
			h.Add(fields[i].name, fields[i].value)
		}
	}
	var b bytes.Buffer
	_ = textproto.WriteHeader(&b, h) // cannot fail: the values passed through ascii, and a Buffer takes everything
	return strings.TrimSuffix(b.String(), "\r\n")
}

// messageFields is RFC 3464 §2.2.
func messageFields(in Input) []field {
	return []field{
		{"Original-Envelope-Id", decodeXtext(in.Envelope.EnvelopeID)}, // RFC 3461 §6.3(a): without its xtext
		{"Reporting-MTA", mtaName(in.Hostname)},
		{"X-Mailbearer-ID", in.Envelope.ID.String()},
		{"Arrival-Date", date(in.Envelope.Received)},
	}
}

// recipientFields is RFC 3464 §2.3.
func recipientFields(in Input, k kind, r Recipient) []field {
	to := in.Envelope.Recipients[r.Index]
	fields := []field{
		{"Original-Recipient", originalRecipient(to.Original)},
		{"Final-Recipient", typedAddress(to.Address)},
		{"Action", k.action},
		{"Status", statusCode(k, r)},
	}
	if isHostname(in.Remote) {
		fields = append(fields, field{"Remote-MTA", mtaName(in.Remote)})
	}
	fields = append(fields, field{"Diagnostic-Code", diagnostic(r.Outcome.Reply)})
	if !in.Attempted.IsZero() {
		fields = append(fields, field{"Last-Attempt-Date", date(in.Attempted)})
	}
	if in.Kind == mail.KindDelay && !in.Until.IsZero() {
		fields = append(fields, field{"Will-Retry-Until", date(in.Until)}) // RFC 3464 §2.3.9: of a delay only
	}
	return fields
}

// mtaName types a host name, RFC 3461 §6.3(b): "dns" is for those that can be in the DNS, and for address literals.
func mtaName(host string) string {
	if strings.ContainsAny(host, ".[") {
		return "dns; " + host
	}
	return "x-local-hostname; " + host
}

// typedAddress writes an address with its type. One word that outgrows a line would be folded in its middle, hence
// the limit.
func typedAddress(s string) string {
	if isASCII(s) {
		return "rfc822; " + cut(ascii(s), maxField)
	}
	return "utf-8; " + cut(ascii(unitext.Replace(line(s))), maxField)
}

// unitext is what RFC 6533 §3 does not leave as it is in the ASCII form of an address, besides what ascii escapes.
var unitext = strings.NewReplacer(" ", `\x{20}`, `\`, `\x{5C}`, "+", `\x{2B}`, "=", `\x{3D}`)

// originalRecipient gives ORCPT back as the client meant it: xtext is for the wire (RFC 3461 §4.2), the form of
// RFC 6533 §3 for utf-8 stays.
func originalRecipient(s string) string {
	kind, value, found := strings.Cut(s, ";")
	switch {
	case !found || !atom.MatchString(kind):
		return ""
	case strings.EqualFold(kind, "utf-8"):
		return "utf-8; " + cut(ascii(value), maxField)
	}
	return kind + "; " + decodeXtext(value)
}

// atom is an address type, RFC 3464 §2.1.2.
var atom = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// decodeXtext takes RFC 3461 §4 off. What it hid stays hidden if it is not printable: "+0D+0A" is no line end here.
func decodeXtext(s string) string {
	plain := xtext.ReplaceAllStringFunc(s, func(hex string) string {
		c, err := strconv.ParseUint(hex[1:], 16, 8)
		if err != nil || c < ' ' || c > '~' {
			return hex
		}
		return string(rune(c))
	})
	return cut(ascii(plain), maxField)
}

var xtext = regexp.MustCompile(`\+[0-9A-F]{2}`)

// statusCode is RFC 3463, without leading zeros (RFC 3464 §2.3.4). The server's own code is taken if it agrees with what became of the recipient; a refusal
// that is tried again is no 5.y.z here, and what was given up on is X.4.7, delivery time expired.
func statusCode(k kind, r Recipient) string {
	code := r.Outcome.Reply.Enhanced
	switch {
	case k.class == '5' && expired(r):
		return "4.4.7"
	case enhanced.MatchString(code) && code[0] == k.class:
		return code
	}
	return fmt.Sprintf("%c.0.0", k.class)
}

var enhanced = regexp.MustCompile(`^[245](\.(0|[1-9][0-9]{0,2})){2}$`)

// expired says whether a recipient was given up on: a temporary reply cannot have been the end otherwise.
func expired(r Recipient) bool {
	return r.Expired || r.Outcome.Reply.Code >= 400 && r.Outcome.Reply.Code < 500
}

// diagnostic is RFC 3464 §2.3.6: the reply verbatim. What came without a reply code (Graph, a token endpoint, a broken
// connection) is not SMTP and is not called so.
func diagnostic(r mail.Reply) string {
	said := cut(breakable(ascii(r.String())), maxDiagnostic)
	switch {
	case said == "":
		return ""
	case r.Code == 0:
		return "X-Mailbearer; " + said
	}
	return "smtp; " + said
}

// breakable breaks words that no line holds. go-message would, and then a part of one can stand at the beginning of a
// line, where a field begins.
func breakable(s string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(s) {
		for len(word) > maxField {
			b.WriteString(" " + word[:maxField])
			word = word[maxField:]
		}
		b.WriteString(" " + word)
	}
	return strings.TrimPrefix(b.String(), " ")
}

// maxField is the longest single word in a field, so that it fits a line of 998 with its name; maxDiagnostic bounds a
// whole reply, which is folded between its words.
const (
	maxField      = 900
	maxDiagnostic = 4000
)
