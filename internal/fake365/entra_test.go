package fake365

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

func TestMSALWithSecret(t *testing.T) {
	t.Parallel()
	s := start(t, Options{RefreshIn: 30 * time.Minute})
	credential, err := confidential.NewCredFromSecret(s.ClientSecret())
	if err != nil {
		t.Fatal(err)
	}
	s.msal(t, credential)
}

func TestMSALWithCertificate(t *testing.T) {
	t.Parallel()
	key, cert, pemCert := appCertificate(t, time.Now().Add(time.Hour))
	s := start(t, Options{ClientCertificate: pemCert})
	credential, err := confidential.NewCredFromCert([]*x509.Certificate{cert}, key)
	if err != nil {
		t.Fatal(err)
	}
	s.msal(t, credential)
}

// msal gets a token through Microsoft's own library and signs in with it.
func (s *Server) msal(t *testing.T, credential confidential.Credential) {
	t.Helper()
	client, err := confidential.New(s.Authority()+"/"+s.Tenant(), s.ClientID(), credential,
		confidential.WithInstanceDiscovery(false), confidential.WithHTTPClient(s.http(t)))
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.AcquireTokenByCredential(t.Context(), []string{appScopeSMTP})
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(result.ExpiresOn); life < 59*time.Minute || life > time.Hour {
		t.Errorf("the token lives %v", life)
	}
	s.secure(t).do("AUTH XOAUTH2 "+xoauth2(mailbox, result.AccessToken), "235 ")
}

func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	s := start(t, Options{RefreshToken: "r", User: mailbox})
	app, err := parseJWT(s.appToken(t, appScopeMail))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {grantRefreshToken}, "client_id": {s.ClientID()}, "refresh_token": {"r"}, "scope": {outlookCom + "/SMTP.Send"}}
	_, answer := s.post(t, s.tokenPath(), form)
	person, err := parseJWT(answer["access_token"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c    claims
		want string
	}{
		{app.claims, fmt.Sprint(graphHost, []any{"Mail.Send"}, nil, nil)},
		{person.claims, fmt.Sprint(outlookCom, nil, "SMTP.Send", mailbox)},
	} {
		if got := fmt.Sprint(test.c["aud"], test.c["roles"], test.c["scp"], test.c["upn"]); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
		if test.c.text("tid") != s.TenantID() || test.c.text("appid") != s.ClientID() || !strings.Contains(test.c.text("iss"), s.TenantID()) {
			t.Errorf("tid, appid or iss: %v", test.c)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Options{RefreshToken: "r"})
	with := func(changes ...string) url.Values {
		form := s.appForm(appScopeSMTP)
		for i := 0; i < len(changes); i += 2 {
			form.Set(changes[i], changes[i+1])
		}
		return form
	}
	refresh := func(token, scope string) url.Values {
		return with("grant_type", grantRefreshToken, "refresh_token", token, "scope", scope)
	}
	for name, test := range map[string]struct {
		tenant string
		form   url.Values
		status int
		want   string
	}{
		"tenant":      {"fabrikam.example", with(), 400, "invalid_request AADSTS90002: Tenant 'fabrikam.example' not found. "},
		"common":      {"common", with(), 400, "invalid_request AADSTS50059: "},
		"app":         {s.Tenant(), with("client_id", "x"), 400, "unauthorized_client AADSTS700016: Application with identifier 'x' was not found in the directory 'contoso.onmicrosoft.com'. "},
		"secret":      {s.TenantID(), with("client_secret", "x"), 401, "invalid_client AADSTS7000215: Invalid client secret provided. "},
		"no secret":   {s.Tenant(), with("client_secret", ""), 401, "invalid_client AADSTS7000218: "},
		"no grant":    {s.Tenant(), with("grant_type", ""), 400, "invalid_request AADSTS900144: The request body must contain the following parameter: 'grant_type'."},
		"no scope":    {s.Tenant(), with("scope", ""), 400, "invalid_request AADSTS900144: The request body must contain the following parameter: 'scope'."},
		"password":    {s.Tenant(), with("grant_type", "password"), 400, "unsupported_grant_type AADSTS70003: "},
		"default":     {s.Tenant(), with("scope", outlook365+"/SMTP.SendAsApp"), 400, "invalid_scope AADSTS1002012: "},
		"resource":    {s.Tenant(), with("scope", "https://vault.example/.default"), 400, "invalid_resource AADSTS500011: "},
		"resources":   {s.Tenant(), with("scope", appScopeSMTP+" "+appScopeMail), 400, "invalid_scope AADSTS700022: "},
		"assertion":   {s.Tenant(), with("client_assertion", "x", "client_assertion_type", assertionType), 400, "invalid_request AADSTS50027: "},
		"refresh":     {s.Tenant(), refresh("x", outlookCom+"/SMTP.Send"), 400, "invalid_grant AADSTS70000: "},
		"not granted": {s.Tenant(), refresh("r", outlookCom+"/IMAP.AccessAsUser.All"), 400, "invalid_grant AADSTS65001: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := s.post(t, "/"+test.tenant+"/oauth2/v2.0/token", test.form)
			got := fmt.Sprintf("%v %v", answer["error"], answer["error_description"])
			if status != test.status || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %d %s\nwant %d %s", status, got, test.status, test.want)
			}
			for _, field := range []string{"trace_id", "correlation_id", "timestamp"} {
				if id, _ := answer[field].(string); id == "" || !strings.Contains(got, id) {
					t.Errorf("%s is not in the text: %v", field, answer)
				}
			}
		})
	}
}

