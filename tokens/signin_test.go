package tokens

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

func TestDeviceSignIn(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{User: "printer@contoso.com", DeviceInterval: time.Second})
	o := SignInOptions{Provider: entra.Provider(nil, nil), Scopes: smtpScopes}
	fake.Fault(fake365.Fault{At: "token", Match: "device_code=", Status: 503, Times: 1})
	in, err := DeviceSignIn(t.Context(), o, func(code, url string, expires time.Time) {
		if left := time.Until(expires); left < 14*time.Minute || left > 15*time.Minute || !strings.HasPrefix(url, "https://") {
			t.Errorf("%q, until %v", url, left)
		}
		fake.Approve(code)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !in.IsMailbox("Printer@Contoso.com") || in.IsMailbox("boss@contoso.com") || in.Tenant != fake.TenantID() || missingScopes(smtpScopes, in.Scopes) != nil {
		t.Errorf("%+v", in)
	}
	s := openStore(t, StoreOptions{})
	if err := s.SignIn(t.Context(), "a", in); err != nil {
		t.Fatal(err)
	}
	if _, p := fetch(t, Delegated(o.Provider, s, "a", smtpScopes)); p != nil {
		t.Error(p)
	}
}

func TestDeviceSignInRefused(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{DeviceInterval: time.Second})
	o := SignInOptions{Provider: entra.Provider(nil, nil), Scopes: smtpScopes}
	_, err := DeviceSignIn(t.Context(), o, func(code, _ string, _ time.Time) { fake.Decline(code) })
	if p := problemOf(t, err); p.Class != diagnose.ClassNeedsSignIn || p.Unreachable || p.Fix == "" {
		t.Errorf("%+v", p)
	}
	o.Scopes = []string{"https://vault.example/x"}
	_, err = DeviceSignIn(t.Context(), o, nil)
	if p := problemOf(t, err); p.Class != diagnose.ClassConfig {
		t.Errorf("%+v", p)
	}
	o.Provider.DeviceURL = ""
	_, err = DeviceSignIn(t.Context(), o, nil)
	if p := problemOf(t, err); p.Class != diagnose.ClassConfig {
		t.Errorf("%+v", p)
	}
}

// wire is a provider by script: each request gets the next answer, the last one again and again.
type wire struct {
	mu      sync.Mutex
	answers []string // "STATUS body", or "" for a broken connection
	times   []time.Time
	forms   []url.Values
	heads   []http.Header
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body := []byte{}
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	form, _ := url.ParseQuery(string(body))
	w.times, w.forms, w.heads = append(w.times, time.Now()), append(w.forms, form), append(w.heads, r.Header)
	next := w.answers[min(len(w.times), len(w.answers))-1]
	if next == "" {
		return nil, errors.New("connection reset by peer")
	}
	var status int
	text, header := "", http.Header{}
	fmt.Sscan(next, &status)
	if _, rest, ok := strings.Cut(next, " "); ok {
		text = rest
	}
	if after, ok := strings.CutPrefix(text, "Retry-After: "); ok {
		header.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (w *wire) provider() Provider {
	return Provider{TokenURL: "https://h/token", DeviceURL: "https://h/device", AuthorizeURL: "https://h/authorize", ClientID: "app", HTTP: &http.Client{Transport: w}}
}

const (
	deviceAnswer = `200 {"device_code":"dc","user_code":"AB","verification_uri":"https://h/d","expires_in":900,"interval":"10"}`
	pendingError = `400 {"error":"authorization_pending"}`
	slowDown     = `400 {"error":"slow_down"}`
	tokenAnswer  = `200 {"access_token":"at","refresh_token":"rt","expires_in":"3600"}`
)

func TestDevicePolling(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []string
		at      string // seconds at which it asked
		err     string
	}{
		"patience":       {[]string{deviceAnswer, pendingError, pendingError, tokenAnswer}, "10 20 30", ""},
		"slow_down":      {[]string{deviceAnswer, slowDown, pendingError, slowDown, tokenAnswer}, "10 25 40 60", ""},
		"failures":       {[]string{deviceAnswer, "", "503 x", "502 <html>", pendingError, tokenAnswer}, "10 30 40 50 60", ""},
		"garbage":        {[]string{deviceAnswer, "200 null", tokenAnswer}, "10 20", ""},
		"nobody answers": {[]string{deviceAnswer, "", "", "", "", pendingError, tokenAnswer}, "10 30 55 80 105 115", ""},
		"429, no time":   {[]string{deviceAnswer, "429 x", tokenAnswer}, "10 25", ""},
		"late code":      {[]string{"503 x", "", "429 Retry-After: 7", deviceAnswer, tokenAnswer}, "1 3 10 20", ""},
		"no service":     {[]string{"503 x"}, "1 3 7 11", "fault of its own"},
		"too busy":       {[]string{"429 Retry-After: 90"}, "", "Too many"},
		"429":            {[]string{deviceAnswer, "429 Retry-After: 45", tokenAnswer}, "10 55", ""},
		"429 for ever":   {[]string{deviceAnswer, "429 Retry-After: 9999", tokenAnswer}, "10 70", ""},
		"no interval":    {[]string{`200 {"device_code":"dc","user_code":"AB","verification_url":"https://h/d"}`, tokenAnswer}, "5", ""},
		"mad interval":   {[]string{`200 {"device_code":"dc","user_code":"AB","verification_uri":"https://h/d","interval":-1,"expires_in":1e300}`, tokenAnswer}, "5", ""},
		"declined":       {[]string{deviceAnswer, `400 {"error":"access_denied"}`}, "10", "cancelled"},
		"expired":        {[]string{deviceAnswer, `400 {"error":"expired_token"}`}, "10", "expired"},
		"nobody":         {[]string{`200 {"device_code":"dc","user_code":"AB","verification_uri":"https://h/d","expires_in":25,"interval":10}`, pendingError}, "10 20", "expired"},
		"no code":        {[]string{`200 {"access_token":"x"}`}, "1 3 7 11", "no sense"},
		"no refresh":     {[]string{deviceAnswer, `200 {"access_token":"at","expires_in":3600}`}, "10", "refresh token"},
		"misses a scope": {[]string{deviceAnswer, `200 {"access_token":"at","refresh_token":"rt","expires_in":3600,"scope":"openid"}`}, "10", "mail.send"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, w := time.Now(), &wire{answers: c.answers}
				in, err := DeviceSignIn(t.Context(), SignInOptions{Provider: w.provider(), Scopes: []string{"mail.send", "offline_access"}},
					func(string, string, time.Time) {})
				var at []string
				for _, asked := range w.times[1:] {
					at = append(at, fmt.Sprint(asked.Sub(start).Seconds()))
				}
				if got := strings.Join(at, " "); got != c.at {
					t.Errorf("asked at %s, want %s", got, c.at)
				}
				switch {
				case c.err == "" && (err != nil || in.refresh() != "rt"):
					t.Errorf("%v", err)
				case c.err != "" && (err == nil || !strings.Contains(problemOf(t, err).Error(), c.err)):
					t.Errorf("%v, want %q", err, c.err)
				}
			})
		})
	}
}

func TestDeviceSignInIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &wire{answers: []string{deviceAnswer, pendingError}}
		_, err := DeviceSignIn(ctx, SignInOptions{Provider: w.provider()}, func(string, string, time.Time) { time.AfterFunc(25*time.Second, cancel) })
		if !errors.Is(err, context.Canceled) || len(w.times) != 3 {
			t.Errorf("%v after %d requests", err, len(w.times))
		}
	})
}

// browse is a browser: it goes where it is sent, and ends at our page.
func browse(t *testing.T, entra Entra, at string) (int, string) {
	resp, err := entra.HTTP.Get(at)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestBrowserSignIn(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "app", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	fake, entra := tenant(t, fake365.Options{User: "printer@contoso.com", ClientCertificate: pair.certPEM})
	cert := func() ([]*x509.Certificate, *rsa.PrivateKey, error) {
		return []*x509.Certificate{pair.cert}, pair.key, nil
	}
	for name, c := range map[string]struct {
		p        Provider
		redirect string
	}{
		"public":            {entra.Provider(nil, nil), ""},
		"secret, 127.0.0.1": {entra.Provider(always(fake.ClientSecret()), nil), "http://127.0.0.1/back"},
		"certificate":       {entra.Provider(nil, cert), "http://localhost/authorize"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var browser sync.WaitGroup
			defer browser.Wait()
			in, err := BrowserSignIn(t.Context(), SignInOptions{Provider: c.p, Scopes: smtpScopes, Redirect: c.redirect, Hint: "printer@contoso.com"}, func(at string) error {
				q := mustURL(t, at).Query()
				if q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 32 || q.Get("scope") != strings.Join(smtpScopes, " ") || q.Get("login_hint") == "" {
					t.Errorf("%v", q)
				}
				browser.Go(func() {
					stray(t, q.Get("redirect_uri"))
					if status, page := browse(t, entra, at); status != 200 || !strings.Contains(page, "Signed in") || !strings.Contains(page, "printer@contoso.com") {
						t.Errorf("the last page: %d %s", status, page)
					}
				})
				return nil
			})
			if err != nil || !in.IsMailbox("printer@contoso.com") || in.refresh() == "" {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		t.Error(err)
		return &url.URL{}
	}
	return u
}

// stray is everything that comes to a page on this machine and is not the sign-in.
func stray(t *testing.T, redirect string) {
	u := mustURL(t, redirect)
	if conn, err := net.Dial("tcp", u.Host); err == nil { // a preconnect says nothing
		t.Cleanup(func() { conn.Close() })
	}
	for _, path := range []string{"/favicon.ico", "/", "/?code=x&state=wrong", "/?error=access_denied&state=", "/?code=x"} {
		resp, err := http.Get("http://" + u.Host + path)
		if err != nil {
			t.Error(err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if resp, err := http.Post("http://"+u.Host+"/", "text/plain", strings.NewReader("code=x")); err == nil {
		resp.Body.Close()
	}
	if resp, err := http.Head("http://" + u.Host + "/"); err == nil {
		resp.Body.Close()
	}
}

func TestBrowserSignInRefused(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	var browser sync.WaitGroup
	defer browser.Wait()
	visit := func(at string) error {
		browser.Go(func() {
			if status, page := browse(t, entra, at); status != 400 || !strings.Contains(page, "did not succeed") {
				t.Errorf("%d %s", status, page)
			}
		})
		return nil
	}
	o := SignInOptions{Provider: entra.Provider(nil, nil), Scopes: []string{"https://outlook.office.com/IMAP.AccessAsUser.All"}}
	_, err := BrowserSignIn(t.Context(), o, visit)
	if p := problemOf(t, err); p.Class != diagnose.ClassNeedsSignIn || !strings.Contains(p.Said, "AADSTS65001") {
		t.Errorf("at the provider: %+v", p)
	}
	o.Scopes = smtpScopes
	fake.Fault(fake365.Fault{At: "token", Status: 400, Answer: `{"error":"invalid_grant","error_description":"AADSTS54005: used"}`})
	_, err = BrowserSignIn(t.Context(), o, visit)
	if p := problemOf(t, err); p.Class != diagnose.ClassNeedsSignIn {
		t.Errorf("at the exchange: %+v", p)
	}
	_, err = BrowserSignIn(t.Context(), o, func(string) error { return io.ErrClosedPipe })
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("no browser: %v", err)
	}
	for _, redirect := range []string{"http://relay.example.com/", "https://localhost/", "http://192.0.2.1/", "::"} {
		o.Redirect = redirect
		_, err = BrowserSignIn(t.Context(), o, nil)
		if p := problemOf(t, err); p.Class != diagnose.ClassConfig {
			t.Errorf("%s: %+v", redirect, p)
		}
	}
}

func TestBrowserSignInPasted(t *testing.T) {
	t.Parallel()
	_, entra := tenant(t, fake365.Options{})
	pasted := make(chan string, 6)
	client := *entra.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var told []string
	o := SignInOptions{
		Provider: entra.Provider(nil, nil), Scopes: smtpScopes, Pasted: pasted,
		Mispasted: func(why string) { told = append(told, why) },
	}
	_, err := BrowserSignIn(t.Context(), o, func(at string) error {
		resp, err := client.Get(at)
		if err != nil {
			return err
		}
		resp.Body.Close()
		back := resp.Header.Get("Location")
		pasted <- "what?"
		pasted <- "::"
		pasted <- at
		pasted <- "http://localhost/?code=x&state=y"
		pasted <- back[:strings.Index(back, "&state=")]
		pasted <- " '" + back + "'\r\n"
		close(pasted)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for i, want := range []string{"has code= in it", "is no address", "is the address to open", "another sign-in", "The end of that address is missing"} {
		if i >= len(told) || !strings.Contains(told[i], want) {
			t.Fatalf("%d: %q, want %q", i, told, want)
		}
	}
	if strings.Contains(strings.Join(told, ""), "code=x") {
		t.Errorf("what was pasted is repeated: %q", told)
	}
}

func TestWrongTenant(t *testing.T) {
	t.Parallel()
	const mine, theirs = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	for _, c := range []struct {
		tenant, tid string
		refused     bool
	}{
		{mine, mine, false}, {mine, theirs, true}, {"organizations", theirs, false}, {"consumers", theirs, true}, {"consumers", consumers, false},
		{"contoso.example", mine, false}, {"contoso.example", theirs, true}, {mine, "", false},
	} {
		b, _ := json.Marshal(map[string]any{"access_token": "opaque", "refresh_token": "r", "expires_in": 3600, "scope": "SMTP.Send",
			"id_token": jwt(map[string]any{"tid": c.tid, "preferred_username": "me@x"})})
		w := &wire{answers: []string{`200 {"issuer":"https://h/` + mine + `/v2.0"}`}}
		e := Entra{Authority: "https://h", Tenant: c.tenant, ClientID: "app", HTTP: &http.Client{Transport: w}}
		var a oauthAnswer
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatal(err)
		}
		in, err := SignInOptions{Provider: e.Provider(nil, nil), Scopes: smtpScopes}.signedIn(t.Context(), a)
		if (err != nil) != c.refused || in.User != "me@x" || err != nil && !strings.Contains(err.Error(), "another tenant") {
			t.Errorf("%s, signed in at %s: %v", c.tenant, c.tid, err)
		}
	}
}

func TestMissingScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, granted, want string }{
		{"https://outlook.office.com/SMTP.Send offline_access openid profile", "https://outlook.office.com/smtp.send", ""},
		{"https://outlook.office.com/SMTP.Send", "User.Read", "https://outlook.office.com/SMTP.Send"},
		{"https://mail.google.com/", "openid https://mail.google.com/", ""},
		{"https://mail.google.com/", "openid", "https://mail.google.com/"},
		{"https://graph.microsoft.com/.default", "Mail.Send", ""},
	} {
		if got := strings.Join(missingScopes(strings.Fields(c.asked), strings.Fields(c.granted)), " "); got != c.want {
			t.Errorf("%q of %q: %q", c.granted, c.asked, got)
		}
	}
}
