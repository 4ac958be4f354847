package relay

import (
	netmail "net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/mailbearer/mailbearer/mail"
)

// AccountInfo is what the front door has to know about an account.
type AccountInfo struct {
	Mailbox string // takes the place of senders that the provider would refuse; its domain completes names
	Rewrite bool   // from = "rewrite": takes the place of every sender
}

// route chooses the account of the transaction as far as it is known.
func (s *session) route(tx *transaction) (name string, info AccountInfo) {
	q := Query{
		Listener: s.server.policy.Address, ListenerAccount: s.server.policy.Account,
		Client: s.conn.addr, Sender: tx.sender,
	}
	if s.user != nil {
		q.User, q.UserAccount = s.user.Name, s.user.Account
	}
	for _, r := range tx.recipients {
		q.Recipients = append(q.Recipients, r.Address)
	}
	name = s.relay.opts.Route(q)
	return name, s.relay.opts.Accounts[name]
}

// expand makes addresses of a recipient. A name without a domain is what [aliases] says, else it gets the domain of
// the mailbox that would carry the message as it stands: a route by recipients may choose another one later.
func (s *session) expand(p wirePath) ([]string, error) {
	if p.domain != "" {
		return []string{p.String()}, nil
	}
	_, info := s.route(s.tx)
	list := Expand([]string{p.local}, s.relay.opts.Aliases, domainOf(info.Mailbox))
	for _, address := range list {
		if domainOf(address) == "" {
			return nil, refuse(553, smtp.EnhancedCode{5, 1, 3}, "<%s> has no domain: give it one on the device, or an address in [aliases]", p.local)
		}
	}
	return list, nil
}

func domainOf(address string) string {
	_, domain, _ := cutAddress(address)
	return domain
}

// add puts a recipient's addresses on the envelope. What an alias names twice is there once.
func (tx *transaction) add(addresses []string, opts *smtp.RcptOptions) {
	for _, address := range addresses {
		if len(addresses) > 1 && tx.has(address) {
			continue
		}
		r := mail.Recipient{Address: address, State: mail.Pending}
		dsnRecipient(&r, opts)
		tx.recipients = append(tx.recipients, r)
		tx.utf8 = tx.utf8 || hasEight([]byte(address))
	}
}

func (tx *transaction) has(address string) bool {
	for _, r := range tx.recipients {
		if strings.EqualFold(r.Address, address) {
			return true
		}
	}
	return false
}

// Stands says who a sender is to the provider: itself, or the mailbox where the provider would refuse it.
func (i AccountInfo) Stands(sender string) string {
	if i.Mailbox != "" && (i.Rewrite || Unsendable(sender)) {
		return i.Mailbox
	}
	return sender
}

// envelope is the message's, and mender what its header section needs.
func (s *session) envelope(tx *transaction, now time.Time) (*mail.Envelope, *mender) {
	account, info := s.route(tx)
	env := &mail.Envelope{
		ID: mail.NewID(now), Account: account, Sender: info.Stands(tx.sender), Recipients: tx.recipients, Received: now,
		SMTPUTF8: tx.utf8, Return: tx.ret, EnvelopeID: tx.envelopeID,
		Client: mail.Client{
			Address: s.conn.RemoteAddr().String(), Name: s.smtp.Hostname(), TLS: tlsName(s.conn.tlsState), Listener: s.server.policy.Address,
		},
	}
	if s.user != nil {
		env.Client.User = s.user.Name
	}
	m := &mender{mailbox: info.Mailbox, rewrite: info.Rewrite, utf8: tx.utf8}
	if env.Sender != tx.sender {
		m.note("MAIL FROM replaced")
	}
	m.missing = Missing{Date: now, MessageID: env.ID.String() + "@" + s.relay.opts.Hostname, From: netmail.Address{Address: env.Sender}}
	if domain := domainOf(info.Mailbox); domain != "" {
		m.missing.MessageID = env.ID.String() + "@" + domain
	}
	if env.Sender == "" { // no mailbox is known
		m.missing.From.Address = "postmaster@" + s.relay.opts.Hostname
	}
	return env, m
}
