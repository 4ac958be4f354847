package tokens

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// strict is an OpenID provider that knows one redirect address, to the letter, and says who it is (RFC 9207).
func strict(t *testing.T, redirect, idToken string) (Provider, *[]url.Values) {
	var issuer string
	var forms []url.Values
	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("redirect_uri") != redirect {
			http.Error(w, "redirect_uri_mismatch", http.StatusBadRequest)
			return
		}
		back := url.Values{"code": {"c"}, "state": {q.Get("state")}, "iss": {issuer}}
		http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		forms = append(forms, r.PostForm)
		if r.PostForm.Get("redirect_uri") != redirect {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"at","refresh_token":"rt","expires_in":60,"id_token":%q}`, idToken)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	issuer = server.URL
	return Provider{
		TokenURL: issuer + "/token", AuthorizeURL: issuer + "/authorize", Issuer: issuer, ClientID: "app", HTTP: server.Client(),
	}, &forms
}

// freeAddress is a redirect address that nobody listens on. Another test may take its port meanwhile, hence no test that
// must be alone on it.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/callback"
}

func TestExactRedirectAndIssuer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ issuer, id, user, cause string }{
		"as configured":  {"", jwt(map[string]any{"sub": "7", "preferred_username": "me@x"}), "me@x", ""},
		"proven address": {"", jwt(map[string]any{"sub": "7", "email": "me@x", "email_verified": true}), "me@x", ""},
		"typed address":  {"", jwt(map[string]any{"sub": "7", "email": "boss@x", "email_verified": false}), "", ""},
		"no name":        {"", jwt(map[string]any{"sub": "me@x"}), "", ""},
		"other issuer":   {"https://elsewhere.test", "", "", "Another provider than the configured one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redirect := freeAddress(t)
			p, forms := strict(t, redirect, c.id)
			p.Issuer = first(c.issuer, p.Issuer)
			var browser sync.WaitGroup
			defer browser.Wait()
			in, err := BrowserSignIn(t.Context(), SignInOptions{Provider: p, Redirect: redirect}, func(at string) error {
				browser.Go(func() { browse(t, Entra{HTTP: p.HTTP}, at) })
				return nil
			})
			if c.cause != "" {
				if q := problemOf(t, err); q.Class != diagnose.ClassConfig || !strings.Contains(q.Cause, c.cause) || len(*forms) != 0 {
					t.Errorf("%+v, %d requests", q, len(*forms))
				}
				return
			}
			if err != nil || in.User != c.user || in.refresh() != "rt" {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
}

// An app's certificate at any provider: the proof is for the issuer if it has one, else for the token endpoint.
func TestClientCredentialsByCertificate(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	for _, issuer := range []string{"", "https://h"} {
		w := &wire{answers: []string{tokenAnswer}}
		p := w.provider()
		p.Issuer, p.Secret = issuer, always("not to be sent")
		p.Certificate = func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
			return []*x509.Certificate{pair.cert}, pair.key, nil
		}
		if _, q := fetch(t, ClientCredentials(p, nil)); q != nil {
			t.Fatal(q)
		}
		form := w.forms[0]
		c, ok := ParseClaims(form.Get("client_assertion"))
		if !ok || c.Audience[0] != first(issuer, p.TokenURL) || form.Has("client_secret") || w.heads[0].Get("Authorization") != "" || form.Has("scope") {
			t.Errorf("%v %v %v", c, form, w.heads[0])
		}
	}
}

// A scope that is empty is no scope (RFC 6749 §3.3).
func TestNoEmptyScope(t *testing.T) {
	t.Parallel()
	w := &wire{answers: []string{`400 {"error":"invalid_client"}`, tokenAnswer}}
	DeviceSignIn(t.Context(), SignInOptions{Provider: w.provider()}, nil)
	s := openStore(t, StoreOptions{})
	signIn(t, s, "a", "rt")
	if _, p := fetch(t, Delegated(w.provider(), s, "a", nil)); p != nil {
		t.Error(p)
	}
	for _, form := range w.forms {
		if form.Has("scope") {
			t.Errorf("%v", form)
		}
	}
}

// words of each vendor that nobody else's administrator should read.
var foreignWords = map[Vendor][]string{
	Microsoft: {"Google", "google"},
	Google:    {"Entra", "Microsoft", "microsoft", "Exchange", "App registrations", "tenant", "Azure"},
	Other:     {"Entra", "Microsoft", "microsoft", "Exchange", "App registrations", "tenant", "Azure", "Google", "google"},
}

func spared(t *testing.T, by Vendor, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%q, %s: no words", by, what)
	}
	for _, word := range foreignWords[by] {
		if strings.Contains(text, word) {
			t.Errorf("%q, %s speaks of %s: %s", by, what, word, text)
		}
	}
}

// Whatever goes wrong, nobody is sent to pages that are not his provider's.
func TestAdviceIsAboutTheProvider(t *testing.T) {
	t.Parallel()
	for by := range foreignWords {
		for what := range advice {
			spared(t, by, fmt.Sprint("topic ", what), by.fix(what))
		}
		answers := []string{"", "503 x", "429 Retry-After: 9", "200 garbage", "200 {}", "407 x", `400 {"error":"something_new"}`}
		for code := range verdicts {
			if code == "invalid_tenant" && by != Microsoft {
				continue // nobody else says it
			}
			answers = append(answers, fmt.Sprintf(`400 {"error":%q}`, code), fmt.Sprintf(`400 {"error":%q,"error_description":"Token has been expired or revoked."}`, code))
		}
		for _, answer := range answers {
			p := (&wire{answers: []string{answer}}).provider()
			p.Vendor = by
			_, q := fetch(t, ClientCredentials(p, []string{"mail"}))
			if q == nil {
				t.Errorf("%s: no problem", answer)
				continue
			}
			if by == Microsoft && strings.Contains(answer, "Token has been") {
				continue // Google's own words, which Microsoft never says
			}
			spared(t, by, answer, q.Cause+" "+q.Fix)
		}
		for _, q := range []*diagnose.Problem{
			scopeMissing([]string{"mail"}, by), noRefreshToken(nil, by), refusedFresh(by), refusedInBrowser(url.Values{"error": {"server_error"}}, by),
			unreachable(&net.DNSError{Err: "no such host", Name: "login.example", IsNotFound: true}, by, nil),
		} {
			spared(t, by, "a problem", q.Cause+" "+q.Fix)
		}
		for kind := range expiryWords {
			w := expiryText(Expiry{Kind: kind, At: time.Now(), Vendor: by}, time.Hour)
			spared(t, by, kind, w.Text+" "+w.Fix)
		}
	}
	if !strings.Contains(Microsoft.fix(onCredential), "Entra") || !strings.Contains(Google.fix(onCredential), "Google") {
		t.Error("those who have pages are sent there")
	}
}
