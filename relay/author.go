package relay

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notOnTheInternet are endings that no public name has (RFC 6762, RFC 8375, RFC 2606, and what routers hand out).
var notOnTheInternet = []string{".local", ".localdomain", ".lan", ".internal"}

// Unsendable says whether a sender can never be one at a provider: the null sender, a name without a domain, or a
// domain that cannot exist on the Internet.
func Unsendable(address string) bool {
	local, domain, ok := cutAddress(address)
	domain = strings.ToLower(domain)
	if !ok || unquoteLocal(local) == "" || domain == "" || domain[0] != '[' && !strings.Contains(domain, ".") {
		return true
	}
	for _, ending := range notOnTheInternet {
		if strings.HasSuffix(domain, ending) {
			return true
		}
	}
	return false
}

// ReplaceUnsendable puts the mailbox in the place of every author, in From and Sender, whom no provider takes or who has
// no address that can be read. The display name is kept; without one the old address becomes it. It returns the names
// of the fields that it changed.
func (h *Header) ReplaceUnsendable(mailbox string) (changed []string) {
	for i, f := range h.fields {
		name := authorField(f)
		if name == "" {
			continue
		}
		list := readAuthors(f.value())
		if name == "From" && f.value() == "" || !slices.ContainsFunc(list, unsendable) {
			continue // what is quite empty is missing, and Complete knows better who it is from
		}
		h.fields[i] = makeField(name, formatAuthors(standIn(list, mailbox)))
		changed = append(changed, name)
	}
	return changed
}

// authorField is From or Sender if the field is one of these.
func authorField(f rawField) string {
	for _, name := range []string{"From", "Sender"} {
		if f.is(name) {
			return name
		}
	}
	return ""
}

// unsendable also knows what is no address at all.
func unsendable(a mail.Address) bool {
	address, err := Address(a.Address)
	return err != nil || Unsendable(address)
}

// standIn is a list in which the mailbox stands, once, for all that cannot: what they were called becomes its name.
func standIn(list []mail.Address, mailbox string) (out []mail.Address) {
	var names []string
	at := slices.IndexFunc(list, func(a mail.Address) bool { return strings.EqualFold(a.Address, mailbox) })
	there := at >= 0
	for _, a := range list {
		address, err := Address(a.Address)
		if err == nil && !Unsendable(address) {
			out = append(out, mail.Address{Name: a.Name, Address: address})
			continue
		}
		if at < 0 {
			at = len(out)
			out = append(out, mail.Address{Address: mailbox})
		}
		if name := nameOf(a); name != "" {
			names = append(names, name)
		}
	}
	if !there {
		out[at].Name = strings.Join(names, ", ")
	}
	return out
}

// nameOf is what people know an author by.
func nameOf(a mail.Address) string {
	if a.Name != "" {
		return a.Name
	}
	return decodeWords(unquoteLocal(a.Address))
}

// readAuthors reads the body of a From or Sender field: as every receiver does where it is well formed, and as old
// software writes it where it is not. A field that names nobody has one author, who is null.
func readAuthors(value string) (list []mail.Address) {
	if read, err := parseList(value); err == nil {
		for _, a := range read {
			if wire, err := quoted(a.Address); err == nil {
				a.Address = wire
			}
			list = append(list, a)
		}
	} else {
		list = oddAuthors(value)
	}
	if len(list) == 0 {
		list = []mail.Address{{}}
	}
	return list
}

// oddAuthors knows null authors too, a name and an address without brackets, and a name that lacks its quotes.
func oddAuthors(value string) (list []mail.Address) {
	if a, ok := loneAuthor(value); ok {
		return []mail.Address{a}
	}
	value, v := veiled(value)
	s := &listScanner{rest: value}
	for s.next() {
		if s.address == "" && s.name == "" && !s.bracketed {
			continue
		}
		a := mail.Address{Name: decodeWords(s.name), Address: s.address}
		if words := strings.Fields(a.Address); len(words) > 1 && a.Name == "" && strings.Contains(words[len(words)-1], "@") {
			last := len(words) - 1
			a = mail.Address{Name: decodeWords(unquoteLocal(strings.Join(words[:last], " "))), Address: words[last]}
		}
		list = append(list, v.liftAddress(a))
	}
	return list
}

// loneAuthor reads a field with one <address> and no other: everything beside it is what its author is called, with the
// commas and semicolons for which it should have had quotes, as in `Doe, John <john@example.com>`.
func loneAuthor(value string) (a mail.Address, ok bool) {
	value, v := veiled(value)
	start := nextAngle(value)
	if start < 0 {
		return a, false
	}
	end := start + angleEnd(value[start:])
	name, after := value[:start], strings.Trim(value[end:], " \t,;")
	if value[end-1] != '>' || strings.Contains(name, "@") || after != "" && (after[0] != '(' || commentEnd(after) != len(after)) {
		return a, false
	}
	return v.liftAddress(mail.Address{
		Name:    decodeWords(strings.TrimSpace(unquoteAll(name + after))),
		Address: stripRoute(strings.TrimSpace(value[start+1 : end-1])),
	}), true
}

// nextAngle finds the first < that is in neither quotes nor a comment, or -1.
func nextAngle(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quoteEnd(s[i:]) - 1
		case '(':
			i += commentEnd(s[i:]) - 1
		case '<':
			return i
		}
	}
	return -1
}

// unquoteAll takes the quotes off every quoted string in a phrase.
func unquoteAll(s string) string {
	var b strings.Builder
	for s != "" {
		n := 1
		if s[0] == '"' {
			n = quoteEnd(s)
		}
		b.WriteString(unquoteLocal(s[:n]))
		s = s[n:]
	}
	return b.String()
}

// oddAuthor finds the one address in a From or Sender field that net/mail cannot read.
func oddAuthor(value string) (mail.Address, bool) {
	list := oddAuthors(value)
	if len(list) != 1 {
		return mail.Address{}, false
	}
	a := list[0]
	address, err := Address(a.Address)
	a.Address = address
	return a, err == nil && !Unsendable(address)
}

func formatAuthors(list []mail.Address) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = formatAuthor(a)
	}
	return strings.Join(words, ", ")
}

// formatAuthor writes an author so that every receiver can read it. A name in octets that are no UTF-8 is taken for
// Latin 1, as devices of that age write it; one that still cannot be written is left out.
func formatAuthor(a mail.Address) string {
	if !utf8.ValidString(a.Name) {
		runes := make([]rune, 0, len(a.Name))
		for _, b := range []byte(a.Name) {
			runes = append(runes, rune(b))
		}
		a.Name = string(runes)
	}
	name, v := veiled(a.Name)
	a.Name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name))
	s := formatAddress(a)
	if len(v.pieces) > 0 {
		s = strings.TrimSpace(v.phrase(a.Name) + " <" + a.Address + ">")
	}
	if list, err := parseList(s); err != nil || len(list) != 1 || len(v.pieces) > 0 && len(s) > lineLimit/2 {
		return a.Address
	}
	return s
}
