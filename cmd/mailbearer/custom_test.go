package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/tokens"
)

// appCertificatePEM makes the app's certificate, private and public, as `certificate new` does.
func appCertificatePEM(t *testing.T, dir string, days int) (file string, public []byte) {
	t.Helper()
	c, err := makeCertificate("mailbearer", leastBits, days)
	if err != nil {
		t.Fatal(err)
	}
	private, err := c.privatePEM()
	if err != nil {
		t.Fatal(err)
	}
	file, public = filepath.Join(dir, "app.pem"), c.publicPEM()
	if err := os.WriteFile(file, append(private, public...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, public
}

// customWorld is a world whose provider is configured as one that nobody here knows.
func customWorld(t *testing.T, days int) *world {
	dir := t.TempDir()
	certificate, public := appCertificatePEM(t, dir, days)
	w := newWorld(t, fake365.Options{ClientCertificate: public})
	ca, err := w.fake.WriteCA(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`[relay]
hostname = "relay.contoso.example"
data_dir = '%s'
[[listener]]
address = "127.0.0.1:0"
[[account]]
name = "default"
mailbox = "%s"
provider = "custom"
oauth = { flow = "client-certificate", client_id = "%s", certificate = '%s', scopes = ["https://outlook.office365.com/.default"] }
endpoints = { smtp = "%s", token = "%s/%s/oauth2/v2.0/token", ca_file = '%s' }
[alerts]
expiry_warning = ["3d", "12h"]
[console]
address = "off"
[log]
format = "json"
`, filepath.Join(w.dir, "data"), testMailbox, w.fake.ClientID(), certificate, w.fake.SMTP(), w.fake.Authority(), w.fake.Tenant(), ca)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// Any provider that follows RFC 7523 takes a certificate; the fake checks the proof's signature and audience.
func TestCustomProviderByCertificate(t *testing.T) {
	t.Parallel()
	w := customWorld(t, 2)
	w.start()
	if reply, err := send(w.relay.address, message("custom", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v\n%s", reply, err, tail(w.relay.logged()))
	}
	w.eventually(func() bool { return strings.Contains(w.relay.logged(), "a credential ends soon") })
	out, errs, code := output("check", "--json", "--config", w.config)
	if code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, "The app's certificate expires in 2 days") {
		t.Errorf("check: exit %d: %s %s", code, out, errs)
	}
	for what, text := range map[string]string{"the log": w.relay.logged(), "check": out} {
		if strings.Contains(text, "Entra") || strings.Contains(text, "App registrations") {
			t.Errorf("%s sends a custom provider's administrator to Entra:\n%s", what, text)
		}
	}
}

// expiry_warning decides when, for `check` as for the relay.
func TestExpiryWarningIsAsConfigured(t *testing.T) {
	t.Parallel()
	w := customWorld(t, 5) // longer than the 3 days of the configuration
	out, errs, code := output("check", "--json", "--config", w.config)
	if code != 0 || strings.Contains(out, "expires in") {
		t.Errorf("check: exit %d: %s %s", code, out, errs)
	}
}

// What is used is what expires.
func TestCredentialThatExpires(t *testing.T) {
	t.Parallel()
	file, _ := appCertificatePEM(t, t.TempDir(), 2)
	end := time.Now().Add(90 * 24 * time.Hour)
	for name, c := range map[string]struct {
		o    config.OAuth
		kind string
		left time.Duration
	}{
		"secret":      {config.OAuth{Flow: "browser", ClientSecretExpires: end}, tokens.ExpirySecret, 90 * 24 * time.Hour},
		"certificate": {config.OAuth{Flow: "browser", Certificate: file, ClientSecretExpires: end}, tokens.ExpiryCertificate, 48 * time.Hour},
		"neither":     {config.OAuth{Flow: "device-code"}, tokens.ExpirySecret, 0},
	} {
		_, at, err := openFlow(config.Account{OAuth: c.o, Endpoints: config.Endpoints{Authority: "https://login.example"}}, nil, way{}, nil)
		left := time.Duration(0)
		if !at.IsZero() {
			left = time.Until(at)
		}
		if err != nil || credentialOf(c.o) != c.kind || (left-c.left).Abs() > 2*time.Hour {
			t.Errorf("%s: %s, %v, %v", name, credentialOf(c.o), left, err)
		}
	}
}

// The address that a browser is to come back to is the registered one, and a sign-in goes by the endpoints configured.
func TestRedirectIsAsConfigured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "mailbearer.toml")
	text := fmt.Sprintf(`[relay]
data_dir = '%s'
[[account]]
name = "default"
mailbox = "%s"
provider = "custom"
oauth = { flow = "browser", client_id = "app", scopes = ["mail"] }
endpoints = { smtp = "127.0.0.1:1", token = "https://127.0.0.1:1/t", authorize = "https://127.0.0.1:1/a", issuer = "https://127.0.0.1:1", redirect = "http://127.0.0.1/callback" }
[console]
address = "off"
`, filepath.Join(dir, "data"), testMailbox)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command("authorize", "default", "--config", file)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "Waiting"); {
		said.WriteString(lines.Text() + "\n")
	}
	address := regexp.MustCompile(`https://127\.0\.0\.1:1/a\S*`).FindString(said.String())
	u, err := url.Parse(address)
	if err != nil || !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/callback$`).MatchString(u.Query().Get("redirect_uri")) {
		t.Errorf("%q, %v:\n%s", address, err, said.String())
	}
	if strings.Contains(said.String(), "Entra") || strings.Contains(said.String(), "Microsoft") {
		t.Errorf("advice about somebody else's pages:\n%s", said.String())
	}
}
