package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/mail"
)

// signIn sends the token, RFC 4954 §4, in the two-step form that Microsoft documents: no command line becomes longer
// than 512 octets, however long the token is.
func (s *SMTP) signIn(c *conn, token string) error {
	mechanism := s.opts.Mechanism
	if !c.caps.offers(mechanism) {
		return &mail.Trouble{
			Kind: mail.Refused, Class: mail.ClassConfig,
			Cause: fmt.Sprintf("the server does not offer sign-in by %s, only: %s", mechanism, strings.Join(c.caps.mechanisms, " ")),
			Fix:   "1. Check the account's provider and endpoints.smtp. 2. Set endpoints.sasl to a mechanism that the server offers (xoauth2 or oauthbearer).",
		}
	}
	response, farewell := s.credentials(token)
	c.secrets = []string{token, response}
	reply, _, err := c.ask(s.patience(), "AUTH "+mechanism)
	if err = expect(phaseAuth, 334, reply, err); err != nil {
		return err
	}
	reply, _, err = c.ask(s.patience(), response)
	if err == nil && reply.Code == 334 {
		// The reason of a refusal as JSON (Google; RFC 7628 §3.2.2); the verdict comes after our empty answer.
		reply, _, err = c.ask(s.patience(), farewell)
	}
	return expect(phaseAuth, 235, reply, err)
}

// credentials returns the response with the token, and what to answer to a challenge that comes after it.
func (s *SMTP) credentials(token string) (response, farewell string) {
	encode := base64.StdEncoding.EncodeToString
	if s.opts.Mechanism == "OAUTHBEARER" { // RFC 7628 §3.1; §3.2.3: a lone ^A ends a failed exchange
		host, port, _ := net.SplitHostPort(s.opts.Address)
		user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.opts.Mailbox) // RFC 5801 §4
		return encode(fmt.Appendf(nil, "n,a=%s,\x01host=%s\x01port=%s\x01auth=Bearer %s\x01\x01", user, host, port, token)), encode([]byte("\x01"))
	}
	return encode([]byte("user=" + s.opts.Mailbox + "\x01auth=Bearer " + token + "\x01\x01")), ""
}

// renewable says whether another token may help: the sign-in was refused, and nothing says that the reason is not the
// token.
func renewable(err error) bool {
	var r *refusal
	if !errors.As(err, &r) || r.phase != phaseAuth || r.reply.Code != 535 {
		return false
	}
	switch explain(r.phase, r.reply).class {
	case mail.ClassNeedsAdmin, mail.ClassThrottled, mail.ClassTransient:
		return false
	}
	return true
}

// tokenTrouble is what a token source's error means for the account.
func tokenTrouble(ctx context.Context, err error) *mail.Trouble {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	return TokenTrouble(err)
}

// TokenTrouble is what it means for the account that there is no access token.
func TokenTrouble(err error) *mail.Trouble {
	var p *diagnose.Problem
	if errors.As(err, &p) {
		t := &mail.Trouble{
			Kind: mail.Refused, Reply: mail.Reply{Text: cutText(printable(p.Said))}, Class: mail.Class(p.Class),
			Cause: p.Cause, Fix: p.Fix, RetryAfter: p.RetryAfter,
		}
		if p.Unreachable || t.Class == mail.ClassThrottled || t.Class == mail.ClassTransient {
			t.Kind = mail.Unreachable
		}
		return t
	}
	return &mail.Trouble{
		Kind: mail.Unreachable, Class: mail.ClassTransient,
		Cause: "no access token could be had: " + withoutSecrets(err.Error()),
		Fix:   "Run `mailbearer check` to see each step of the sign-in.",
	}
}

// withoutSecrets takes out every word that is long enough to be a token: errors of HTTP and JSON libraries may quote
// what they could not read.
func withoutSecrets(text string) string {
	words := strings.Fields(cutText(printable(text)))
	for i, w := range words {
		if len(w) > 2*fragment && !strings.Contains(w, "://") {
			words[i] = redacted
		}
	}
	return strings.Join(words, " ")
}
