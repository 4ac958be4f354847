package relay

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"slices"
)

// lineLimit is how long a line of a message may be, its CRLF not counted (RFC 5322 §2.1.1, RFC 5321 §4.5.3.1.6).
const lineLimit = 998

// changeLimit bounds how many entities of a message are changed; the long lines of further ones are left.
const changeLimit = 1000

// longLines stands between a message and the spool's body. Providers refuse lines that are too long, so a text or a
// part that has one is encoded as quoted-printable (RFC 2045 §6.7), which changes how it travels and not what it says,
// and a header field that has one is folded at its blanks. Everything else stays octet for octet.
//
// What has to be changed is known only when the whole message has been seen: inline PGP, or a signature over a part,
// may stand behind a long line. So a message passes to the spool as it came and is only looked at, in bounded memory;
// if something is to be changed, session.go has it written once more, by way of rewrite. Few messages cost that.
//
// Left as it came, and counted as such, is a long line in
//   - a message or part that is signed or encrypted, inline PGP included, and anything within one;
//   - a part that has an encoding already, or that does not say clearly what it is;
//   - a delivery status or another message/ type, which may not be encoded (RFC 2046 §5.2); a whole message within the
//     message may not be either (§5.2.1), but its parts are treated like any others;
//   - what stands before, between and after parts, where nobody reads it;
//   - a header field without a blank to fold it at.
type longLines struct {
	out    io.Writer
	note   func(string)
	lines  lines
	parts  parts
	survey survey
	begun  bool
	head   int  // length of the header section
	told   bool // it had raw octets above 127, which was noted
}

// begin takes the header section as it is to go on; what is written afterwards is the body.
func (l *longLines) begin(section []byte) error {
	l.begun, l.head = true, len(section)
	l.parts.see, l.lines.take = &l.survey, l.parts.take
	if _, err := l.out.Write(section); err != nil {
		return err
	}
	rest, err := l.parts.begin(section)
	if err != nil {
		return err
	}
	_, err = l.lines.Write(rest)
	return err
}

// Write takes a piece of the body. Its lines end with CRLF.
func (l *longLines) Write(p []byte) (int, error) {
	if !l.begun { // a header section that is too long to be looked at
		l.begun = true
		l.parts.see, l.lines.take = &l.survey, l.parts.take
		l.parts.open = []entity{{shape: opaque, frozen: true, header: &Header{}}}
	}
	if n, err := l.out.Write(p); err != nil {
		return n, err
	}
	return l.lines.Write(p)
}

// finish ends the message, notes what becomes of long lines, and says whether the message has to be rewritten.
func (l *longLines) finish() (rewrite bool, err error) {
	if err := l.lines.finish(); err != nil {
		return false, err
	}
	if err := l.parts.end(); err != nil {
		return false, err
	}
	s := &l.survey
	if l.parts.doubt {
		s.left, s.changes = s.left || s.any(encodeIt) || s.any(foldIt), nil
	}
	for _, c := range []struct {
		happened bool
		what     string
	}{{s.any(encodeIt), "long lines encoded"}, {s.any(foldIt), "long header line folded"}, {s.any(nameIt) && !l.told, headerEncoded}, {s.left, "long line left"}} {
		if c.happened {
			l.note(c.what)
		}
	}
	return len(s.changes) > 0, nil
}

// change is what becomes of an entity.
type change int

const (
	encodeIt change = 1 << iota
	foldIt
	nameIt // raw octets above 127 in the header of a part (eight_bit.go)
)

// survey finds out what has to be changed in a message.
type survey struct {
	changes map[int]change // by the entity's number
	left    bool           // a line is too long, and stays
	utf8    bool           // an SMTPUTF8 transaction: headers may have octets above 127

	length int  // octets of the line so far
	long   bool // a line of the entity was too long
	pgp    bool // it is signed or encrypted in itself
}

func (s *survey) any(c change) bool {
	for _, have := range s.changes {
		if have&c != 0 {
			return true
		}
	}
	return false
}

func (s *survey) change(e *entity, c change) {
	if s.changes == nil {
		s.changes = make(map[int]change)
	}
	if _, ok := s.changes[e.number]; !ok && len(s.changes) >= changeLimit {
		s.left = true
		return
	}
	s.changes[e.number] |= c
}

func (s *survey) begins(e *entity, section []byte) error {
	s.long, s.pgp, s.length = false, false, 0
	if !s.utf8 && !e.frozen && e.number > 0 && hasEight(section) && encodeFields(&Header{fields: slices.Clone(e.header.fields)}) {
		s.change(e, nameIt)
	}
	if !hasLongLine(section) {
		return nil
	}
	folded := false
	for _, f := range e.header.fields {
		if hasLongLine(f) {
			g := foldLong(f)
			folded = folded || len(g) > len(f)
			s.left = s.left || e.frozen || hasLongLine(g)
		}
	}
	if folded && !e.frozen {
		s.change(e, foldIt)
	}
	return nil
}

