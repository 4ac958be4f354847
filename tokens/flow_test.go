package tokens

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

// tenant starts a fake Microsoft and returns how to reach it.
func tenant(t *testing.T, o fake365.Options) (*fake365.Server, Entra) {
	t.Helper()
	fake, err := fake365.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fake.Close() })
	path, err := fake.WriteCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := LoadCAFile(path)
	if err != nil {
		t.Fatal(err)
	}
	client := NewHTTPClient(HTTPOptions{RootCAs: pool})
	t.Cleanup(client.CloseIdleConnections)
	return fake, Entra{
		Authority: fake.Authority(), Tenant: fake.Tenant(), ClientID: fake.ClientID(),
		Scopes: []string{"https://outlook.office365.com/.default"}, HTTP: client,
	}
}

func always[T any](v T) func() (T, error) { return func() (T, error) { return v, nil } }

func fetch(t *testing.T, f Flow) (Token, *diagnose.Problem) {
	t.Helper()
	tok, err := f.Fetch(t.Context())
	if err == nil {
		return tok, nil
	}
	p := problemOf(t, err)
	if p.Cause == "" || p.Fix == "" || p.Class == "" {
		t.Errorf("a Problem without words: %+v", p)
	}
	return tok, p
}

func TestClientSecret(t *testing.T) {
	t.Setenv("MSAL_FORCE_REGION", "westeurope") // would move the secret to another host
	fake, entra := tenant(t, fake365.Options{RefreshIn: 20 * time.Minute})
	flow := ClientSecret(entra, always(fake.ClientSecret()))
	one, p := fetch(t, flow)
	if p != nil {
		t.Fatal(p)
	}
	two, _ := fetch(t, flow)
	if one.Access == two.Access || fake.Counters().TokenRequests != 2 {
		t.Error("the second fetch came from a cache")
	}
	if left := time.Until(one.Expires); left < 59*time.Minute || left > time.Hour {
		t.Errorf("expires in %v", left)
	}
	if in := time.Until(one.RefreshIn); in < 19*time.Minute || in > 20*time.Minute {
		t.Errorf("to be renewed in %v", in)
	}
	claims, ok := ParseClaims(one.Access)
	if !ok || apiOf(claims.Audience[0]) != Exchange || claims.Roles[0] != "SMTP.SendAsApp" {
		t.Errorf("claims %+v", claims)
	}
}

func TestSecretIsReadAtEachFetch(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	secret := "old-and-wrong-secret"
	flow := ClientSecret(entra, func() (string, error) { return secret, nil })
	_, p := fetch(t, flow)
	if p == nil || p.Class != diagnose.ClassConfig || p.Unreachable || p.Cause != "The client secret is wrong" ||
		!strings.Contains(p.Said, "AADSTS7000215") || !strings.Contains(p.Fix, "Value") {
		t.Fatalf("a wrong secret: %+v", p)
	}
	secret = fake.ClientSecret()
	if _, p := fetch(t, flow); p != nil {
		t.Errorf("after it was put right: %v", p)
	}
}

