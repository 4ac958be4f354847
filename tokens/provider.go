package tokens

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// Provider is where people sign in and where their tokens come from: Entra (Entra.Provider), Google, or anyone who
// follows RFC 6749. With a Secret or a Certificate the app is a confidential client, otherwise a public one.
type Provider struct {
	TokenURL     string
	AuthorizeURL string // for BrowserSignIn
	DeviceURL    string // for DeviceSignIn
	ClientID     string
	Secret       func() (string, error)                               // nil: none; read for each request
	Certificate  func() ([]*x509.Certificate, *rsa.PrivateKey, error) // nil: none; read for each request
	Issuer       string                                               // audience of signed assertions; TokenURL when empty
	HTTP         *http.Client                                         // from NewHTTPClient
	Vendor       Vendor                                               // for advice only

	entra *Entra // nil: another provider
}

// Provider returns Entra's endpoints for a person's sign-in. secret and certificate may be nil.
func (e Entra) Provider(secret func() (string, error), certificate func() ([]*x509.Certificate, *rsa.PrivateKey, error)) Provider {
	base := e.authority() + "/oauth2/v2.0/"
	return Provider{
		TokenURL: base + "token", AuthorizeURL: base + "authorize", DeviceURL: base + "devicecode",
		ClientID: e.ClientID, Secret: secret, Certificate: certificate, HTTP: e.HTTP, Vendor: Microsoft, entra: &e,
	}
}

// oauthAnswer is an answer with tokens (RFC 6749 §5.1) or with a device code (RFC 8628 §3.2).
type oauthAnswer struct {
	Access    string  `json:"access_token"`
	Refresh   string  `json:"refresh_token"`
	ID        string  `json:"id_token"`
	Scope     string  `json:"scope"`
	ExpiresIn seconds `json:"expires_in"`
	RefreshIn seconds `json:"refresh_in"`

	DeviceCode string  `json:"device_code"`
	UserCode   string  `json:"user_code"`
	VerifyURI  string  `json:"verification_uri"`
	VerifyURL  string  `json:"verification_url"` // what Google calls it
	Interval   seconds `json:"interval"`
}

// token makes a Token of an answer. That it says how long it lives is seen to before (withLife).
func (a oauthAnswer) token(now time.Time) Token {
	t := Token{Access: a.Access, Expires: now.Add(time.Duration(a.ExpiresIn))}
	if a.RefreshIn > 0 {
		t.RefreshIn = now.Add(time.Duration(a.RefreshIn))
	}
	return t
}

// seconds is a number of seconds, which some providers send as text or with a fraction. What cannot be read is 0.
type seconds time.Duration

// longest bounds what a provider may say, so that arithmetic with it cannot overflow.
const longest = 10 * 365 * 24 * time.Hour

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil || n != n {
		return nil
	}
	*s = seconds(min(max(n, -1), longest.Seconds()) * float64(time.Second))
	return nil
}

var (
	errNotJSON = errors.New("the answer is not the JSON of a sign-in service")
	errNoToken = errors.New("the answer holds no token")
)

// call posts a form as this app and returns the answer, x having watched the wire. Errors are Problems.
//
// Entra takes a secret in the form. Others must take it as Basic (RFC 6749 §2.3.1) and may take it in the form, but
// some are told to expect just one of the two: the form is the second try, when the first was invalid_client.
func (p Provider) call(ctx context.Context, x *exchange, to string, form url.Values, secrets ...string) (oauthAnswer, error) {
	x.vendor = p.Vendor
	secret, err := p.secret()
	if err != nil {
		return oauthAnswer{}, err
	}
	secrets = append(secrets, secret)
	basic := secret != "" && p.entra == nil
	a, err := p.try(ctx, x, to, form, secret, basic)
	if err != nil && basic && x.last != nil && x.last.oauth.Code == "invalid_client" {
		a, err = p.try(ctx, x, to, form, secret, false)
	}
	var problem *diagnose.Problem
	if err == nil || errors.As(err, &problem) {
		return a, err
	}
	return oauthAnswer{}, explain(err, x, secrets...)
}

// try makes one request.
func (p Provider) try(ctx context.Context, x *exchange, to string, form url.Values, secret string, basic bool) (oauthAnswer, error) {
	form.Set("client_id", p.ClientID)
	if secret != "" && !basic {
		form.Set("client_secret", secret)
	}
	if err := p.assert(form); err != nil {
		return oauthAnswer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return oauthAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(secret))
	}
	return ask(x.client(p.HTTP), req)
}

// ask makes a request and reads an answer with a token or a device code; anything else is an error.
func ask(client *http.Client, req *http.Request) (oauthAnswer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return oauthAnswer{}, err
	}
	defer resp.Body.Close()
	var a oauthAnswer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return oauthAnswer{}, errNotJSON // the decoder's own words could repeat a piece of a token
	}
	if resp.StatusCode/100 != 2 || a.Access == "" && a.DeviceCode == "" {
		return oauthAnswer{}, errNoToken
	}
	return a, nil
}

// secret reads the app's secret; "" without one.
func (p Provider) secret() (string, error) {
	fix := p.Vendor.fix(onSecret)
	if p.Secret == nil || p.Certificate != nil { // one proof at a time, RFC 6749 §2.3
		return "", nil
	}
	secret, err := p.Secret()
	switch {
	case err != nil:
		return "", misconfigured("The client secret cannot be read", fix, err)
	case secret == "":
		return "", misconfigured("The client secret is empty", fix, nil)
	}
	return secret, nil
}
