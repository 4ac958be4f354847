package tokens

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// redeemed redeems a code at a provider by script.
func redeemed(ctx context.Context, o SignInOptions, answers ...string) (SignedIn, *wire, error) {
	w := &wire{answers: answers}
	o.Provider = w.provider()
	in, err := o.tellOnce().redeem(ctx, url.Values{"code": {"c0de"}}, "http://localhost", "verifier")
	return in, w, err
}

// A code is good for one sign-in that a person has gone through: one fault of the service must not spoil it.
func TestRedeemingTriesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []string
		took    time.Duration
		err     string // of the cause
		fix     string
	}{
		"a fault":       {[]string{"503 x", tokenAnswer}, time.Second, "", ""},
		"cut":           {[]string{"", "", tokenAnswer}, 3 * time.Second, "", ""},
		"too busy":      {[]string{"429 Retry-After: 20", tokenAnswer}, 20 * time.Second, "", ""},
		"for ever":      {[]string{"503 x"}, 11 * time.Second, "fault of its own", "Run the command again in a few minutes"},
		"never there":   {[]string{""}, 11 * time.Second, "", "3. Run the command again."},
		"a portal":      {[]string{"200 <html>"}, 11 * time.Second, "no sense", "3. Run the command again."},
		"much too busy": {[]string{"429 Retry-After: 3600"}, 0, "Too many", "for 1h0m0s"},
		"refused":       {[]string{`400 {"error":"invalid_grant"}`, tokenAnswer}, 0, "no longer valid", "authorize"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, told := time.Now(), 0
				in, w, err := redeemed(t.Context(), SignInOptions{Troubled: func(*diagnose.Problem) { told++ }}, c.answers...)
				if took := time.Since(begin); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if want := min(len(w.times)-1, 1); told != want {
					t.Errorf("told %d times, want %d", told, want)
				}
				if c.fix == "" {
					if err != nil || in.refresh() != "rt" {
						t.Error(err)
					}
					return
				}
				p := problemOf(t, err)
				if !strings.Contains(p.Cause, c.err) || !strings.Contains(p.Fix, c.fix) || strings.Contains(p.Fix, "tried again") {
					t.Errorf("%+v", p)
				}
			})
		})
	}
}

func TestRedeemingIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		begin := time.Now()
		_, _, err := redeemed(ctx, SignInOptions{}, "429 Retry-After: 60")
		if !errors.Is(err, context.Canceled) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestDevicePollingTellsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []*diagnose.Problem
		w := &wire{answers: []string{"503 x", deviceAnswer, slowDown, "", "503 x", pendingError, "", tokenAnswer}}
		o := SignInOptions{Provider: w.provider(), Troubled: func(p *diagnose.Problem) { told = append(told, p) }}
		if _, err := DeviceSignIn(t.Context(), o, func(string, string, time.Time) {}); err != nil || len(told) != 1 || told[0].Said == "" {
			t.Errorf("%v, told %v", err, told)
		}
	})
}

// The mail server would refuse such a token with no more than 535: the person is told while still there.
func TestSignInForTheWrongToken(t *testing.T) {
	t.Parallel()
	const smtp, graph = "https://outlook.office.com", "https://graph.microsoft.com"
	for name, c := range map[string]struct {
		aud, scp string
		api      API
		want     string // in cause and fix; "" for none
	}{
		"right":              {smtp, "SMTP.Send", Exchange, ""},
		"for Graph":          {graph, "SMTP.Send", Exchange, "delegated permission SMTP.Send"},
		"for Graph, anybody": {graph, "SMTP.Send", AnyAPI, ""},
		"without the scope":  {smtp, "IMAP.AccessAsUser.All", Exchange, "was not given the permission"},
		"says no scope":      {smtp, "", Exchange, ""},
	} {
		claims := map[string]any{"aud": c.aud, "upn": "me@x"}
		if c.scp != "" {
			claims["scp"] = c.scp
		}
		a := oauthAnswer{Access: jwt(claims), Refresh: "r", Scope: "https://outlook.office.com/SMTP.Send"}
		in, err := SignInOptions{Scopes: smtpScopes, API: c.api}.signedIn(t.Context(), a)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		p := problemOf(t, err)
		text := p.Cause + p.Fix
		if in.User != "me@x" || !strings.Contains(text, c.want) || strings.Contains(text, "SendAsApp") || strings.Contains(text, "/.default") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// This version has no transport but SMTP.
func TestNoAdviceForAnotherTransport(t *testing.T) {
	t.Parallel()
	for api, words := range wrongAPIWords {
		if text := words.fixApp + words.fixPerson; strings.Contains(text, `transport = "graph"`) || api == Exchange && strings.Contains(text, "transport") {
			t.Errorf("%s: %s", api, text)
		}
	}
}
