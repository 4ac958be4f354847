package relay

import (
	"bytes"
	"mime"
	"strings"
)

// entity is a message or a body part (RFC 2045 §2.4).
type entity struct {
	number   int  // in the order in which their headers come; the message itself is 0
	message  bool // it has the header of a message, not of a body part
	shape    shape
	boundary string // of a multipart, until its closing delimiter
	digest   bool   // its parts are messages unless they say otherwise (RFC 2046 §5.1.5)
	frozen   bool   // signed or encrypted, itself or something around it
	header   *Header
}

type shape int

const (
	leaf     shape = iota // a text, a picture: what can be encoded
	several               // parts between delimiters
	enclosed              // a message within the message
	opaque                // what is not taken apart, for whatever reason
)

// Limits of what is taken apart. Beyond them a part is opaque.
const (
	depthLimit      = 20
	partHeaderLimit = 64 << 10
)

// parts takes the text of a message apart into its entities, line by line, as RFC 2046 §5.1.1 has it: a delimiter is a
// whole line, and the CRLF in front of it is the delimiter's. It keeps nothing but the header section that it reads and
// what is open around it. The tellers do not have to agree with every receiver that reads broken messages its own way:
// where they might not, doubt is set, and then nothing is to be changed.
type parts struct {
	see    tellers
	open   []entity // outermost first; the octets belong to the last
	header []byte   // a header section that is not complete yet
	inHead bool
	count  int
	doubt  bool
}

// tellers are told, in order, everything that the text holds: each octet once.
type tellers interface {
	begins(e *entity, section []byte) error          // a complete header section, its empty line included
	content(e *entity, line []byte, ends bool) error // a line of an entity, or a piece of a long one
	ended(e *entity) error                           // all of its content was told
	between(line []byte, ends bool) error            // delimiters, and what nobody reads
}

// begin takes the header section of the message itself.
func (p *parts) begin(section []byte) (body []byte, err error) {
	h := ParseHeader(section)
	body = bytes.Clone(h.rest[len(crlf):])
	h.rest = crlf
	return body, p.enter(h, section[:len(section)-len(body)], true)
}

// enter begins an entity whose header is complete.
func (p *parts) enter(h *Header, section []byte, message bool) error {
	e := entity{number: p.count, message: message, header: h, frozen: signed(h)}
	digest := false
	if n := len(p.open); n > 0 {
		e.frozen = e.frozen || p.open[n-1].frozen
		digest = p.open[n-1].digest
	}
	p.count++
	e.classify(digest)
	if len(p.open) >= depthLimit {
		e.shape = opaque
	}
	if kind := mediaType(h, ""); kind == "application/pgp-signature" || strings.HasSuffix(kind, "pkcs7-signature") {
		p.doubt = p.doubt || !e.frozen // it signs something beside it
	}
	p.open = append(p.open, e)
	p.inHead = e.shape == enclosed
	return p.see.begins(p.last(), section)
}

// mediaType is the type that a header names; RFC 2045 §5.2 says what it is when it names none.
func mediaType(h *Header, standard string) string {
	value := strings.Join(h.Values("Content-Type"), "")
	kind, _, _ := strings.Cut(strings.ToLower(value), ";")
	if kind = strings.TrimSpace(kind); !strings.Contains(kind, "/") {
		return standard
	}
	return kind
}

// classify decides what an entity is.
func (e *entity) classify(digest bool) {
	standard := "text/plain"
	if digest {
		standard = "message/rfc822"
	}
	kinds, encodings := e.header.Values("Content-Type"), e.header.Values("Content-Transfer-Encoding")
	kind := mediaType(e.header, standard)
	switch {
	case len(kinds) > 1 || len(encodings) > 1 || !plainEncoding(encodings):
		e.shape = opaque
	case strings.HasPrefix(kind, "multipart/"):
		if e.boundary = boundaryOf(kinds[0]); e.boundary == "" {
			e.shape = opaque
			break
		}
		e.shape, e.digest = several, kind == "multipart/digest"
	case kind == "message/rfc822":
		e.shape = enclosed
	case strings.HasPrefix(kind, "message/"):
		e.shape = opaque // RFC 2046 §5.2: most of them may not be encoded
	}
}

