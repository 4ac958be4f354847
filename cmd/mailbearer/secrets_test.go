package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// hush is a world whose every word is kept and searched for what is secret.
type hush struct {
	*world
	secrets []fake365.Secret
	said    bytes.Buffer
}

// The secrets of a configuration.
const (
	scannersPassword = "password-of-the-scanner"
	pfxPassword      = "password-of-the-pfx"
	wrongSecret      = "secret-that-entra-refuses"
	webhookKey       = "key-in-the-webhooks-url"
	webhookSecret    = "secret-of-the-webhook"
)

func newHush(t *testing.T, oauth string, o fake365.Options) *hush {
	o.Mailboxes, o.User, o.DeviceInterval = []string{testMailbox}, testMailbox, time.Second
	h := &hush{world: newWorld(t, o), secrets: []fake365.Secret{
		{What: "user's password", Value: scannersPassword}, {What: "password of the certificate", Value: pfxPassword},
		{What: "refused secret", Value: wrongSecret}, {What: "password of the proxy", Value: proxyPassword},
		{What: "key of the webhook", Value: webhookKey}, {What: "secret of the webhook", Value: webhookSecret},
	}}
	h.configure(map[string]string{
		"oauth": strings.NewReplacer("%t", h.fake.Tenant(), "%c", h.fake.ClientID(), "%d", h.dir).Replace(oauth),
		"user":  fmt.Sprintf("name = \"scanner\"\npassword = \"%s\"", scannersPassword),
		"log": fmt.Sprintf("level = \"trace\"\nformat = \"json\"\n[network]\nproxy = \"http://u:%s@%s\"\n[alerts]\nwebhook = \"http://127.0.0.1:1/%s\"\nwebhook_secret = \"%s\"",
			proxyPassword, httpProxy(t, new(atomic.Int32)), webhookKey, webhookSecret),
	})
	return h
}

// does runs a command, and keeps what it says.
func (h *hush) does(args ...string) string {
	out, errs, _ := output(append(args, "--config", h.config)...)
	h.said.WriteString(out + errs)
	return out + errs
}

// everything asks all commands that tell of accounts and messages.
func (h *hush) everything() {
	h.t.Helper()
	for _, args := range [][]string{
		{"check"}, {"check", "--json"}, {"status"}, {"status", "--json"}, {"queue", "list"}, {"queue", "list", "--json"},
		{"certificate", "show"}, {"setup-script"}, {"setup-script", "--format", "azcli"},
	} {
		h.does(args...)
	}
	shown := 0
	for _, filter := range [][]string{nil, {"--state", "delivered"}} {
		out, _, _ := output(append([]string{"queue", "list", "--json", "--config", h.config}, filter...)...)
		var queue []messageView
		if err := json.Unmarshal([]byte(out), &queue); err != nil {
			h.t.Error(err)
		}
		for _, m := range queue {
			h.does("queue", "show", m.ID.String())
			h.does("queue", "show", "--json", m.ID.String())
			shown++
		}
	}
	if shown == 0 {
		h.t.Error("no message could be shown")
	}
	h.does("explain", tail(h.relay.logged()))
}

// device sends as a device with a password does, and with a wrong one first.
func (h *hush) device(password string) error {
	s := h.dial()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00scanner\x00" + password))
	if err := s.step("AUTH PLAIN "+plain, 235); err != nil {
		return err
	}
	_, err := s.send(message("with a password", 300))
	return err
}

// work goes through a relay's life: mail, a token that Exchange refuses, a provider that refuses the sign-in.
func (h *hush) work() {
	h.t.Helper()
	if h.device("no-"+scannersPassword) == nil {
		h.t.Error("a wrong password is taken")
	}
	if err := h.device(scannersPassword); err != nil {
		h.t.Error(err)
	}
	h.arrived(1, 20*time.Second)
	h.fake.ExpireTokens()
	h.does("test", "--to", "office@contoso.example", "--timeout", "20s")
	h.fake.Fault(fake365.Fault{At: "auth", Answer: "535 5.7.3 Authentication unsuccessful"})
	h.fake.Fault(fake365.Fault{At: "mail", Answer: "421 4.3.2 Service not active"}) // the connection that is open has been let in
	h.does("check", "--json")
	h.does("test", "--to", "office@contoso.example", "--timeout", "2s")
	h.everything()
	h.fake.ClearFaults()
	h.does("queue", "retry", "--all")
	h.arrived(3, 20*time.Second)
}

