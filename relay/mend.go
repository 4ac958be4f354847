package relay

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
)

// mender makes a message's header section one that the provider takes: who it is from, and the fields that must be
// there. Everything else, and everything where nothing was wrong, stays as it came, octet for octet.
type mender struct {
	mailbox string // of the account; "" when it is not known, and then nobody's name is changed
	rewrite bool   // from = "rewrite"
	utf8    bool   // an SMTPUTF8 transaction: its header may have octets above 127
	missing Missing
	done    []string // what was mended
}

// edit returns the section as it goes on. A signed message is left alone, unless from = "rewrite" says otherwise: even
// a field that its signer counted as absent would break the signature.
func (m *mender) edit(section []byte) []byte {
	h := ParseHeader(section)
	vouched := signed(h)
	if vouched && !m.rewrite {
		m.leave(h)
		return section
	}
	before := len(m.done)
	m.emptyAuthor(h)
	m.author(h)
	if !vouched {
		if isMboxLine(section) { // ParseHeader has dropped it
			m.note("mailbox line removed")
		}
		m.repairAuthor(h)
		m.complete(h)
		if !m.utf8 {
			m.encodeHeader(h)
		}
	}
	if len(m.done) == before {
		return section
	}
	return h.Bytes()
}

func (m *mender) note(what string) { m.done = append(m.done, what) }

// signed says whether something in the message vouches for it as it is: DKIM, S/MIME or PGP.
func signed(h *Header) bool {
	if h.Has("DKIM-Signature") || h.Has("ARC-Seal") {
		return true
	}
	for _, value := range h.Values("Content-Type") {
		kind, _, _ := strings.Cut(strings.ToLower(value), ";")
		switch strings.TrimSpace(kind) {
		case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime":
			return true
		}
	}
	return false
}

// leave looks at a signed message and changes nothing. An author whom the provider is likely to refuse is noted: only
// the signer, or the administrator with from = "rewrite", can name another one.
func (m *mender) leave(h *Header) {
	if m.mailbox != "" && len(h.ReplaceUnsendable(m.mailbox)) > 0 {
		m.note("signed From left")
	}
}

// emptyAuthor removes an empty From beside one that says who it is from: two are not allowed (RFC 5322 §3.6). Where all
// are empty, complete fills one.
func (m *mender) emptyAuthor(h *Header) {
	empty := func(f rawField) bool { return f.is("From") && f.value() == "" }
	filled := func(f rawField) bool { return f.is("From") && !empty(f) }
	if slices.ContainsFunc(h.fields, empty) && slices.ContainsFunc(h.fields, filled) {
		h.fields = slices.DeleteFunc(h.fields, empty)
		m.note("empty From removed")
	}
}

// author puts the mailbox in the place of an author that the account may not write as.
func (m *mender) author(h *Header) {
	switch {
	case m.mailbox == "":
	case m.rewrite:
		m.rewriteAuthor(h)
	default:
		for _, field := range h.ReplaceUnsendable(m.mailbox) {
			m.note(field + " replaced")
		}
	}
}

// rewriteAuthor is from = "rewrite": the mailbox in From with the old display name, the old From in Reply-To.
func (m *mender) rewriteAuthor(h *Header) {
	first := slices.IndexFunc(h.fields, func(f rawField) bool { return f.is("From") })
	if first < 0 { // complete adds the mailbox
		if h.Has("Sender") {
			h.Delete("Sender")
			m.note("Sender removed")
		}
		return
	}
	old := h.fields[first]
	list := readAuthors(old.value())
	if len(list) == 1 && strings.EqualFold(list[0].Address, m.mailbox) && len(h.Values("From")) == 1 && !h.Has("Sender") {
		return
	}
	author := mail.Address{Name: list[0].Name, Address: m.mailbox}
	if unsendable(list[0]) {
		author.Name = nameOf(list[0])
	}
	// A Sender beside it would name somebody who does not send this (RFC 5322 §3.6.2).
	kept := slices.DeleteFunc(slices.Clone(h.fields[first+1:]), func(f rawField) bool { return f.is("From") || f.is("Sender") })
	head := slices.DeleteFunc(slices.Clone(h.fields[:first]), func(f rawField) bool { return f.is("Sender") })
	h.fields = append(append(head, makeField("From", formatAuthor(author))), kept...)
	if answerable(list, m.mailbox) && !h.Has("Reply-To") {
		h.fields = slices.Insert(h.fields, len(head)+1, replyTo(old, list))
	}
	m.note("From rewritten")
}

// answerable says whether an old From says more than the mailbox does: an address with a domain that is another.
func answerable(list []mail.Address, mailbox string) bool {
	return slices.ContainsFunc(list, func(a mail.Address) bool {
		address, err := Address(a.Address)
		return err == nil && domainOf(address) != "" && !strings.EqualFold(address, mailbox)
	})
}

// replyTo is the old From under another name, folded as it was; written anew if it has one author and cannot be read.
func replyTo(from rawField, list []mail.Address) rawField {
	if _, err := parseList(from.value()); err != nil && len(list) == 1 {
		return makeField("Reply-To", formatAuthor(list[0]))
	}
	_, body, _ := bytes.Cut(from, []byte(":"))
	if !bytes.HasSuffix(body, crlf) {
		body = append(slices.Clip(body), crlf...)
	}
	return append(rawField("Reply-To:"), body...)
}

// repairAuthor writes an author properly whom old software has written as no receiver can read it: an @ or a comma in a
// display name without quotes, or a name and an address without brackets.
func (m *mender) repairAuthor(h *Header) {
	for i, f := range h.fields {
		name := authorField(f)
		if name == "" {
			continue
		}
		if _, err := parseList(f.value()); err == nil {
			continue
		}
		if a, ok := oddAuthor(f.value()); ok {
			h.fields[i] = makeField(name, formatAuthor(a))
			m.note(name + " repaired")
		}
	}
}

// complete adds what is missing in front of all fields, so that what came stays one piece.
func (m *mender) complete(h *Header) {
	added := h.Complete(m.missing)
	n := len(h.fields) - len(added)
	h.fields = slices.Concat(h.fields[n:], h.fields[:n])
	for _, name := range added {
		m.note(name + " added")
	}
}
