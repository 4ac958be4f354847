package tokens

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

func TestFederatedTokenIsReadAtEachUse(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "issuer", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	_, entra := tenant(t, fake365.Options{ClientCertificate: pair.certPEM})
	file := filepath.Join(t.TempDir(), "token")
	issue := func() { // the fake takes each assertion once
		signed, err := signPS256(pair.cert, pair.key, map[string]any{
			"aud": entra.authority() + "/oauth2/v2.0/token", "iss": entra.ClientID, "sub": entra.ClientID, "jti": rand.Text(),
			"exp": time.Now().Add(time.Hour).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(signed+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flow := FederatedToken(entra, file)
	if _, p := fetch(t, flow); p == nil || p.Class != diagnose.ClassConfig || !strings.Contains(p.Fix, "token_file") {
		t.Errorf("no file: %+v", p)
	}
	for range 2 {
		issue()
		if _, p := fetch(t, flow); p != nil {
			t.Error(p)
		}
	}
	if _, p := fetch(t, flow); p == nil || p.Unreachable || strings.Contains(p.Error(), "eyJ") {
		t.Errorf("a stale one: %+v", p)
	}
	os.WriteFile(file, []byte("two words"), 0o600)
	if _, p := fetch(t, flow); p == nil || strings.Contains(p.Error(), "two words") {
		t.Errorf("nonsense: %+v", p)
	}
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "sa", time.Now(), time.Now().Add(time.Hour))
	key := map[string]string{
		"type": "service_account", "client_email": "relay@project.iam", "private_key_id": "kid-1",
		"private_key": string(pair.keyPEM(t, "PRIVATE KEY")), "token_uri": "https://h/token",
	}
	file := filepath.Join(t.TempDir(), "key.json")
	write := func(name, value string) {
		t.Helper()
		key[name] = value
		b, _ := json.Marshal(key)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("type", "service_account")
	w := &wire{answers: []string{`200 {"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}`}}
	flow := ServiceAccount{File: file, Mailbox: "printer@example.com", Scopes: []string{"https://mail.google.com/"}, HTTP: &http.Client{Transport: w}}
	tok, p := fetch(t, flow)
	if p != nil || tok.Access != "ya29.x" || time.Until(tok.Expires) < 59*time.Minute {
		t.Fatal(tok.Expires, p)
	}
	parts := strings.Split(w.forms[0].Get("assertion"), ".")
	b, _ := base64.RawURLEncoding.DecodeString(parts[1])
	for _, want := range []string{`"sub":"printer@example.com"`, `"iss":"relay@project.iam"`, `"scope":"https://mail.google.com/"`, `"aud":"https://h/token"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
	for answer, class := range map[string]string{
		`401 {"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method"}`: diagnose.ClassNeedsAdmin,
		`400 {"error":"invalid_grant","error_description":"Invalid email or User ID"}`:                                                 diagnose.ClassNeedsAdmin,
		"503 busy":              diagnose.ClassTransient,
		`200 {"access_token":7`: diagnose.ClassTransient,
		`200 {}`:                diagnose.ClassTransient,
		"":                      diagnose.ClassTransient,
	} {
		flow.HTTP = &http.Client{Transport: &wire{answers: []string{answer}}}
		if _, p := fetch(t, flow); p == nil || p.Class != class || strings.Contains(p.Error(), "eyJ") {
			t.Errorf("%q: %+v", answer, p)
		}
	}
	for name, value := range map[string]string{"private_key": "no key", "type": "authorized_user", "client_email": ""} {
		good := key[name]
		write(name, value)
		if _, p := fetch(t, flow); p == nil || p.Class != diagnose.ClassConfig {
			t.Errorf("%s: %+v", name, p)
		}
		write(name, good)
	}
}

func TestManagedIdentity(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	const scope = "https://outlook.office365.com/.default"
	nowhere := arc{filepath.Join(t.TempDir(), "himds"), t.TempDir()}
	for name, c := range map[string]struct {
		answer, class string
		unreachable   bool
	}{
		"token":         {`200 {"access_token":"at","expires_in":"86399","expires_on":"1.9e9","resource":"x","token_type":"Bearer"}`, "", false},
		"no identity":   {`400 {"error":"invalid_request","error_description":"Identity not found"}`, diagnose.ClassConfig, false},
		"being updated": {`410 {"error":"gone"}`, diagnose.ClassTransient, true},
		"not yet":       {`404 <html>`, diagnose.ClassTransient, true},
		"busy":          {`429 Retry-After: 5`, diagnose.ClassThrottled, true},
		"not in Azure":  {"", diagnose.ClassTransient, true},
		"garbage":       {"200 hello", diagnose.ClassTransient, true},
	} {
		w := &wire{answers: []string{c.answer}}
		tok, p := fetch(t, ManagedIdentity{Scopes: []string{scope}, ClientID: "me", transport: w, env: none, arc: nowhere})
		switch {
		case c.class == "" && (p != nil || tok.Access != "at" || time.Until(tok.Expires) < 23*time.Hour):
			t.Errorf("%s: %v", name, p)
		case c.class != "" && (p == nil || p.Class != c.class || p.Unreachable != c.unreachable):
			t.Errorf("%s: %+v", name, p)
		}
		if w.heads[0].Get("Metadata") != "true" {
			t.Errorf("%s: without the header", name)
		}
	}
}

func TestAzureArc(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, outside := filepath.Join(dir, "challenge.key"), filepath.Join(t.TempDir(), "shadow.key")
	for path, data := range map[string]string{
		secret: "pr00f", outside: "root:x", filepath.Join(dir, "a.txt"): "x", filepath.Join(dir, "big.key"): strings.Repeat("x", maxArcKey+1),
	} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.key")); err != nil {
		t.Log(err)
	}
	env := func(name string) string {
		return map[string]string{"IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token", "IMDS_ENDPOINT": "http://localhost:40342"}[name]
	}
	for path, good := range map[string]bool{
		secret: true, outside: false, filepath.Join(dir, "a.txt"): false, filepath.Join(dir, "big.key"): false,
		filepath.Join(dir, "link.key"): false, dir + "/../" + filepath.Base(dir) + "/challenge.key": false, filepath.Join(dir, "none.key"): false, "": false,
	} {
		w := &challenge{path: path}
		_, p := fetch(t, ManagedIdentity{Scopes: []string{"https://outlook.office365.com/.default"}, transport: w, env: env, arc: arc{"", dir}})
		switch {
		case good && (p != nil || w.proof != "Basic pr00f"):
			t.Errorf("%v, %q", p, w.proof)
		case !good && (p == nil || p.Class != diagnose.ClassConfig || w.proof != ""):
			t.Errorf("%q: %+v, sent %q", path, p, w.proof)
		}
	}
	w := &challenge{path: secret}
	far := func(name string) string { return "http://metadata.example/" }
	if _, p := fetch(t, ManagedIdentity{transport: w, env: far, arc: arc{"", dir}}); p == nil || w.asked != 0 {
		t.Errorf("asked another machine: %+v", p)
	}
}

// challenge is Azure Arc's agent.
type challenge struct {
	path, proof string
	asked       int
}

func (c *challenge) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked++
	w := &wire{answers: []string{`200 {"access_token":"at","expires_in":"3600"}`}}
	if r.Header.Get("Authorization") == "" {
		w.answers = []string{"401 x"}
	}
	c.proof = r.Header.Get("Authorization")
	resp, err := w.RoundTrip(r)
	if resp != nil {
		resp.Header.Set("WWW-Authenticate", "Basic realm="+c.path)
	}
	return resp, err
}

// A secret is sent as Basic, as every provider must take it, and in the form where that is refused.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := &wire{answers: []string{tokenAnswer, `401 {"error":"invalid_client"}`, tokenAnswer, `401 {"error":"invalid_client"}`}}
	p := w.provider()
	p.Secret = always("s/e:c+ret")
	flow := ClientCredentials(p, []string{"mail"})
	for range 2 {
		if tok, p := fetch(t, flow); p != nil || tok.Access != "at" {
			t.Error(p)
		}
	}
	if _, p := fetch(t, flow); p == nil || p.Class != diagnose.ClassConfig {
		t.Errorf("%+v", p)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("app:s%2Fe%3Ac%2Bret"))
	if w.heads[0].Get("Authorization") != basic || w.forms[0].Get("client_secret") != "" || w.forms[2].Get("client_secret") != "s/e:c+ret" ||
		w.heads[2].Get("Authorization") != "" || w.forms[0].Get("scope") != "mail" {
		t.Errorf("%v %v", w.heads, w.forms)
	}
}

// Google gives no new refresh token, and takes its own time to say how long things live.
func TestRefreshTokenThatStays(t *testing.T) {
	t.Parallel()
	w := &wire{answers: []string{`200 {"access_token":"at"}`}}
	s := openStore(t, StoreOptions{})
	signIn(t, s, "a", "stays")
	flow := Delegated(w.provider(), s, "a", []string{"https://mail.google.com/"})
	for range 2 {
		if tok, p := fetch(t, flow); p != nil || time.Until(tok.Expires) < 9*time.Minute {
			t.Error(p)
		}
	}
	if w.forms[1].Get("refresh_token") != "stays" || w.forms[1].Get("scope") != "https://mail.google.com/" {
		t.Errorf("%v", w.forms[1])
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	end := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	e, told := Expiry{ExpiryCertificate, end, Microsoft}, Told{}
	usual := []time.Duration{60 * day, 30 * day, 7 * day, day}
	var due []time.Duration
	for now := end.Add(-100 * 24 * time.Hour); now.Before(end.Add(5 * 24 * time.Hour)); now = now.Add(time.Hour) {
		var w *Warning
		if w, told = Forecast(e, told, usual, now); w != nil {
			due = append(due, w.Before)
			if w.Text == "" || w.Fix == "" || strings.Contains(w.Text, "expired") != (w.Before == 0) {
				t.Errorf("%+v", w)
			}
		}
	}
	if got, want := due, append(slices.Clone(usual), 0); !slices.Equal(got, want) {
		t.Errorf("told at %v", got)
	}
	w, told := Forecast(e, Told{}, usual, end.Add(-20*24*time.Hour))
	if w == nil || w.Before != 30*day || w.Text != "The app's certificate expires in 20 days, on 2027-03-01 12:00 UTC" {
		t.Errorf("at the first start: %+v", w)
	}
	b, _ := json.Marshal(told)
	var kept Told
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	if w, _ := Forecast(e, kept, usual, end.Add(-19*24*time.Hour)); w != nil {
		t.Errorf("told twice: %+v", w)
	}
	e.At = end.Add(24 * time.Hour)
	if w, _ := Forecast(e, kept, usual, end.Add(-19*24*time.Hour)); w == nil || w.Before != 30*day {
		t.Errorf("of a new one: %+v", w)
	}
	if w, _ := Forecast(Expiry{}, kept, usual, end); w != nil {
		t.Errorf("of nothing: %+v", w)
	}
	idle := SignInExpiry(Account{Used: end.Add(-61 * 24 * time.Hour)}, Microsoft)
	if w, _ := Forecast(idle, Told{}, usual, end); w == nil || w.Before != 30*day || !strings.HasPrefix(w.Text, "The sign-in expires in 29 days") {
		t.Errorf("of a sign-in: %+v", w)
	}
	if e := SignInExpiry(Account{Used: end}, Other); !e.At.IsZero() {
		t.Errorf("nobody knows when this one ends: %+v", e)
	}
	own := []time.Duration{36 * time.Hour, 14 * day} // as configured, in any order
	if w, _ := Forecast(e, Told{}, own, e.At.Add(-15*day)); w != nil {
		t.Errorf("too early: %+v", w)
	}
	if w, _ := Forecast(e, Told{}, own, e.At.Add(-13*day)); w == nil || w.Before != 14*day {
		t.Errorf("two weeks: %+v", w)
	}
	if w, _ := Forecast(e, Told{At: e.At, Before: 14 * day}, own, e.At.Add(-35*time.Hour)); w == nil || w.Before != 36*time.Hour {
		t.Errorf("a day and a half: %+v", w)
	}
}

// During a rollover the file has both certificates.
func TestCertificateRollover(t *testing.T) {
	t.Parallel()
	now := time.Now()
	days := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	one := newKeyPair(t, "old", days(-300), days(20))
	two := newKeyPair(t, "new", days(-1), days(700))
	early := newKeyPair(t, "early", days(1), days(800))
	expired := newKeyPair(t, "expired", days(-800), days(-100))
	all := func(pairs ...pair) (data []byte) {
		for _, p := range pairs {
			data = append(append(data, p.certPEM...), p.keyPEM(t, "PRIVATE KEY")...)
		}
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want pair
	}{
		"new behind old":   {all(one, two), two},
		"new before old":   {all(two, one), two},
		"not yet valid":    {all(early, one), one},
		"new without key":  {join(all(one), two.certPEM), one},
		"expired and good": {all(expired, one), one},
		"none is valid":    {all(expired, early), early},
		"renewed, one key": {join(all(one), certPEMOf(selfSigned(t, "again", one.key, days(-2), days(600)))), pair{key: one.key}},
	} {
		certs, key, err := ParseCertificate(c.data, "")
		if err != nil || !key.Equal(c.want.key) || !key.PublicKey.Equal(certs[0].PublicKey) || c.want.cert != nil && !certs[0].Equal(c.want.cert) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want.cert == nil && certs[0].Subject.CommonName != "again" {
			t.Errorf("%s: %s", name, certs[0].Subject)
		}
	}
}