// silent ends the relay and searches all that was said, and the data directory.
func (h *hush) silent() {
	h.t.Helper()
	h.relay.stop()
	places := map[string][]byte{"the log": []byte(h.relay.logged()), "what commands said": h.said.Bytes()}
	err := filepath.WalkDir(filepath.Join(h.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places["data/"+d.Name()], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(places) < 4 || len(places["the log"]) == 0 || h.said.Len() == 0 {
		h.t.Fatalf("%d places to search, %v", len(places), err)
	}
	for place, text := range places {
		for _, s := range append(h.secrets, h.fake.Secrets()...) {
			for _, form := range forms(s.Value) {
				if at := bytes.Index(text, []byte(form)); at >= 0 {
					h.t.Errorf("%s shows the %s: …%s", place, s.What, bytes.TrimSpace(text[max(at-200, 0):at]))
				}
			}
		}
		for _, word := range []string{"eyJ", "client_assertion=", "code_verifier="} {
			if strings.Contains(place, "said") || place == "the log" {
				if at := bytes.Index(text, []byte(word)); at >= 0 {
					h.t.Errorf("%s has %q after …%s", place, word, text[max(at-200, 0):at])
				}
			}
		}
	}
}

// forms are how a secret may stand in a text: as it is, in a form, and inside base64 at each of its three places.
func forms(secret string) []string {
	list := []string{secret, url.QueryEscape(secret)}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		from, to := (shift*8+5)/6, (shift+len(secret))*8/6 // of the characters that are the secret's alone
		list = append(list, text[from:to])
	}
	return list
}

func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	t.Run("client-secret", func(t *testing.T) {
		t.Parallel()
		h := newHush(t, `{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = "file:%d/secret" }`, fake365.Options{})
		right, _ := os.ReadFile(filepath.Join(h.dir, "secret"))
		os.WriteFile(filepath.Join(h.dir, "secret"), []byte(wrongSecret), 0o600)
		h.start()
		h.device(scannersPassword)
		h.everything()
		os.WriteFile(filepath.Join(h.dir, "secret"), right, 0o600)
		h.work()
		h.silent()
	})
	t.Run("client-certificate", func(t *testing.T) {
		t.Parallel()
		made, err := makeCertificate("app", 2048, 100)
		if err != nil {
			t.Fatal(err)
		}
		h := newHush(t, `{ flow = "client-certificate", tenant = "%t", client_id = "%c", certificate = "%d/app.pfx", certificate_password = "`+pfxPassword+`" }`,
			fake365.Options{ClientCertificate: made.publicPEM()})
		files, _ := filesFor(filepath.Join(h.dir, "app.pfx"), "")
		if err := files.write(made, wrongSecret); err != nil {
			t.Fatal(err)
		}
		h.does("run") // the password is wrong
		h.does("check", "--json")
		os.Remove(files.cert)
		if err := files.write(made, pfxPassword); err != nil {
			t.Fatal(err)
		}
		h.start()
		h.work()
		h.silent()
	})
	t.Run("device-code", func(t *testing.T) {
		t.Parallel()
		h := newHush(t, `{ flow = "device-code", tenant = "%t", client_id = "%c" }`, fake365.Options{})
		h.start()
		h.device(scannersPassword)
		h.person(func(code string) { h.fake.Decline(code) })
		h.everything()
		h.person(func(code string) { h.fake.Approve(code) })
		h.work()
		h.fake.RevokeSignIns()
		h.everything()
		h.silent()
	})
	t.Run("browser", func(t *testing.T) {
		t.Parallel()
		h := newHush(t, `{ flow = "browser", tenant = "%t", client_id = "%c" }`, fake365.Options{})
		h.start()
		h.pastes(func(back string) string { return strings.Replace(back, "code=", "code=x", 1) })
		h.pastes(func(back string) string { return strings.Replace(back, "state=", "state=x", 1) + "\n" + back })
		h.work()
		h.silent()
	})
}

// converse keeps what a conversation said.
func (h *hush) converse(c *exec.Cmd, answer func(line string) string) {
	h.t.Helper()
	all, _ := converse(h.t, c, answer)
	h.said.WriteString(all)
}

// person signs in with a code, or does not.
func (h *hush) person(decides func(code string)) {
	h.t.Helper()
	h.converse(command("authorize", "default", "--config", h.config), func(line string) string {
		if m := userCode.FindStringSubmatch(line); m != nil {
			decides(m[1])
		}
		return ""
	})
}

// pastes signs in with a browser elsewhere; what it ends at is changed on the way.
func (h *hush) pastes(change func(back string) string) {
	h.t.Helper()
	c := command("authorize", "default", "--config", h.config)
	c.Env = append(c.Env, "PATH=", "DISPLAY=", "WAYLAND_DISPLAY=")
	h.converse(c, func(line string) string {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "https://") {
			return change(elsewhere(h.t, h.world, line)) + "\n"
		}
		return ""
	})
}
