package tokens

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

var (
	smtpScopes  = []string{"https://outlook.office.com/SMTP.Send", "offline_access", "openid", "profile"}
	graphScopes = []string{"https://graph.microsoft.com/Mail.Send", "offline_access", "openid", "profile"}
)

// signedInAt has a sign-in at the fake in a store.
func signedInAt(t *testing.T, fake *fake365.Server, s *Store, account string) {
	t.Helper()
	in := person(fake.SignIn())
	in.client = fake.ClientID()
	if err := s.SignIn(t.Context(), account, in); err != nil {
		t.Fatal(err)
	}
}

func TestDelegated(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	fake, entra := tenant(t, fake365.Options{ClientCertificate: pair.certPEM, User: "printer@contoso.com"})
	cert := func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
		return []*x509.Certificate{pair.cert}, pair.key, nil
	}
	for name, p := range map[string]Provider{
		"public":      entra.Provider(nil, nil),
		"secret":      entra.Provider(always(fake.ClientSecret()), nil),
		"certificate": entra.Provider(nil, cert),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, StoreOptions{})
			signedInAt(t, fake, s, "a")
			smtp, graph := Delegated(p, s, "a", smtpScopes), Delegated(p, s, "a", graphScopes)
			for range 2 { // one refresh token, in turn for both
				one, p := fetch(t, smtp)
				if p != nil {
					t.Fatal(p)
				}
				two, p := fetch(t, graph)
				if p != nil {
					t.Fatal(p)
				}
				if c, _ := ParseClaims(one.Access); apiOf(c.Audience[0]) != Exchange || c.Scopes[0] != "SMTP.Send" || c.User != "printer@contoso.com" {
					t.Errorf("%+v", c)
				}
				if c, _ := ParseClaims(two.Access); apiOf(c.Audience[0]) != Graph || c.Scopes[0] != "Mail.Send" {
					t.Errorf("%+v", c)
				}
				if in := time.Until(one.RefreshIn); in > 7*24*time.Hour {
					t.Errorf("renewed in %v", in)
				}
			}
		})
	}
}

func TestDelegatedTrouble(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	s := openStore(t, StoreOptions{})
	p := entra.Provider(nil, nil)
	wants := func(f Flow, class, words string) {
		t.Helper()
		_, p := fetch(t, f)
		if p == nil || p.Class != class || p.Unreachable || !strings.Contains(p.Error(), words) {
			t.Errorf("%+v", p)
		}
	}
	flow := Delegated(p, s, "a", smtpScopes)
	wants(flow, diagnose.ClassNeedsSignIn, "Nobody has signed in")
	signedInAt(t, fake, s, "a")
	other := p
	other.ClientID = "11111111-2222-3333-4444-555555555555"
	wants(Delegated(other, s, "a", smtpScopes), diagnose.ClassNeedsSignIn, "another app")
	wants(Delegated(p, s, "a", []string{"https://outlook.office.com/IMAP.AccessAsUser.All"}), diagnose.ClassNeedsSignIn, "AADSTS65001")
	wants(Delegated(entra.Provider(always("wrong"), nil), s, "a", smtpScopes), diagnose.ClassConfig, "AADSTS7000215")
	wants(Delegated(entra.Provider(always(""), nil), s, "a", smtpScopes), diagnose.ClassConfig, "empty")
	if _, p := fetch(t, flow); p != nil {
		t.Errorf("mistakes cost the sign-in: %v", p)
	}
	fake.RevokeSignIns()
	wants(flow, diagnose.ClassNeedsSignIn, "AADSTS70008")
	signedInAt(t, fake, s, "a")
	if _, p := fetch(t, flow); p != nil {
		t.Errorf("after a new sign-in: %v", p)
	}
}

// A provider that has rotated must be heard out: a lost answer is a lost sign-in.
func TestStopDuringRotation(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	s := openStore(t, StoreOptions{})
	signedInAt(t, fake, s, "a")
	asked := make(chan struct{}, 1)
	entra.HTTP.Transport = slowly{entra.HTTP.Transport, asked, 300 * time.Millisecond}
	m := New(Options{Flow: Delegated(entra.Provider(nil, nil), s, "a", smtpScopes)})
	m.Kick()
	<-asked
	m.Close()
	if _, p := fetch(t, Delegated(entra.Provider(nil, nil), openStore(t, StoreOptions{Dir: s.dir}), "a", smtpScopes)); p != nil {
		t.Errorf("the sign-in is lost: %v", p)
	}
}

