package main

import (
	"crypto/x509"
	"net"
	"reflect"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/courier"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/tokens"
	"github.com/mailbearer/mailbearer/upstream"
)

// account joins what one upstream account needs: its tokens, its SMTP connections, its governor.
type account struct {
	name, mailbox string
	remote        string  // host name of the provider's mail server
	expires       *ending // of its credential
	credential    string  // what it signs in with, in tokens' words for what expires
	delegated     bool    // a person has signed in
	tokens        *tokens.Manager
	smtp          *upstream.SMTP
	upstream      *upstream.Mailbox
	touch         func(tokens.State) // tells the courier that the token's state changed

	made     origin // what it was made of
	renewing *job   // runs tokens; nil before it works
}

// origin is what an account is made of: with the same origin it need not be made anew.
type origin struct {
	account config.Account
	network config.Network
	files   string // stamps of the certificates that are read once
}

func originOf(a config.Account, network config.Network) origin {
	return origin{a, network, fileStamp(a.Endpoints.CAFile) + stampOf(a.OAuth)}
}

// same compares secrets by what they hold.
func (o origin) same(p origin) bool {
	a, b := &o.account.OAuth, &p.account.OAuth
	for _, s := range []struct{ a, b *config.Secret }{
		{&a.ClientSecret, &b.ClientSecret}, {&a.CertificatePassword, &b.CertificatePassword},
	} {
		if !s.a.Equal(*s.b) {
			return false
		}
		*s.a, *s.b = config.Secret{}, config.Secret{}
	}
	return reflect.DeepEqual(o, p)
}

func openAccount(made origin, store *tokens.Store, hostname string) (*account, error) {
	a, network := made.account, made.network
	roots, err := rootCAs(a.Endpoints.CAFile)
	if err != nil {
		return nil, err
	}
	way, err := openWay(network)
	if err != nil {
		return nil, err
	}
	flow, expires, err := openFlow(a, roots, way, store)
	if err != nil {
		return nil, err
	}
	remote, _, _ := net.SplitHostPort(a.Endpoints.SMTP)
	acc := &account{made: made, name: a.Name, mailbox: a.Mailbox, remote: remote, expires: newEnding(a.OAuth, expires), touch: func(tokens.State) {}}
	acc.credential, acc.delegated = credentialOf(a.OAuth), bySignIn(a.OAuth)
	acc.tokens = tokens.New(tokens.Options{
		Name: a.Name, Flow: flow, Vendor: vendorOf(a), API: apiOf(a), Person: acc.delegated, Changed: func(s tokens.State) { acc.touch(s) },
	})
	acc.smtp = upstream.NewSMTP(upstream.Options{
		Address: a.Endpoints.SMTP, Mailbox: a.Mailbox, Account: a.Name, Mechanism: a.Endpoints.SASL, Hostname: hostname, RootCAs: roots,
		Connections: a.Limits.Connections, DialTimeout: network.DialTimeout,
		Dial: way.dial, Tokens: acc.tokens,
	})
	governor := upstream.NewGovernor(upstream.Limits{
		Connections: a.Limits.Connections, MessagesPerMinute: a.Limits.MessagesPerMinute,
	})
	acc.upstream = upstream.NewMailbox(acc.smtp, governor, time.Now)
	return acc, nil
}

// close ends what the account has open. Its renewing has ended before.
func (a *account) close() {
	a.tokens.Close()
	a.smtp.Close()
}

// rootCAs is nil, the system's own, without a ca_file.
func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	return tokens.LoadCAFile(file)
}

// sign translates the token's state into the courier's words.
func (a *account) sign() courier.Sign {
	s := a.tokens.State()
	sign := courier.Sign{State: mail.AccountState(s.State), Expires: s.Expires}
	if p := s.Problem; p != nil && (s.State == tokens.Held || needsPerson(s)) {
		sign.Trouble, sign.Since = upstream.TokenTrouble(s.Problem), s.Since
	}
	return sign
}