func TestSecretTrouble(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]func() (string, error){
		"unreadable": func() (string, error) { return "", os.ErrPermission },
		"empty":      always(""),
	} {
		_, p := fetch(t, ClientSecret(Entra{}, secret))
		if p == nil || p.Class != diagnose.ClassConfig || p.Unreachable {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	_, entra := tenant(t, fake365.Options{ClientCertificate: pair.certPEM})
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"pkcs8.pem":  append(pair.keyPEM(t, "PRIVATE KEY"), pair.certPEM...),
		"pkcs1.pem":  append(pair.certPEM, pair.keyPEM(t, "RSA PRIVATE KEY")...),
		"modern.pfx": pair.pfx(t, "pass"),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		flow := ClientCertificate(entra, func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
			return LoadCertificate(path, "", "pass")
		})
		if _, p := fetch(t, flow); p != nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestCertificateTrouble(t *testing.T) {
	t.Parallel()
	now := time.Now()
	known := newPair(t, "known", now.Add(-time.Hour), now.Add(time.Hour))
	_, entra := tenant(t, fake365.Options{ClientCertificate: known.certPEM})
	for name, c := range map[string]struct {
		pair  pair
		class string
		cause string
	}{
		"expired":       {newPair(t, "expired", now.Add(-2*time.Hour), now.Add(-time.Hour)), diagnose.ClassNeedsAdmin, "expired"},
		"not yet valid": {newPair(t, "early", now.Add(time.Hour), now.Add(2*time.Hour)), diagnose.ClassConfig, "not valid yet"},
		"not uploaded":  {newPair(t, "unknown", now.Add(-time.Hour), now.Add(time.Hour)), diagnose.ClassConfig, "certificate"},
	} {
		flow := ClientCertificate(entra, func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
			return []*x509.Certificate{c.pair.cert}, c.pair.key, nil
		})
		_, p := fetch(t, flow)
		if p == nil || p.Class != c.class || p.Unreachable || !strings.Contains(p.Cause, c.cause) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	_, p := fetch(t, ClientCertificate(entra, func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
		return LoadCertificate(filepath.Join(t.TempDir(), "none.pfx"), "", "")
	}))
	if p == nil || p.Class != diagnose.ClassConfig {
		t.Errorf("a missing file: %+v", p)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	for name, c := range map[string]struct {
		change func(*Entra)
		class  string
		cause  string
	}{
		"unknown tenant": {func(e *Entra) { e.Tenant = "nobody.example" }, diagnose.ClassConfig, "The tenant was not found"},
		"unknown app":    {func(e *Entra) { e.ClientID = "11111111-2222-3333-4444-555555555555" }, diagnose.ClassConfig, ""},
		"bad scope":      {func(e *Entra) { e.Scopes = []string{"https://outlook.office365.com/SMTP.Send"} }, diagnose.ClassConfig, ""},
		"no tenant":      {func(e *Entra) { e.Tenant = "" }, diagnose.ClassConfig, "settings"},
		"no https":       {func(e *Entra) { e.Authority = "http://localhost:1" }, diagnose.ClassConfig, "settings"},
	} {
		e := entra
		c.change(&e)
		_, p := fetch(t, ClientSecret(e, always(fake.ClientSecret())))
		if p == nil || p.Unreachable || p.Class != c.class || !strings.Contains(p.Cause, c.cause) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// Each of these is an answer or none, at either of the two requests of a fetch.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const leak = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0LXRva2Vu.c2ln"
	huge := `{"access_token":"` + leak + `","pad":"` + strings.Repeat("x", maxAnswer) + `"}`
	for name, c := range map[string]struct {
		fault       fake365.Fault
		unreachable bool
		class       string
		retryAfter  time.Duration
	}{
		"429":                {fake365.Fault{Status: 429, Header: map[string]string{"Retry-After": "60"}}, true, diagnose.ClassThrottled, time.Minute},
		"503":                {fake365.Fault{Status: 503, Header: map[string]string{"Retry-After": "7"}}, true, diagnose.ClassTransient, 7 * time.Second},
		"502 of a proxy":     {fake365.Fault{Status: 502, Answer: "<html>Bad gateway"}, true, diagnose.ClassTransient, 0},
		"403 of a proxy":     {fake365.Fault{Status: 403, Answer: "<html>Blocked"}, true, diagnose.ClassTransient, 0},
		"redirect":           {fake365.Fault{Status: 307, Header: map[string]string{"Location": "https://portal.example/"}}, true, diagnose.ClassTransient, 0},
		"garbage":            {fake365.Fault{Answer: "access_token=" + leak}, true, diagnose.ClassTransient, 0},
		"half an answer":     {fake365.Fault{Answer: `{"access_token":"` + leak + `","expires_in":`}, true, diagnose.ClassTransient, 0},
		"null":               {fake365.Fault{Answer: `null`}, true, diagnose.ClassTransient, 0},
		"empty object":       {fake365.Fault{Answer: `{}`}, true, diagnose.ClassTransient, 0},
		"wrong types":        {fake365.Fault{Answer: `{"access_token":["` + leak + `"],"issuer":7,"error":{}}`}, true, diagnose.ClassTransient, 0},
		"huge":               {fake365.Fault{Answer: huge}, true, diagnose.ClassTransient, 0},
		"cut":                {fake365.Fault{Drop: true}, true, diagnose.ClassTransient, 0},
		"error in a 200":     {fake365.Fault{Answer: `{"error":"invalid_client","error_description":"AADSTS7000222: expired"}`}, false, diagnose.ClassNeedsAdmin, 0},
		"unavailable as 400": {fake365.Fault{Status: 400, Answer: `{"error":"temporarily_unavailable","error_description":"AADSTS90033: A transient error"}`}, true, diagnose.ClassTransient, 0},
		"unknown error":      {fake365.Fault{Status: 400, Answer: `{"error":"out_of_cheese","error_description":"redo"}`}, false, diagnose.ClassConfig, 0},
		"sign-in needed":     {fake365.Fault{Status: 400, Answer: `{"error":"invalid_grant","error_description":"AADSTS99999: new words"}`}, false, diagnose.ClassNeedsSignIn, 0},
		"blocked by policy":  {fake365.Fault{Status: 400, Answer: `{"error":"access_denied","error_description":"AADSTS53003: Access has been blocked by Conditional Access policies."}`}, false, diagnose.ClassNeedsAdmin, 0},
		"texts do not decide": {fake365.Fault{Status: 400, Answer: `{"error":"invalid_grant","error_description":"AADSTS90033: A transient error"}`},
			false, diagnose.ClassNeedsSignIn, 0},
	} {
		for _, at := range []string{"discovery", "token"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				fake, entra := tenant(t, fake365.Options{})
				fault := c.fault
				fault.At = at
				fake.Fault(fault)
				_, p := fetch(t, ClientSecret(entra, always(fake.ClientSecret())))
				if p == nil || p.Unreachable != c.unreachable || p.Class != c.class || p.RetryAfter != c.retryAfter {
					t.Errorf("%+v", p)
				}
				if p != nil && strings.Contains(fmt.Sprintf("%+v %v", *p, p), "eyJ") {
					t.Errorf("a token leaks: %v", p)
				}
			})
		}
	}
}

