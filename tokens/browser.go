package tokens

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/mailbearer/mailbearer/diagnose"
)

// BrowserSignIn lets a person sign in with a browser: authorization code with PKCE (RFC 7636, S256) and state. open
// is told the address, once, when the page that the browser comes back to is ready; an error of open ends the
// sign-in, so a caller that cannot start a browser shows the address and returns nil. Errors are Problems, or the
// context's.
//
// With a SignedIn beside the error the person did sign in, but not as needed (another tenant, a missing permission).
func BrowserSignIn(ctx context.Context, o SignInOptions, open func(url string) error) (SignedIn, error) {
	if o.Provider.AuthorizeURL == "" {
		return SignedIn{}, misconfigured("The provider has no sign-in by browser", "1. Use flow = \"device-code\", or set endpoints.authorize.", nil)
	}
	o = o.tellOnce()
	ctx, cancel := context.WithTimeoutCause(ctx, signInLimit, browserExpired())
	defer cancel()
	state, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	page, err := openCallback(o.Redirect, state)
	if err != nil {
		return SignedIn{}, err
	}
	defer page.close()
	if err := open(o.authorizeURL(page.redirect, state, verifier)); err != nil {
		return SignedIn{}, err
	}
	back, err := page.wait(ctx, o)
	if err != nil {
		return SignedIn{}, err
	}
	in, err := o.redeem(ctx, back.values, page.redirect, verifier)
	if p := (*diagnose.Problem)(nil); errors.As(err, &p) {
		err = p.For(o.Account)
	}
	back.answer(in, err)
	return in, err
}

// authorizeURL is where the browser goes, RFC 6749 §4.1.1. At Entra the person chooses who to be: a browser that is
// signed in as the administrator would not ask. Elsewhere consent is asked for, without which OpenID Connect (Core
// §11) and Google (access_type) give no refresh token.
func (o SignInOptions) authorizeURL(redirect, state, verifier string) string {
	config := oauth2.Config{
		ClientID: o.Provider.ClientID, RedirectURL: redirect, Scopes: o.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: o.Provider.AuthorizeURL},
	}
	with := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	if o.Hint != "" {
		with = append(with, oauth2.SetAuthURLParam("login_hint", o.Hint))
	}
	if o.Provider.entra != nil {
		with = append(with, oauth2.SetAuthURLParam("prompt", "select_account"), oauth2.SetAuthURLParam("response_mode", "query"))
	} else {
		with = append(with, oauth2.SetAuthURLParam("prompt", "consent"), oauth2.AccessTypeOffline)
	}
	return config.AuthCodeURL(state, with...)
}

// redeem turns what the browser came back with into a sign-in.
func (o SignInOptions) redeem(ctx context.Context, back url.Values, redirect, verifier string) (SignedIn, error) {
	if iss := back.Get("iss"); iss != "" && o.Provider.Issuer != "" && iss != o.Provider.Issuer { // RFC 9207 §2.4
		p := misconfigured("Another provider than the configured one answered the sign-in",
			"1. If this is your provider, write endpoints.issuer to the letter as it names itself. 2. If it is not, close that browser window, and sign in again.", nil)
		p.Said = clean("it calls itself " + iss)
		return SignedIn{}, p
	}
	if back.Get("code") == "" {
		return SignedIn{}, refusedInBrowser(back, o.Provider.Vendor)
	}
	code := back.Get("code")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	if o.Provider.entra != nil {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	a, err := o.persist(ctx, func(ctx context.Context, x *exchange) (oauthAnswer, error) {
		a, err := o.Provider.call(ctx, x, o.Provider.TokenURL, form, code, verifier)
		if err == nil && a.Access == "" {
			err = explain(errNoToken, x, code, verifier)
		}
		return a, err
	})
	if err != nil {
		return SignedIn{}, err
	}
	return o.signedIn(ctx, a)
}

// refusedInBrowser explains an error that came by way of the browser, RFC 6749 §4.1.2.1.
func refusedInBrowser(back url.Values, by Vendor) *diagnose.Problem {
	a := &answer{status: 400, oauth: oauthError{Code: back.Get("error"), Description: back.Get("error_description")}}
	p := refused(errNoToken, a, by, nil)
	declined(p, a.oauth.Code)
	return p
}

// declined puts access_denied into the words of a sign-in: there it means that the person said no (RFC 6749 §4.1.2.1,
// RFC 8628 §3.5). A refusal that the catalogue knows better keeps its own words.
func declined(p *diagnose.Problem, code string) {
	if code == "access_denied" && p.Cause == verdicts["access_denied"].cause {
		p.Class, p.Cause = diagnose.ClassNeedsSignIn, "The sign-in was cancelled, or the permission was not granted"
		p.Fix = "1. Sign in again, and accept what the app asks for. 2. If it asks for an administrator, have one approve the app."
	}
}

func browserExpired() *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassNeedsSignIn, Cause: "Nobody finished the sign-in within a quarter of an hour",
		Fix: "1. Run the command again. 2. If the browser is on another machine, use --device-code, or paste the address that it ended at.",
	}
}
