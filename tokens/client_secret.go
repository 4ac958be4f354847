package tokens

import (
	"context"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// ClientSecret is the flow of an app that signs in with a secret. secret is called for each fetch, so that a file
// that changed is picked up.
func ClientSecret(e Entra, secret func() (string, error)) Flow {
	return clientSecret{e, secret}
}

type clientSecret struct {
	entra  Entra
	secret func() (string, error)
}

// Fetch implements Flow.
func (f clientSecret) Fetch(ctx context.Context) (Token, error) {
	fix := Microsoft.fix(onSecret)
	secret, err := f.secret()
	if err != nil {
		return Token{}, misconfigured("The client secret cannot be read", fix, err)
	}
	cred, err := confidential.NewCredFromSecret(secret)
	if err != nil {
		return Token{}, misconfigured("The client secret is empty", fix, nil)
	}
	return f.entra.fetchApp(ctx, cred, secret)
}
