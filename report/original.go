package report

import (
	"bytes"
	"io"
	"mime"
	"regexp"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// original is what a report knows of the message it is about.
type original struct {
	text      []byte // what is returned, with CRLF
	full      bool   // text is the whole message, not only its header
	utf8      bool   // it was accepted as SMTPUTF8
	messageID string // with its brackets; "" when there is none that can be used
	subject   string // decoded, on one line
}

// maxHeader is how much of a header is returned.
const maxHeader = 64 << 10

// readOriginal reads what is to be returned, and never more than it may. Without RET=FULL that is the header, as
// RFC 3461 §4.3 lets us choose; a report that conveys no failure never returns more, RFC 3461 §6.2.
func readOriginal(in Input) (original, error) {
	if in.Original == nil {
		return original{}, nil
	}
	limit := int64(maxHeader)
	full := strings.EqualFold(in.Envelope.Return, "FULL") && in.Kind == mail.KindFailure
	if full {
		limit = max(limit, in.maxOriginal())
	}
	text, err := io.ReadAll(io.LimitReader(in.Original, limit+1))
	if err != nil {
		return original{}, err
	}
	full = full && int64(len(text)) <= in.maxOriginal() && travels(text)
	text = crlf(text)
	head := headerOf(text)
	o := original{text: head, utf8: in.Envelope.SMTPUTF8}
	if full {
		o.text, o.full = text, true
	}
	o.messageID = usableID(value(head, "Message-ID"))
	o.subject = line(decode2047(value(head, "Subject")))
	return o, nil
}

func (in Input) maxOriginal() int64 {
	if in.MaxOriginal == 0 {
		return DefaultMaxOriginal
	}
	return in.MaxOriginal
}

// part is the third part of a report. A message may only be encoded as it is (RFC 2046 §5.2.1); its header alone
// may be encoded like any text (RFC 6522 §4), so old devices' 8-bit and overlong headers are no trouble.
func (o original) part() part {
	if !o.full {
		p := part{kind: "text/rfc822-headers", encoding: "7bit", title: "Header of the message", body: o.text}
		if !isASCII(o.text) || !travels(o.text) {
			p.encoding, p.params = "quoted-printable", map[string]string{"charset": "utf-8"}
		}
		return p
	}
	p := part{kind: "message/rfc822", encoding: "7bit", title: "The message", body: o.text}
	if !isASCII(o.text) {
		p.encoding = "8bit"
		if o.utf8 {
			p.kind = "message/global" // RFC 6533 §4.2
		}
	}
	return p
}

// travels says whether a text fits 7bit or 8bit, RFC 2045 §2.8: no NUL, no line over 998 octets. What does not is not
// returned in full, since breaking its lines would make another message of it.
func travels(text []byte) bool {
	for l := range bytes.Lines(text) {
		if len(bytes.TrimRight(l, "\r\n")) > 998 || bytes.IndexByte(l, 0) >= 0 {
			return false
		}
	}
	return true
}

// crlf ends every line with CRLF, a bare CR's or LF's too. The spool holds none; a report never does.
func crlf(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// headerOf returns the header without the empty line after it, cut at the end of a line where it is too long.
func headerOf(text []byte) []byte {
	if bytes.HasPrefix(text, []byte("\r\n")) {
		return nil
	}
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end >= 0 {
		text = text[:end+2]
	}
	if len(text) <= maxHeader {
		return text
	}
	text = text[:maxHeader]
	return text[:bytes.LastIndexByte(text, '\n')+1]
}

// value returns the first field of that name, unfolded. It reads what no strict parser would: old devices' headers.
func value(header []byte, name string) string {
	var found []byte
	for l := range bytes.Lines(header) {
		folded := l[0] == ' ' || l[0] == '\t'
		if found != nil && !folded {
			break
		}
		if found != nil {
			found = append(found, l...)
			continue
		}
		if k, v, ok := bytes.Cut(l, []byte(":")); ok && !folded && strings.EqualFold(string(bytes.TrimRight(k, " \t")), name) {
			found = append([]byte(" "), v...)
		}
	}
	return line(string(found))
}

// usableID lets only a plain Message-ID through, RFC 5322 §3.6.4.
func usableID(s string) string {
	if len(s) > 900 || !messageID.MatchString(s) {
		return ""
	}
	return s
}

var messageID = regexp.MustCompile(`^<[!-;=?-~]+>$`)

// decode2047 shows a subject as people see it; one in a charset unknown here stays encoded.
func decode2047(s string) string {
	var d mime.WordDecoder
	if plain, err := d.DecodeHeader(s); err == nil {
		return plain
	}
	return s
}