func TestRefreshTokenRotates(t *testing.T) {
	t.Parallel()
	s := start(t, Options{RefreshToken: "r"})
	form := url.Values{"grant_type": {grantRefreshToken}, "client_id": {s.ClientID()}, "refresh_token": {"r"}, "scope": {outlookCom + "/SMTP.Send offline_access openid profile"}, "client_info": {"1"}}
	status, answer := s.post(t, s.tokenPath(), form)
	if status != http.StatusOK || answer["id_token"] == nil || answer["client_info"] == nil || answer["scope"] != outlookCom+"/SMTP.Send" {
		t.Fatal(status, answer)
	}
	if status, old := s.post(t, s.tokenPath(), form); status != 400 || !strings.HasPrefix(old["error_description"].(string), "AADSTS70008") {
		t.Errorf("the old one: %d %v", status, old)
	}
	form.Set("refresh_token", answer["refresh_token"].(string))
	form.Set("scope", graphHost+"/Mail.Send")
	if status, answer = s.post(t, s.tokenPath(), form); status != http.StatusOK {
		t.Fatal(answer)
	}
	s.RevokeSignIns()
	form.Set("refresh_token", answer["refresh_token"].(string))
	if status, _ := s.post(t, s.tokenPath(), form); status != 400 {
		t.Errorf("after the sign-ins were revoked: %d", status)
	}
	form.Set("refresh_token", s.SignIn())
	if status, _ := s.post(t, s.tokenPath(), form); status != http.StatusOK {
		t.Errorf("after a new sign-in: %d", status)
	}
	if n := s.Counters(); n.RefreshRotations != 3 || n.TokensIssued != 3 || n.TokenRequests != 5 {
		t.Errorf("%+v", n)
	}
}

