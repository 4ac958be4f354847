package tokens

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"github.com/mailbearer/mailbearer/diagnose"
)

// ClientCertificate is the flow of an app that signs in with a certificate: a short-lived assertion, signed PS256
// and marked x5t#S256. credential is called for each fetch (LoadCertificate does it), so that a certificate that was
// replaced is picked up; the first certificate is the app's own.
func ClientCertificate(e Entra, credential func() ([]*x509.Certificate, *rsa.PrivateKey, error)) Flow {
	return clientCertificate{e, credential}
}

type clientCertificate struct {
	entra      Entra
	credential func() ([]*x509.Certificate, *rsa.PrivateKey, error)
}

// Fetch implements Flow.
func (f clientCertificate) Fetch(ctx context.Context) (Token, error) {
	certs, key, err := f.credential()
	if err != nil {
		return Token{}, misconfigured("The app's certificate cannot be used", Microsoft.fix(onCertificate), err)
	}
	if p := outOfDate(certs[0], time.Now(), Microsoft); p != nil {
		return Token{}, p
	}
	// The assertion is ours: MSAL writes x5t#S256 in plain base64, and RFC 7515 §4.1.8 has it in base64url, which is what
	// strict servers compare.
	cred := confidential.NewCredFromAssertionCallback(func(_ context.Context, o confidential.AssertionRequestOptions) (string, error) {
		return signPS256(certs[0], key, assertionClaims(o.ClientID, o.TokenEndpoint, time.Now()))
	})
	return f.entra.fetchApp(ctx, cred)
}

// outOfDate says in words what Entra would refuse with a number.
func outOfDate(c *x509.Certificate, now time.Time, by Vendor) *diagnose.Problem {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
	fix := by.fix(onNewCertificate)
	switch {
	case now.After(c.NotAfter):
		p := misconfigured("The app's certificate has expired", fix, nil)
		p.Class, p.Said = diagnose.ClassNeedsAdmin, fmt.Sprintf("valid until %s, now it is %s", day(c.NotAfter), day(now))
		return p
	case now.Before(c.NotBefore):
		p := misconfigured("The app's certificate is not valid yet", fix, nil)
		p.Said = fmt.Sprintf("valid from %s, now it is %s", day(c.NotBefore), day(now))
		return p
	}
	return nil
}