// A server that repeats what it was sent must not make us show it.
func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t+Value/with=signs~"
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	echo := newEcho(t)
	for name, flow := range map[string]Flow{
		"secret": ClientSecret(echo, always(secret)),
		"certificate": ClientCertificate(echo, func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
			return []*x509.Certificate{pair.cert}, pair.key, nil
		}),
	} {
		_, p := fetch(t, flow)
		all := fmt.Sprintf("%+v %v", *p, p)
		if !strings.Contains(all, "[redacted]") || !strings.Contains(all, "client_id") {
			t.Errorf("%s: nothing was repeated: %s", name, all)
		}
		for _, s := range []string{secret, "s3cr3t", "eyJ"} {
			if strings.Contains(all, s) {
				t.Errorf("%s: shows %s: %s", name, s, all)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	flow := ClientSecret(entra, always(fake.ClientSecret()))
	if err := fake.TokensDown(); err != nil {
		t.Fatal(err)
	}
	_, p := fetch(t, flow)
	if p == nil || !p.Unreachable || p.Class != diagnose.ClassTransient || p.Said == "" {
		t.Errorf("nothing listens: %+v", p)
	}
	if err := fake.TokensUp(); err != nil {
		t.Fatal(err)
	}
	fake.Fault(fake365.Fault{At: "token", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := flow.Fetch(ctx)
	if p := problemOf(t, err); !p.Unreachable || p.Class != diagnose.ClassTransient {
		t.Errorf("no answer: %+v", p)
	}
	entra.HTTP = NewHTTPClient(HTTPOptions{})
	_, p = fetch(t, ClientSecret(entra, always(fake.ClientSecret())))
	if p == nil || !p.Unreachable || p.Class != diagnose.ClassConfig || !strings.Contains(p.Fix, "ca_file") {
		t.Errorf("an unknown authority: %+v", p)
	}
	p = asProblem(&net.DNSError{Err: "no such host", Name: "login.example", IsNotFound: true}, Microsoft)
	if !p.Unreachable || p.Class != diagnose.ClassTransient || p.Cause != "The host name cannot be found" {
		t.Errorf("an unknown host: %+v", p)
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	u, _ := url.Parse(strings.Replace(proxy.URL, "http://", "http://me:hunter2@", 1))
	client := NewHTTPClient(HTTPOptions{Proxy: http.ProxyURL(u)})
	e := Entra{Authority: "https://login.example", Tenant: "t", ClientID: "app", Scopes: []string{"s/.default"}, HTTP: client}
	_, p := fetch(t, ClientSecret(e, always("secret-of-the-app")))
	if p == nil || !p.Unreachable || !strings.Contains(p.Cause, "proxy") || strings.Contains(p.Said, "hunter2") {
		t.Errorf("%+v", p)
	}
}

func TestManagerWithFlow(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{NoConsent: true})
	m := New(Options{Name: "default", Flow: ClientSecret(entra, always(fake.ClientSecret())), API: Exchange})
	defer m.Close()
	one, err := m.Token(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !m.State().NoRoles() {
		t.Error("missing roles go unnoticed")
	}
	if two, err := m.Token(t.Context(), one); err != nil || two == one {
		t.Errorf("a refused token is renewed: %v", err)
	}
	entra.Scopes = []string{"https://graph.microsoft.com/.default"}
	m2 := New(Options{Flow: ClientSecret(entra, always(fake.ClientSecret())), API: Exchange})
	defer m2.Close()
	_, err = m2.Token(t.Context(), "")
	if p := problemOf(t, err); p.Class != diagnose.ClassConfig || !strings.Contains(p.Cause, "Graph") {
		t.Errorf("%+v", p)
	}
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"60", "", time.Minute}, {"", "", 0}, {"-5", "", 0}, {"soon", "", 0}, {"99999999999999999999", "", 0},
		{"Wed, 25 Nov 2026 10:01:00 GMT", "Wed, 25 Nov 2026 10:00:00 GMT", time.Minute},
		{"Wed, 25 Nov 2020 10:01:00 GMT", "", 0},
	} {
		h := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		if got := retryAfter(h); got != c.want {
			t.Errorf("%q: %v, want %v", c.value, got, c.want)
		}
	}
}

func TestLoadCAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := LoadCAFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte{0x30, 0x82}, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCAFile(path); err == nil || !strings.Contains(err.Error(), "openssl") {
		t.Errorf("a DER file: %v", err)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"a\r\nb\x1b[31m  c": "a b [31m c",
		"id 11111111-2222-3333-4444-555555555555 thumbprint A1B2C3D4E5F60718293A4B5C6D7E8F9001122334": "id 11111111-2222-3333-4444-555555555555 thumbprint A1B2C3D4E5F60718293A4B5C6D7E8F9001122334",
		"token eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.abc end":                                               "token [redacted] end",
		"opaque " + strings.Repeat("Ab0", 40) + " end":                                                "opaque [redacted] end",
		"p w pw%2B": "p w [redacted]",
	} {
		if got := clean(said, "pw+", ""); got != want {
			t.Errorf("%q becomes %q", said, got)
		}
	}
	if got := clean(strings.Repeat("ä ", 1000)); len(got) > maxSaid+8 {
		t.Errorf("%d octets", len(got))
	}
}

// certPEMOf is what an administrator uploads.
func certPEMOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// scripted answers the two requests of a fetch with what a fuzzer thought of.
type scripted struct{ discovery, token string }

func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	body := s.discovery
	if r.Method == http.MethodPost {
		body = s.token
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func FuzzAnswers(f *testing.F) {
	const discovery = `{"issuer":"https://h/t","token_endpoint":"https://h/token","authorization_endpoint":"https://h/a"}`
	f.Add(discovery, `{"access_token":"opaque","expires_in":3600,"refresh_in":"60","token_type":"Bearer"}`)
	f.Add(discovery, `{"access_token":"opaque","expires_on":"1.9e9","id_token":"a.b.c","client_info":"e30"}`)
	f.Add(discovery, `{"error":"invalid_client","error_description":"AADSTS7000215","error_codes":[7000215]}`)
	f.Add(`{"issuer":7,"extra":{"a":[1,{"b":null}]}}`, `[]`)
	f.Fuzz(func(t *testing.T, d, tok string) {
		flow := ClientSecret(Entra{
			Authority: "https://h", Tenant: "t", ClientID: "app", Scopes: []string{"s/.default"},
			HTTP: &http.Client{Transport: scripted{d, tok}},
		}, always("a-client-secret"))
		_, err := flow.Fetch(t.Context())
		var p *diagnose.Problem
		if err != nil && (!errors.As(err, &p) || strings.Contains(p.Said, "a-client-secret")) {
			t.Errorf("%v", err)
		}
	})
}
