package main

import (
	"crypto/x509"
	"net"
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
	remote        string    // host name of the provider's mail server
	expires       time.Time // of its credential, when known
	credential    string    // what it signs in with, in tokens' words for what expires
	delegated     bool      // a person has signed in
	tokens        *tokens.Manager
	smtp          *upstream.SMTP
	upstream      *upstream.Mailbox
	touch         func() // tells the courier that the token's state changed
}

func openAccount(a config.Account, network config.Network, store *tokens.Store, hostname string) (*account, error) {
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
	acc := &account{name: a.Name, mailbox: a.Mailbox, remote: remote, expires: expires, touch: func() {}}
	acc.credential, acc.delegated = tokens.ExpirySecret, a.OAuth.Flow == "device-code" || a.OAuth.Flow == "browser"
	if a.OAuth.Flow == "client-certificate" {
		acc.credential = tokens.ExpiryCertificate
	}
	acc.tokens = tokens.New(tokens.Options{
		Name: a.Name, Flow: flow, API: apiOf(a), Changed: func(tokens.State) { acc.touch() },
	})
	acc.smtp = upstream.NewSMTP(upstream.Options{
		Address: a.Endpoints.SMTP, Mailbox: a.Mailbox, Mechanism: a.Endpoints.SASL, Hostname: hostname, RootCAs: roots,
		Connections: a.Limits.Connections, DialTimeout: network.DialTimeout,
		Dial: way.dial, Tokens: acc.tokens,
	})
	governor := upstream.NewGovernor(upstream.Limits{
		Connections: a.Limits.Connections, MessagesPerMinute: a.Limits.MessagesPerMinute,
	})
	acc.upstream = upstream.NewMailbox(acc.smtp, governor, time.Now)
	return acc, nil
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
	if s.State == tokens.Held && s.Problem != nil {
		sign.Cause, sign.Fix, sign.Since = s.Problem.Error(), s.Problem.Fix, s.Since
	}
	return sign
}