// slowly holds answers back after the provider has given them.
type slowly struct {
	next  http.RoundTripper
	asked chan struct{}
	by    time.Duration
}

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	select {
	case s.asked <- struct{}{}:
	default:
	}
	select {
	case <-time.After(s.by):
		return resp, err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestUnwritableStoreWarns(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	s := openStore(t, StoreOptions{})
	signedInAt(t, fake, s, "a")
	unblock := block(t, s)
	warned := make(chan State, 10)
	m := New(Options{Flow: Delegated(entra.Provider(nil, nil), s, "a", smtpScopes), Changed: func(s State) { warned <- s }})
	defer m.Close()
	one, err := m.Token(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if st := m.State(); st.State != Ready || st.Warning == nil || st.Problem != nil {
		t.Errorf("%+v", st)
	}
	if two, err := m.Token(t.Context(), one); err != nil || two == one { // from memory
		t.Error(err)
	}
	unblock()
	s.glance(true)
	if st := m.State(); st.Warning != nil {
		t.Errorf("%+v", st.Warning)
	}
	m.Close()
	for len(warned) > 0 {
		if st := <-warned; st.Warning != nil {
			return
		}
	}
	t.Error("the warning was not told")
}

// What the wire brings at the token endpoint must neither crash nor leak, and must not cost the sign-in.
func TestDelegatedAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const leak = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0LXRva2Vu.c2ln"
	for name, c := range map[string]struct {
		fault fake365.Fault
		class string
	}{
		"garbage":      {fake365.Fault{Answer: "access_token=" + leak}, diagnose.ClassTransient},
		"half":         {fake365.Fault{Answer: `{"access_token":"` + leak + `","expires_in":`}, diagnose.ClassTransient},
		"null":         {fake365.Fault{Answer: "null"}, diagnose.ClassTransient},
		"wrong types":  {fake365.Fault{Answer: `{"access_token":["` + leak + `"]}`}, diagnose.ClassTransient},
		"huge":         {fake365.Fault{Answer: `{"access_token":"` + strings.Repeat("x", maxAnswer) + `"}`}, diagnose.ClassTransient},
		"device":       {fake365.Fault{Answer: `{"device_code":"x"}`}, diagnose.ClassTransient},
		"cut":          {fake365.Fault{Drop: true}, diagnose.ClassTransient},
		"429":          {fake365.Fault{Status: 429, Header: map[string]string{"Retry-After": "60"}}, diagnose.ClassThrottled},
		"error in 200": {fake365.Fault{Answer: `{"error":"invalid_grant","error_description":"` + leak + `"}`}, diagnose.ClassNeedsSignIn},
		"interaction":  {fake365.Fault{Status: 400, Answer: `{"error":"interaction_required","error_description":"AADSTS50076: x","suberror":"basic_action"}`}, diagnose.ClassNeedsSignIn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, entra := tenant(t, fake365.Options{})
			s := openStore(t, StoreOptions{})
			signedInAt(t, fake, s, "a")
			c.fault.At, c.fault.Times = "token", 1
			fake.Fault(c.fault)
			flow := Delegated(entra.Provider(nil, nil), s, "a", smtpScopes)
			_, p := fetch(t, flow)
			if p == nil || p.Class != c.class || p.RetryAfter > 0 != (name == "429") {
				t.Fatalf("%+v", p)
			}
			if strings.Contains(fmt.Sprintf("%+v", *p), "eyJ") {
				t.Errorf("a token leaks: %v", p)
			}
			if _, p := fetch(t, flow); p != nil {
				t.Errorf("the next time: %v", p)
			}
		})
	}
}

// A server that repeats what it was sent must not make us show it.
func TestSignInSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	echo := newEcho(t)
	const short, app = "1//opaque+refresh", "s3cr3t+Value/with=signs~"
	entra := echo.Provider(always(app), nil)
	entra.TokenURL = echo.Authority + "/token"
	other := entra
	other.entra = nil
	signed := entra
	signed.Secret, signed.Certificate = nil, func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
		return []*x509.Certificate{pair.cert}, pair.key, nil
	}
	s := openStore(t, StoreOptions{})
	signIn(t, s, "a", short)
	for name, p := range map[string]Provider{"Entra": entra, "another": other, "certificate": signed} {
		_, flow := fetch(t, Delegated(p, s, "a", smtpScopes))
		_, code := SignInOptions{Provider: p}.redeem(t.Context(), map[string][]string{"code": {short}}, "http://localhost", "ver1fier")
		all := fmt.Sprintf("%+v %v %+v", *flow, flow, *problemOf(t, code))
		if !strings.Contains(all, "[redacted]") || !strings.Contains(all, "client_id") {
			t.Errorf("%s: nothing was repeated: %s", name, all)
		}
		for _, secret := range []string{short, "1%2F%2Fopaque", app, "s3cr3t", "ver1fier", "eyJ"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: shows %s: %s", name, secret, all)
			}
		}
	}
}

func FuzzOAuthAnswers(f *testing.F) {
	f.Add(`{"access_token":"at","refresh_token":"rt","expires_in":"3600","refresh_in":1e99}`)
	f.Add(`{"access_token":"a.e30.c","id_token":"a.e30.c","expires_in":null,"scope":""}`)
	f.Add(`{"device_code":"d","user_code":"u","verification_uri":"x","interval":-1}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := &wire{answers: []string{"200 " + body}}
		a, err := w.provider().call(t.Context(), &exchange{}, "https://h/token", map[string][]string{})
		if err != nil {
			problemOf(t, err)
			return
		}
		now := time.Now()
		if tok := a.token(now); tok.Expires.Sub(now) > longest+time.Hour && a.ExpiresIn != 0 {
			t.Errorf("lives %v", tok.Expires.Sub(now))
		}
		SignInOptions{Provider: w.provider()}.signedIn(t.Context(), a)
	})
}
