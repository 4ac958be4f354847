package tokens

import (
	"context"
	"net/url"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

const (
	// weekly is when a token is renewed at the latest, however long it lives: a refresh token that nobody uses dies
	// (Entra: after 90 days), so each is used at least once a week, a day of failures included.
	weekly = 6 * 24 * time.Hour
	// lastBreath is what a refresh under way is given when the relay stops: a provider that has already put a new
	// refresh token in the old one's place must be heard out, or the sign-in is lost.
	lastBreath = 5 * time.Second
)

// Delegated is the flow of an account as which a person signed in (DeviceSignIn or BrowserSignIn, then Store.SignIn).
// Each fetch uses the account's refresh token, whoever of several processes stored it last, and stores the one that
// replaces it before the access token is given out.
//
// One refresh token serves several audiences: make a Delegated for each, with the same store and account, and give
// each its Manager. scopes name one API, as in "https://graph.microsoft.com/Mail.Send offline_access".
func Delegated(p Provider, s *Store, account string, scopes []string) Flow {
	return delegated{p, s, account, scopes}
}

type delegated struct {
	provider Provider
	store    *Store
	account  string
	scopes   []string
}

// Fetch implements Flow.
func (f delegated) Fetch(ctx context.Context) (Token, error) {
	var token Token
	err := f.store.exchange(ctx, f.account, func(g grant) (grant, error) {
		ctx, cancel := outlive(ctx, lastBreath)
		defer cancel()
		var err error
		g, token, err = f.refresh(ctx, g)
		return g, err
	})
	if err != nil {
		return Token{}, err
	}
	return token, nil
}

// Warning is what a person should know although tokens come.
func (f delegated) Warning() *diagnose.Problem { return f.store.Problem() }

// refresh uses a refresh token, RFC 6749 §6, and returns the sign-in as it is afterwards.
func (f delegated) refresh(ctx context.Context, g grant) (grant, Token, error) {
	if g.Client != f.provider.ClientID {
		return g, Token{}, signInNeeded("The sign-in was made for another app than oauth.client_id names", f.account)
	}
	var x exchange
	form := withScopes(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(g.Refresh)}}, f.scopes)
	a, err := f.provider.call(ctx, &x, f.provider.TokenURL, form, string(g.Refresh))
	if err != nil {
		return g, Token{}, err
	}
	if a.Access == "" {
		return g, Token{}, explain(errNoToken, &x, string(g.Refresh))
	}
	now := time.Now()
	if a.Refresh != "" { // RFC 6749 §6: without a new one the old one stays
		g.Refresh = secret(a.Refresh)
	}
	g.Used = now.UTC().Round(0)
	token := a.token(now)
	if at := now.Add(weekly); token.RefreshIn.IsZero() || token.RefreshIn.After(at) {
		token.RefreshIn = at
	}
	return g, token, nil
}

// outlive returns a context that ends so long after its parent.
func outlive(parent context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// signInNeeded is what an account without a usable sign-in is told.
func signInNeeded(cause, account string) *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassNeedsSignIn, Cause: cause,
		Fix: "1. Run `mailbearer authorize " + account + "` and sign in as the mailbox; a running relay goes on by itself.",
	}
}
