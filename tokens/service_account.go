package tokens

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"

	"golang.org/x/oauth2"
	googlejwt "golang.org/x/oauth2/jwt"

	"github.com/mailbearer/mailbearer/diagnose"
)

// ServiceAccount is the flow of a Google service account with domain-wide delegation: a JWT grant (RFC 7523 §2.1)
// that names the mailbox as its subject.
type ServiceAccount struct {
	File     string       // the JSON key; read for each fetch
	Mailbox  string       // whom it acts for
	Scopes   []string     // https://mail.google.com/
	TokenURL string       // the file's own token_uri when empty
	HTTP     *http.Client // from NewHTTPClient
}

const fixServiceAccount = "1. oauth.service_account_file must be the JSON key: Google Cloud console > IAM & Admin > Service Accounts > Keys > Add key. " +
	"2. The relay's user must be allowed to read it."

// Fetch implements Flow.
func (f ServiceAccount) Fetch(ctx context.Context) (Token, error) {
	config, err := f.config()
	if err != nil {
		return Token{}, misconfigured("The service account's key cannot be used", fixServiceAccount, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	x := exchange{vendor: Google}
	got, err := config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, x.client(f.HTTP))).Token()
	if err == nil && got.AccessToken == "" {
		err = errNoToken
	}
	if err != nil {
		if x.last != nil && x.last.status/100 == 2 && x.last.oauth.Code == "" {
			err = errNotJSON // the library's own words repeat what it read
		}
		p := explain(err, &x)
		if !p.Unreachable && x.last != nil && (x.last.oauth.Code == "unauthorized_client" || x.last.oauth.Code == "invalid_grant") {
			p.Class, p.Cause, p.Fix = diagnose.ClassNeedsAdmin, "The service account may not act for the mailbox", fixDelegation
		}
		return Token{}, p
	}
	return Token{Access: got.AccessToken, Expires: got.Expiry}, nil
}

const fixDelegation = "1. Google Admin console > Security > API controls > Domain-wide delegation: add the service account's client id with the scope https://mail.google.com/. " +
	"2. account.mailbox must be a user of the domain, and not suspended. 3. Check this machine's date and time. 4. It can take a day to have effect."

// config reads the JSON key.
func (f ServiceAccount) config() (*googlejwt.Config, error) {
	data, err := readBounded(f.File)
	if err != nil {
		return nil, err
	}
	var key struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		KeyID    string `json:"private_key_id"`
		Key      string `json:"private_key"`
		TokenURI string `json:"token_uri"`
	}
	if json.Unmarshal(data, &key) != nil {
		return nil, errors.New("it is not JSON") // the decoder's words could repeat a piece of the key
	}
	if key.Type != "service_account" || key.Email == "" {
		return nil, errors.New(`it is not the key of a service account ("type": "service_account")`)
	}
	block, _ := pem.Decode([]byte(key.Key))
	if block == nil {
		return nil, errors.New("it holds no private key")
	}
	private, err := parseKeyBlock(block, "")
	if err != nil {
		return nil, err
	}
	if _, ok := private.(*rsa.PrivateKey); !ok {
		return nil, errors.New("its private key is no RSA key")
	}
	return &googlejwt.Config{
		Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.KeyID, Subject: f.Mailbox, Scopes: f.Scopes,
		TokenURL: first(f.TokenURL, key.TokenURI, "https://oauth2.googleapis.com/token"),
	}, nil
}