func hasLongLine(p []byte) bool {
	for line := range bytes.SplitSeq(p, crlf) {
		if len(line) > lineLimit {
			return true
		}
	}
	return false
}

// pgpBegins are the lines that begin a text which is signed or encrypted in itself (RFC 9580 §6.2, §7).
var pgpBegins = [][]byte{[]byte("-----BEGIN PGP SIGNED MESSAGE-----"), []byte("-----BEGIN PGP MESSAGE-----")}

func (s *survey) content(_ *entity, line []byte, ends bool) error {
	for _, begin := range pgpBegins {
		s.pgp = s.pgp || s.length == 0 && bytes.HasPrefix(line, begin)
	}
	s.long = s.measure(line, ends) || s.long
	return nil
}

func (s *survey) between(line []byte, ends bool) error {
	s.left = s.measure(line, ends) || s.left
	return nil
}

// measure says whether a line is too long, when it has ended.
func (s *survey) measure(line []byte, ends bool) bool {
	s.length += len(line)
	if !ends {
		return false
	}
	length := s.length
	if bytes.HasSuffix(line, crlf) {
		length -= len(crlf)
	}
	s.length = 0
	return length > lineLimit
}

func (s *survey) ended(e *entity) error {
	switch {
	case !s.long:
	case e.shape == leaf && !e.frozen && !s.pgp:
		s.change(e, encodeIt)
	default:
		s.left = true
	}
	s.long, s.pgp, s.length = false, false, 0
	return nil
}

// rewrite copies a message, its header section first, and makes the changes that the survey found necessary. It reads
// the message with the same eyes as the survey did, so the numbers mean the same.
func (l *longLines) rewrite(out io.Writer, in io.Reader) error {
	section := make([]byte, l.head)
	if _, err := io.ReadFull(in, section); err != nil {
		return err
	}
	w := &rewriter{out: out, changes: l.survey.changes}
	p := &parts{see: w}
	div := &lines{take: p.take}
	rest, err := p.begin(section)
	if err == nil {
		_, err = div.Write(rest)
	}
	if err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{div}, struct{ io.Reader }{in}, make([]byte, 32<<10))
	}
	if err == nil {
		err = div.finish()
	}
	if err == nil {
		w.last = true
		err = p.end()
	}
	return err
}

// rewriter writes a message with its changes.
type rewriter struct {
	out     io.Writer
	changes map[int]change
	encoder io.WriteCloser // of the entity whose content comes, if it is encoded
	held    []byte         // a line end that may be the next delimiter's
	last    bool           // the message has ended: no delimiter comes
}

func (w *rewriter) begins(e *entity, section []byte) error {
	c := w.changes[e.number]
	if c&nameIt != 0 {
		encodeFields(e.header)
	}
	if c&foldIt != 0 {
		for i, f := range e.header.fields {
			e.header.fields[i] = foldLong(f)
		}
	}
	if c&encodeIt != 0 {
		setEncoding(e.header, "quoted-printable")
		w.encoder, w.held = quotedprintable.NewWriter(w.out), nil
	}
	versioned := e.message && !e.header.Has("MIME-Version") && (c&encodeIt != 0 || e.number == 0 && anyEncoded(w.changes))
	if versioned { // RFC 2045 §4: without it an encoding means nothing
		e.header.Add("MIME-Version", "1.0")
	}
	if c != 0 || versioned {
		section = e.header.Bytes()
	}
	_, err := w.out.Write(section)
	return err
}

func anyEncoded(changes map[int]change) bool {
	s := survey{changes: changes}
	return s.any(encodeIt)
}

func (w *rewriter) content(_ *entity, line []byte, _ bool) error {
	if w.encoder == nil {
		_, err := w.out.Write(line)
		return err
	}
	if _, err := w.encoder.Write(w.held); err != nil {
		return err
	}
	w.held = w.held[:0]
	if bytes.HasSuffix(line, crlf) {
		w.held = append(w.held, crlf...)
		line = line[:len(line)-len(crlf)]
	}
	_, err := w.encoder.Write(line)
	return err
}

func (w *rewriter) between(line []byte, _ bool) error {
	_, err := w.out.Write(line)
	return err
}

func (w *rewriter) ended(*entity) error {
	if w.encoder == nil {
		return nil
	}
	encoder, held := w.encoder, w.held
	w.encoder, w.held = nil, nil
	if w.last {
		if _, err := encoder.Write(held); err != nil {
			return err
		}
		return encoder.Close()
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	_, err := w.out.Write(held)
	return err
}

// setEncoding says how a content is encoded. A field that was there keeps its place.
func setEncoding(h *Header, encoding string) {
	const name = "Content-Transfer-Encoding"
	for i, f := range h.fields {
		if f.is(name) {
			h.fields[i] = makeField(name, encoding)
			return
		}
	}
	h.Add(name, encoding)
}