// plainEncoding says whether a text is what it is transported as. DATA carries lines and no binary (RFC 3030 §3), so
// what calls itself that is 8bit by the time it is here.
func plainEncoding(encodings []string) bool {
	if len(encodings) == 0 {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(encodings[0])) {
	case "7bit", "8bit", "binary":
		return true
	}
	return false
}

// boundaryOf is the delimiter of a multipart; old software writes one without the quotes that it needs.
func boundaryOf(contentType string) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		return strings.TrimRight(params["boundary"], " \t")
	}
	for param := range strings.SplitSeq(contentType, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if value = strings.TrimSpace(value); strings.EqualFold(strings.TrimSpace(name), "boundary") && !strings.ContainsAny(value, "\"( \t") {
			return value
		}
	}
	return ""
}

func (p *parts) last() *entity { return &p.open[len(p.open)-1] }

// take takes the next line, or the next piece of one; what begins a line has pieceSize octets or all of it.
func (p *parts) take(line []byte, begins, ends bool) error {
	if begins && bytes.HasPrefix(line, []byte("--")) {
		if depth, closing, ok := p.delimiter(line, ends); ok {
			return p.cross(line, depth, closing)
		}
	}
	switch e := p.last(); {
	case p.inHead:
		return p.headerLine(line, begins)
	case e.shape == several:
		return p.see.between(line, ends)
	default:
		return p.see.content(e, line, ends)
	}
}

// delimiter finds the multipart that a line delimits.
func (p *parts) delimiter(line []byte, whole bool) (depth int, closing, ok bool) {
	text, exact, like := string(bytes.TrimRight(line, " \t\r\n")), 0, 0
	for i, e := range p.open {
		if e.boundary == "" || !strings.HasPrefix(text, "--"+e.boundary) {
			continue
		}
		like++
		switch rest := text[len("--"+e.boundary):]; {
		case !whole:
		case rest == "" || rest == "--":
			depth, closing = i, rest != ""
			exact++
		}
	}
	// RFC 2046 §5.1.1 lets receivers compare the beginnings of lines only.
	p.doubt = p.doubt || exact > 1 || like > 0 && exact == 0
	return depth, closing, exact > 0
}

// cross ends what a delimiter ends.
func (p *parts) cross(line []byte, depth int, closing bool) error {
	if p.inHead { // a header section without an end
		p.doubt = true
		if err := p.spill(); err != nil {
			return err
		}
	}
	if err := p.leave(depth + 1); err != nil {
		return err
	}
	if closing {
		p.last().boundary = ""
	}
	p.inHead = !closing
	return p.see.between(line, true)
}

// leave ends the entities from a depth on.
func (p *parts) leave(depth int) error {
	for len(p.open) > depth {
		if err := p.see.ended(p.last()); err != nil {
			return err
		}
		p.open = p.open[:len(p.open)-1]
	}
	return nil
}

// headerLine takes a line of the header section of a part or of an enclosed message.
func (p *parts) headerLine(line []byte, begins bool) error {
	p.header = append(p.header, line...)
	switch {
	case begins && bytes.Equal(line, crlf):
		section := p.header
		h := ParseHeader(section)
		if len(h.rest) > len(crlf) {
			return p.spill() // lines that are no fields; receivers read them in ways of their own
		}
		p.header, p.inHead = nil, false
		return p.enter(h, section, p.last().shape == enclosed)
	case len(p.header) > partHeaderLimit:
		return p.spill()
	}
	return nil
}

// spill makes an opaque entity of one whose header section is none.
func (p *parts) spill() error {
	held := p.header
	p.header, p.inHead = nil, false
	p.open = append(p.open, entity{number: p.count, shape: opaque, frozen: true, header: &Header{}})
	p.count++
	if err := p.see.begins(p.last(), nil); err != nil {
		return err
	}
	for len(held) > 0 {
		line := firstLine(held)
		if err := p.see.content(p.last(), line, bytes.HasSuffix(line, crlf)); err != nil {
			return err
		}
		held = held[len(line):]
	}
	return nil
}

// end ends what is open when the message ends.
func (p *parts) end() error {
	if p.inHead {
		if err := p.spill(); err != nil {
			return err
		}
	}
	return p.leave(0)
}
