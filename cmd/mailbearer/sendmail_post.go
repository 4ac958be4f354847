package main

import (
	"context"
	"io"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/spool"
)

// localListener is the name by which routes and traces know mail that came by sendmail.
const localListener = "local"

// request is what sendmail was asked for, as far as it is not the text: the first line of a file in the drop folder.
// Its fields are only ever added to.
type request struct {
	Version     int      `json:"mailbearer"`       // 1
	Sender      string   `json:"sender,omitempty"` // of -f or the From field; "" is the null sender if SenderGiven
	SenderGiven bool     `json:"sender_given,omitempty"`
	FullName    string   `json:"full_name,omitempty"`
	Recipients  []string `json:"recipients"` // before aliases
	Notify      []string `json:"notify,omitempty"`
	Return      string   `json:"return,omitempty"`
	EnvelopeID  string   `json:"envelope_id,omitempty"`
}

// gather completes a request from the header section, without any configuration: this much is done by whoever calls
// sendmail, so that a mistake ends in its exit code.
func (r *request) gather(h *relay.Header, fromHeader bool) error {
	if fromHeader {
		for _, a := range h.Addressees() {
			address, err := relay.Address(a)
			if err != nil {
				return exitWith(exData, "a recipient in the header: %w", err)
			}
			r.Recipients = append(r.Recipients, address)
		}
		h.Delete("Bcc", "Resent-Bcc")
	}
	if len(r.Recipients) == 0 {
		return exitWith(exData, "the header has no recipient in To, Cc or Bcc: add one, or name it on the command line")
	}
	if author := h.Author(); !r.SenderGiven && author != "" {
		r.SenderGiven = true
		r.Sender, _ = relay.Address(author) // what is none becomes the mailbox, as the null sender does
	}
	return nil
}

// posting is one message on its way from sendmail into the spool.
type posting struct {
	cfg        *config.Config
	request    request
	user       string // of the operating system
	fromHeader bool   // -t
	hostname   string
	env        *mail.Envelope
}

func newPosting(ctx context.Context, cfg *config.Config, r request, user string, id mail.ID, now time.Time) *posting {
	p := &posting{cfg: cfg, request: r, user: user, hostname: cfg.Relay.Hostname}
	if p.hostname == "" {
		p.hostname = hostname(ctx)
	}
	p.env = &mail.Envelope{
		ID: id, Received: now, Return: r.Return, EnvelopeID: r.EnvelopeID,
		Client: mail.Client{Address: localListener, User: user, Listener: localListener},
	}
	return p
}

// put streams the text into the spool and makes it durable.
func (p *posting) put(sp spool.Spool, in io.Reader) error {
	post := relay.Post{Spool: sp, Envelope: p.env, Hostname: p.hostname, Limit: localLimit(p.cfg), Edit: p.edit}
	body, err := post.Take(in)
	if err != nil {
		return err
	}
	return sp.Put(context.Background(), p.env, body, false)
}

func copyText(t *relay.Text, in io.Reader) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{in}, make([]byte, 32<<10)); err != nil {
		return err
	}
	return t.Close()
}

// edit fills the envelope from the header section and says how the message is to be mended.
func (p *posting) edit(h *relay.Header) (relay.Mending, error) {
	if err := p.request.gather(h, p.fromHeader); err != nil {
		return relay.Mending{}, err
	}
	account := p.address()
	if n, most := len(p.env.Recipients), localRecipients(p.cfg); n > most {
		return relay.Mending{}, exitWith(exData, "%d recipients are more than %d (the largest max_recipients of the listeners): send it in parts, or raise it", n, most)
	}
	return relay.Mending{
		AccountInfo: accountInfo(account), UTF8: p.env.SMTPUTF8,
		Missing: relay.Missing{
			Date: p.env.Received, MessageID: p.env.ID.String() + "@" + domainOf(account.Mailbox),
			From: netmail.Address{Name: p.request.FullName, Address: p.env.Sender},
		},
	}, nil
}

// address completes sender and recipients and chooses the account. What has no domain gets that of the account's
// mailbox, and the account may depend on addresses, so it is chosen once more when they are complete.
func (p *posting) address() *config.Account {
	route := router(p.cfg)
	q := relay.Query{Listener: localListener, Sender: p.request.Sender, Recipients: p.request.Recipients}
	var account *config.Account
	for range 2 {
		account = p.cfg.Account(route(q))
		q.Sender = p.sender(account.Mailbox)
		q.Recipients = relay.Expand(p.request.Recipients, p.cfg.Aliases, domainOf(account.Mailbox))
	}
	p.env.Account, p.env.Sender = account.Name, accountInfo(account).Stands(q.Sender)
	if p.request.SenderGiven && p.request.Sender != p.env.Sender {
		p.env.Client.Sender = p.request.Sender
	}
	p.env.SMTPUTF8 = !isASCII(p.env.Sender)
	for _, r := range q.Recipients {
		p.env.Recipients = append(p.env.Recipients, mail.Recipient{Address: r, State: mail.Pending, Notify: p.request.Notify})
		p.env.SMTPUTF8 = p.env.SMTPUTF8 || !isASCII(r)
	}
	return account
}

// sender is the one that was given, if a provider can take it; the user at the mailbox's domain if none was.
func (p *posting) sender(mailbox string) string {
	sender := p.request.Sender
	if !p.request.SenderGiven {
		sender, _ = relay.Address(p.user + "@" + domainOf(mailbox)) // a user may have a name that no address can
	}
	if relay.Unsendable(sender) {
		return mailbox
	}
	return sender
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) }
