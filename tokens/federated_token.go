package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// FederatedToken is the flow of an app that signs in with a token that another issuer (Kubernetes, a CI system) puts
// in a file and renews there. The file is read at each use: its tokens are short-lived.
func FederatedToken(e Entra, file string) Flow { return federatedToken{e, file} }

type federatedToken struct {
	entra Entra
	file  string
}

// Fetch implements Flow.
func (f federatedToken) Fetch(ctx context.Context) (Token, error) {
	assertion, err := f.read()
	if err != nil {
		return Token{}, misconfigured("The federated token cannot be used",
			"1. oauth.token_file must be the file that the platform keeps the token in (Kubernetes: the projected service account token, "+
				"/var/run/secrets/azure/tokens/azure-identity-token). 2. The relay's user must be allowed to read it.", err)
	}
	// MSAL asks the callback, as it does for each request over the network; reading first gives the better words.
	cred := confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		return assertion, nil
	})
	return f.entra.fetchApp(ctx, cred, assertion)
}

func (f federatedToken) read() (string, error) {
	data, err := readBounded(f.file)
	if err != nil {
		return "", err
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 || bytes.ContainsAny(data, " \t\r\n\x00") {
		return "", fmt.Errorf("%s: %w", f.file, errors.New("it holds no token: one word is expected, and nothing else"))
	}
	return string(data), nil
}