// assertion signs one as an application of one's own would.
func assertion(t *testing.T, key *rsa.PrivateKey, header, c claims) string {
	t.Helper()
	input := segment(header) + "." + segment(c)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	if header.text("alg") == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	key, cert, pemCert := appCertificate(t, time.Now().Add(time.Hour))
	_, _, stranger := appCertificate(t, time.Now().Add(2*time.Hour))
	strangerDER, _ := pem.Decode(stranger)
	s := start(t, Options{ClientCertificate: pemCert})
	sum256 := func(der []byte) string { d := sha256.Sum256(der); return base64.RawURLEncoding.EncodeToString(d[:]) }
	sum1 := sha1.Sum(cert.Raw)
	ps := claims{"typ": "JWT", "alg": "PS256", "x5t#S256": sum256(cert.Raw)}
	rs := claims{"typ": "JWT", "alg": "RS256", "x5t": base64.RawURLEncoding.EncodeToString(sum1[:])}
	now := time.Now()
	good := func(changes claims) claims {
		c := claims{"aud": s.Authority() + s.tokenPath(), "iss": s.ClientID(), "sub": s.ClientID(), "jti": newGUID(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		for name, value := range changes {
			c[name] = value
		}
		return c
	}
	forged := assertion(t, key, ps, good(nil))
	replayed := assertion(t, key, ps, good(claims{"jti": "again"}))
	for _, test := range []struct{ name, assertion, want string }{
		{"PS256", assertion(t, key, ps, good(nil)), ""},
		{"RS256", assertion(t, key, rs, good(nil)), ""},
		{"by tenant id", assertion(t, key, ps, good(claims{"aud": s.Authority() + "/" + s.TenantID() + "/oauth2/v2.0/token"})), ""},
		{"first", replayed, ""},
		{"replayed", replayed, "AADSTS50012"},
		{"no jti", assertion(t, key, ps, good(claims{"jti": ""})), "AADSTS50012"},
		{"other key", assertion(t, key, claims{"alg": "PS256", "x5t#S256": sum256(strangerDER.Bytes)}, good(nil)), "AADSTS700027: Client assertion contains an invalid signature. [Reason - The key was not found., Thumbprint"},
		{"no thumbprint", assertion(t, key, claims{"alg": "PS256"}, good(nil)), "AADSTS700027"},
		{"forged", forged[:len(forged)-8] + "AAAAAAAA", "AADSTS700027"},
		{"none", assertion(t, key, claims{"alg": "none", "x5t#S256": sum256(cert.Raw)}, good(nil)), "AADSTS700027"},
		{"audience", assertion(t, key, ps, good(claims{"aud": "https://login.microsoftonline.com/x/oauth2/v2.0/token"})), "AADSTS700023"},
		{"issuer", assertion(t, key, ps, good(claims{"iss": "x"})), "AADSTS700021"},
		{"subject", assertion(t, key, ps, good(claims{"sub": "x"})), "AADSTS700021"},
		{"expired", assertion(t, key, ps, good(claims{"exp": now.Add(-time.Hour).Unix()})), "AADSTS700024"},
		{"early", assertion(t, key, ps, good(claims{"nbf": now.Add(time.Hour).Unix()})), "AADSTS700024"},
		{"endless", assertion(t, key, ps, good(claims{"exp": nil})), "AADSTS50027"},
	} {
		form := s.appForm(appScopeSMTP)
		form.Del("client_secret")
		form.Set("client_assertion", test.assertion)
		form.Set("client_assertion_type", assertionType)
		status, answer := s.post(t, s.tokenPath(), form)
		text, _ := answer["error_description"].(string)
		if test.want == "" && status != http.StatusOK || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s: %d %s, want %s", test.name, status, text, test.want)
		}
	}
}

func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	key, cert, pemCert := appCertificate(t, time.Now().Add(-time.Hour))
	s := start(t, Options{ClientCertificate: pemCert})
	sum := sha256.Sum256(cert.Raw)
	form := s.appForm(appScopeSMTP)
	form.Set("client_assertion", assertion(t, key, claims{"alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}, claims{}))
	form.Set("client_assertion_type", assertionType)
	if _, answer := s.post(t, s.tokenPath(), form); !strings.HasPrefix(answer["error_description"].(string), "AADSTS1000502") {
		t.Error(answer)
	}
}

func TestDeviceCode(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	form := url.Values{"client_id": {s.ClientID()}, "scope": {outlookCom + "/SMTP.Send offline_access openid"}}
	for _, decide := range []func(string) bool{s.Approve, s.Decline} {
		_, d := s.post(t, "/"+s.Tenant()+"/oauth2/v2.0/devicecode", form)
		poll := url.Values{"grant_type": {grantDeviceCode}, "client_id": {s.ClientID()}, "device_code": {d["device_code"].(string)}}
		if _, answer := s.post(t, s.tokenPath(), poll); answer["error"] != errPending {
			t.Errorf("before: %v", answer)
		}
		if !decide(d["user_code"].(string)) || decide("wrong") {
			t.Error("the user code is not the one")
		}
		_, answer := s.post(t, s.tokenPath(), poll)
		if got := fmt.Sprintln(answer["refresh_token"] != nil, answer["error"]); got != "true <nil>\n" && got != "false authorization_declined\n" {
			t.Error(got)
		}
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	verifier := randomText(40)
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {s.ClientID()}, "redirect_uri": {"http://localhost:1/authorize"}, "response_type": {"code"}, "state": {"s"},
		"scope": {outlookCom + "/SMTP.Send offline_access"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
	redeem := func(verifier string) map[string]any {
		resp, err := s.http(t).Get(s.Authority() + "/common/oauth2/v2.0/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		back, err := resp.Location()
		if err != nil || back.Query().Get("state") != "s" {
			t.Fatal(err, back)
		}
		_, answer := s.post(t, s.tokenPath(), url.Values{"grant_type": {grantAuthorizationCode}, "client_id": {s.ClientID()},
			"code": {back.Query().Get("code")}, "redirect_uri": q["redirect_uri"], "code_verifier": {verifier}})
		return answer
	}
	if answer := redeem(verifier); answer["refresh_token"] == nil {
		t.Error(answer)
	}
	if answer := redeem("wrong"); answer["error"] != errInvalidGrant {
		t.Error(answer)
	}
}
