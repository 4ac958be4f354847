package tokens

import (
	"context"
	"net/url"
	"time"
)

// ClientCredentials is ClientSecret for a provider that is not Entra: the app signs in for itself (RFC 6749 §4.4),
// with p.Secret or p.Certificate.
func ClientCredentials(p Provider, scopes []string) Flow { return clientCredentials{p, scopes} }

type clientCredentials struct {
	provider Provider
	scopes   []string
}

// Fetch implements Flow.
func (f clientCredentials) Fetch(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var x exchange
	form := withScopes(url.Values{"grant_type": {"client_credentials"}}, f.scopes)
	a, err := f.provider.call(ctx, &x, f.provider.TokenURL, form)
	if err != nil {
		return Token{}, err
	}
	if a.Access == "" {
		return Token{}, explain(errNoToken, &x)
	}
	return a.token(time.Now()), nil
}
