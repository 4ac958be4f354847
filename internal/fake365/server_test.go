package fake365

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestWriteCA(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	path, err := s.WriteCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(s.CA()) {
		t.Errorf("%v, or the file is not the CA", err)
	}
	if _, err := s.WriteCA(path); err == nil {
		t.Error("a file was written into a file")
	}
}

func TestStartRefusesUselessCertificates(t *testing.T) {
	t.Parallel()
	ca := start(t, Options{}).CA() // ECDSA, which Entra does not sign in with
	for _, bundle := range []string{"not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", string(ca)} {
		if s, err := Start(Options{ClientCertificate: []byte(bundle)}); err == nil {
			s.Close()
			t.Errorf("started with %.30q", bundle)
		}
	}
}

// TestPublishedKey verifies an access token with the key that discovery leads to.
func TestPublishedKey(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	var discovered struct {
		JWKS string `json:"jwks_uri"`
	}
	s.get(t, s.Authority()+"/"+s.Tenant()+"/v2.0/.well-known/openid-configuration", &discovered)
	var set struct{ Keys []struct{ X, Y, Kid string } }
	s.get(t, discovered.JWKS, &set)
	point := []byte{4} // an uncompressed point: both coordinates follow
	for _, coordinate := range []string{set.Keys[0].X, set.Keys[0].Y} {
		b, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	token, err := parseJWT(s.appToken(t, appScopeSMTP))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(token.signed))
	r, v := new(big.Int).SetBytes(token.signature[:32]), new(big.Int).SetBytes(token.signature[32:])
	if token.header.text("kid") != set.Keys[0].Kid || !ecdsa.Verify(key, digest[:], r, v) {
		t.Error("the signature is not the published key's")
	}
}

func (s *Server) get(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := s.http(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// TestBasicClient authenticates in the header, as golang.org/x/oauth2 tries first.
func TestBasicClient(t *testing.T) {
	t.Parallel()
	s := start(t, Options{ClientSecret: "a+b c/d"})
	form := url.Values{"grant_type": {grantClientCredentials}, "scope": {appScopeSMTP}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Authority()+s.tokenPath(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.ClientID()), url.QueryEscape(s.ClientSecret()))
	resp, err := s.http(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

func TestScriptedRefusalCounts(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.", Times: 1})
	c := s.secure(t)
	auth := "AUTH XOAUTH2 " + xoauth2(mailbox, s.appToken(t, appScopeSMTP))
	c.do(auth, "535 5.7.139 ")
	c.do(auth, "235 ")
	if n := s.Counters(); n.AuthRefused != 1 || n.AuthOK != 1 {
		t.Errorf("%d refused, %d good", n.AuthRefused, n.AuthOK)
	}
}
