package main

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/tokens"
)

// openFlow translates [account.oauth] into a way to fetch tokens, and says when its credential expires, if it does.
func openFlow(a config.Account, roots *x509.CertPool, w way, store *tokens.Store) (tokens.Flow, time.Time, error) {
	entra, o := entraOf(a, roots, w), a.OAuth
	switch o.Flow {
	case "client-secret":
		if entra.Authority == "" {
			return tokens.ClientCredentials(providerOf(a, roots, w), o.Scopes), o.ClientSecretExpires, nil
		}
		return tokens.ClientSecret(entra, o.ClientSecret.Reveal), o.ClientSecretExpires, nil
	case "client-certificate":
		end, err := endOf(o)
		if entra.Authority == "" {
			return tokens.ClientCredentials(providerOf(a, roots, w), o.Scopes), end, err
		}
		return tokens.ClientCertificate(entra, certificateOf(o)), end, err
	case "device-code", "browser":
		end, err := endOf(o)
		return tokens.Delegated(providerOf(a, roots, w), store, a.Name, o.Scopes), end, err
	case "managed-identity":
		return tokens.ManagedIdentity{Scopes: o.Scopes, ClientID: o.ClientID}, time.Time{}, nil
	case "federated-token":
		return tokens.FederatedToken(entra, o.TokenFile), time.Time{}, nil
	case "service-account":
		return tokens.ServiceAccount{
			File: o.ServiceAccountFile, Mailbox: a.Mailbox, Scopes: o.Scopes, TokenURL: a.Endpoints.Token, HTTP: entra.HTTP,
		}, time.Time{}, nil
	}
	return nil, time.Time{}, fmt.Errorf("oauth.flow %q is not known", o.Flow)
}

// bySignIn says whether a person signs in for the account.
func bySignIn(o config.OAuth) bool { return o.Flow == "device-code" || o.Flow == "browser" }

// credentialOf is what the account's app proves itself by, in tokens' words for what expires.
func credentialOf(o config.OAuth) string {
	if o.Certificate != "" {
		return tokens.ExpiryCertificate
	}
	return tokens.ExpirySecret
}

// endOf is when that expires; zero when it is not known, or when there is none.
func endOf(o config.OAuth) (time.Time, error) {
	if credentialOf(o) == tokens.ExpirySecret {
		return o.ClientSecretExpires, nil
	}
	certs, _, err := certificateOf(o)()
	if err != nil {
		return time.Time{}, err
	}
	return certs[0].NotAfter, nil
}

// ending is when an account's credential expires. Its files are read again when they are others, since a certificate that
// is replaced is used without a word.
type ending struct {
	oauth config.OAuth

	mu    sync.Mutex
	stamp string
	at    time.Time
}

func newEnding(o config.OAuth, at time.Time) *ending {
	return &ending{oauth: o, at: at, stamp: stampOf(o)}
}

func stampOf(o config.OAuth) string { return fileStamp(o.Certificate) + fileStamp(o.CertificateKey) }

// time is zero when it is not known. A file that cannot be read, perhaps since it is just being written, changes nothing.
func (e *ending) time() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	stamp := stampOf(e.oauth)
	if e.oauth.Certificate == "" || stamp == e.stamp {
		return e.at
	}
	if at, err := endOf(e.oauth); err == nil {
		e.at, e.stamp = at, stamp
	}
	return e.at
}

// vendorOf is whose pages an account's advice is about.
func vendorOf(a config.Account) tokens.Vendor {
	switch {
	case a.Provider == "google":
		return tokens.Google
	case a.Endpoints.Authority != "":
		return tokens.Microsoft
	}
	return tokens.Other
}

func entraOf(a config.Account, roots *x509.CertPool, w way) tokens.Entra {
	return tokens.Entra{
		Authority: a.Endpoints.Authority, Tenant: a.OAuth.Tenant, ClientID: a.OAuth.ClientID, Scopes: a.OAuth.Scopes,
		HTTP: tokens.NewHTTPClient(tokens.HTTPOptions{RootCAs: roots, Proxy: w.http, DialTimeout: w.timeout}),
	}
}

// providerOf is where a person signs in for an account.
func providerOf(a config.Account, roots *x509.CertPool, w way) tokens.Provider {
	var secret func() (string, error)
	if a.OAuth.ClientSecret.IsSet() {
		secret = a.OAuth.ClientSecret.Reveal
	}
	var certificate func() ([]*x509.Certificate, *rsa.PrivateKey, error)
	if a.OAuth.Certificate != "" {
		certificate = certificateOf(a.OAuth)
	}
	entra := entraOf(a, roots, w)
	if entra.Authority != "" {
		return entra.Provider(secret, certificate)
	}
	return tokens.Provider{
		TokenURL: a.Endpoints.Token, AuthorizeURL: a.Endpoints.Authorize, DeviceURL: a.Endpoints.Device,
		ClientID: a.OAuth.ClientID, Secret: secret, Certificate: certificate, HTTP: entra.HTTP,
		Issuer: a.Endpoints.Issuer, Vendor: vendorOf(a),
	}
}

// apiOf is what the account's tokens must be for: known for Exchange Online, anything elsewhere.
func apiOf(a config.Account) tokens.API {
	if a.Endpoints.Authority == "" {
		return tokens.AnyAPI
	}
	return tokens.Exchange
}

// certificateOf returns a function that reads the app's certificate anew each time, so that a new one is picked up.
func certificateOf(o config.OAuth) func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
	return func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
		var password string
		if o.CertificatePassword.IsSet() {
			var err error
			if password, err = o.CertificatePassword.Reveal(); err != nil {
				return nil, nil, err
			}
		}
		return tokens.LoadCertificate(o.Certificate, o.CertificateKey, password)
	}
}

// storeOptions translates [tokens].
func storeOptions(cfg *config.Config) tokens.StoreOptions {
	o := tokens.StoreOptions{Dir: cfg.Tokens.Store, KeyDir: cfg.Relay.DataDir}
	if o.Dir == "" {
		o.Dir = cfg.Relay.DataDir
	}
	if cfg.Tokens.Key.IsSet() {
		o.Key = func() ([]byte, error) {
			key, err := cfg.Tokens.Key.Reveal()
			return []byte(key), err
		}
	}
	return o
}
