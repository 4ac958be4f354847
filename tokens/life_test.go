package tokens

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A provider need not say how long a token lives (RFC 6749 §5.1), and some say it as text or with a fraction. Every
// flow takes it alike.
func TestLifeOfATokenByEveryFlow(t *testing.T) {
	t.Parallel()
	pair := newPair(t, "sa", time.Now(), time.Now().Add(time.Hour))
	key, _ := json.Marshal(map[string]string{"type": "service_account", "client_email": "a@b", "private_key": string(pair.keyPEM(t, "PRIVATE KEY"))})
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	const discovery = `200 {"issuer":"https://h/t/v2.0","token_endpoint":"https://h/token","authorization_endpoint":"https://h/authorize"}`
	flows := map[string]func(answer string) Flow{
		"microsoft365": func(answer string) Flow {
			w := &wire{answers: []string{discovery, answer}}
			return ClientSecret(Entra{Authority: "https://h", Tenant: "t", ClientID: "app", Scopes: []string{"https://x/.default"}, HTTP: &http.Client{Transport: w}}, always("secret"))
		},
		"service account": func(answer string) Flow {
			return ServiceAccount{File: file, Mailbox: "m@x", TokenURL: "https://h/token", HTTP: &http.Client{Transport: &wire{answers: []string{answer}}}}
		},
		"client credentials": func(answer string) Flow {
			return ClientCredentials((&wire{answers: []string{answer}}).provider(), nil)
		},
		"managed identity": func(answer string) Flow {
			return ManagedIdentity{transport: &wire{answers: []string{answer}}, env: func(string) string { return "" }, arc: arc{filepath.Join(t.TempDir(), "none"), t.TempDir()}}
		},
	}
	for name, c := range map[string]struct {
		answer string
		want   time.Duration
	}{
		"not said": {`200 {"access_token":"at"}`, time.Hour},
		"null":     {`200 {"access_token":"at","expires_in":null}`, time.Hour},
		"nonsense": {`200 {"access_token":"at","expires_in":"soon"}`, time.Hour},
		"text":     {`200 {"access_token":"at","expires_in":"1800"}`, 30 * time.Minute},
		"fraction": {`200 {"access_token":"at","expires_in":1800.5}`, 30 * time.Minute},
		"a JWT":    {`200 {"access_token":"` + jwt(map[string]any{"exp": time.Now().Add(2 * time.Hour).Unix()}) + `"}`, 2 * time.Hour},
	} {
		for by, flow := range flows {
			tok, p := fetch(t, flow(c.answer))
			if left := time.Until(tok.Expires); p != nil || left > c.want || left < c.want-time.Minute {
				t.Errorf("%s by %s: %v left, %v", name, by, left, p)
			}
		}
	}
}

func TestWithLifeLeavesTheRest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"error":"invalid_grant"}`: `{"error":"invalid_grant"}`,
		`<html>`:                    `<html>`,
		`{"access_token":"at","refresh_in":"7","x":{"y":[1.0]}}`: `{"access_token":"at","expires_in":3600,"refresh_in":"7","x":{"y":[1.0]}}`,
		`{"device_code":"d","expires_in":900}`:                   `{"device_code":"d","expires_in":900}`,
		`{"access_token":"at","expires_in":-5}`:                  `{"access_token":"at","expires_in":-1}`,
	} {
		if got := string(withLife([]byte(in), time.Now())); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
