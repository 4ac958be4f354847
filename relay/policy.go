package relay

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"
)

// Refusals name what was refused and the key that allows it, since whoever reads them is setting a device up.
func refuse(code int, e smtp.EnhancedCode, format string, args ...any) *smtp.SMTPError {
	return reply(code, e, fmt.Sprintf(format, args...))
}

// mayRelay says whether this client may send at all: signed in, or from an allowed network where that is enough.
func (s *session) mayRelay() error {
	p := s.server.policy
	switch {
	case p.Security == SecurityStartTLS && !s.secure():
		return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Must issue a STARTTLS command first (this listener has security = \"starttls\")")
	case s.user != nil:
		return nil
	case p.Auth == AuthRequired:
		return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required: set a user name and password on the device (this listener has auth = \"required\")")
	case !allowed(p.Allow, s.conn.addr):
		return refuse(550, smtp.EnhancedCode{5, 7, 1}, "%s may not send without signing in: add its address to `allow` of this listener, or give it a [[user]]", s.conn.addr)
	}
	return nil
}

// allowed says whether one of the networks holds the address. A unix socket has none; who may open it is decided by
// its file's permissions.
func allowed(networks []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// senders is the list of addresses that this client may send as, and whether it is everything.
func (s *session) senders() (m Matcher, all bool) {
	if s.user != nil {
		return s.user.Senders, s.user.AnySender
	}
	return s.server.policy.Senders, s.server.policy.AnySender
}

// maySendAs checks one address against the client's senders. One that the provider would refuse, as the null sender or
// root@localhost, leaves as the account's mailbox (envelope.go), so the mailbox may stand in the list for it.
func (s *session) maySendAs(address, mailbox, field string) error {
	m, all := s.senders()
	if all || m.Match(address) || mailbox != "" && Unsendable(address) && m.Match(mailbox) {
		return nil
	}
	where := "this listener"
	if s.user != nil {
		where = "[[user]] " + s.user.Name
	}
	return refuse(550, smtp.EnhancedCode{5, 7, 1}, "<%s> in %s is not allowed: add it to `senders` of %s", address, field, where)
}

// checkHeader holds every address of every From and Sender field against the client's senders: the envelope alone
// would let a device write as anybody.
func (s *session) checkHeader(header []byte, mend *mender) error {
	if _, all := s.senders(); all {
		return nil
	}
	vouched := signed(ParseHeader(header)) && !mend.rewrite
	from := 0
	for _, f := range fields(header) {
		f.body = strings.TrimSpace(f.body)
		switch {
		case strings.EqualFold(f.name, "From") && (f.body != "" || vouched): // an empty one is filled where it may be
			if from++; from > 1 {
				return refuse(550, smtp.EnhancedCode{5, 7, 1}, "the message has two From fields, which is not allowed where `senders` is limited")
			}
		case !strings.EqualFold(f.name, "Sender"):
			continue
		}
		if err := s.checkAuthors(f, mend.mailbox, vouched); err != nil {
			return err
		}
	}
	return nil
}

// checkAuthors checks one field. In a vouched message it stays as it is, so the mailbox stands for nobody there.
func (s *session) checkAuthors(f field, mailbox string, vouched bool) error {
	list, ok := authors(f, vouched)
	if !ok {
		return refuse(550, smtp.EnhancedCode{5, 7, 1}, "the %s field cannot be read, which is not allowed where `senders` is limited", f.name)
	}
	if vouched {
		mailbox = ""
	}
	for _, address := range list {
		err := s.maySendAs(address, mailbox, "the "+f.name+" field")
		if err != nil && address == "" {
			return refuse(550, smtp.EnhancedCode{5, 7, 1}, "the %s field has nothing that can be read as an address, which is not allowed where `senders` is limited", f.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// authors are the addresses of a field, or those of them that it will have once it is mended (author.go).
func authors(f field, vouched bool) (list []string, ok bool) {
	if read, err := parseList(f.body); err == nil {
		for _, a := range read {
			list = append(list, a.Address)
		}
		return withSpelled(list, f.body)
	}
	if vouched {
		return nil, false
	}
	if a, ok := oddAuthor(f.body); ok {
		return []string{a.Address}, true
	}
	odd := readAuthors(f.body)
	if !slices.ContainsFunc(odd, unsendable) {
		return nil, false // it stays as it came, and everybody reads it in a way of his own
	}
	for _, a := range odd {
		address, err := Address(a.Address)
		if err != nil {
			address = "" // the mailbox takes its place, whatever it looks like
		}
		list = append(list, address)
	}
	return list, true
}

// withSpelled adds what else may be read for an address in a field that stays as it came, raw ISO-2022-JP and all:
// nothing shall hide between escape sequences.
func withSpelled(list []string, body string) ([]string, bool) {
	if strings.IndexByte(body, escape) < 0 {
		return list, true
	}
	known := map[string]bool{}
	for _, address := range list {
		known[address] = true
	}
	more, ok := spelled(body)
	for _, address := range more {
		if !known[address] {
			list, ok = append(list, address), ok && !Unsendable(address) // the mailbox would stand for it
		}
	}
	return list, ok
}

// field is one header field, unfolded.
type field struct{ name, body string }

// fields takes a header section apart (RFC 5322 §2.2.3). Lines that are no field are passed over, as receivers do.
func fields(header []byte) []field {
	var list []field
	for raw := range bytes.SplitSeq(header, crlf) {
		line := string(raw)
		if line == "" {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(list) > 0 {
				list[len(list)-1].body += line
			}
			continue
		}
		name, body, _ := strings.Cut(line, ":")
		list = append(list, field{strings.TrimSpace(name), body})
	}
	return list
}
