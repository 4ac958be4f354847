package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/tokens"
)

// testKey is made once for all tests that need a certificate and not its making.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// setting is a configuration with one account that signs in with a certificate.
type setting struct{ dir, config string }

func newSetting(t *testing.T, oauth string) setting {
	t.Helper()
	s := setting{dir: t.TempDir()}
	s.config = filepath.Join(s.dir, "mailbearer.toml")
	text := fmt.Sprintf("[relay]\ndata_dir = '%s'\n[[account]]\nname = \"default\"\nmailbox = \"noreply@example.com\"\n"+
		"[account.oauth]\nflow = \"client-certificate\"\ntenant = \"example.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n%s\n", s.dir, oauth)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s setting) file(name string) string { return filepath.Join(s.dir, name) }

func (s setting) run(args ...string) (string, string, int) {
	return output(append(args, "--config", s.config)...)
}

// existing puts a certificate there that ends in so many days.
func (s setting) existing(t *testing.T, name string, days int) *appCertificate {
	t.Helper()
	c, err := selfSign("mailbearer default", days, testKey())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filesFor(s.file(name), "")
	if err == nil {
		err = files.write(c, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The whole default: RSA of 3072 bits, two years, PFX and .cer where the configuration has them, through the binary.
func TestCertificateNew(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	out, errs, code := s.run("certificate", "new")
	if code != exitFine {
		t.Fatalf("exit %d: %s", code, errs)
	}
	certs, key, err := tokens.LoadCertificate(s.file("default.pfx"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	cert := certs[0]
	years := cert.NotAfter.Sub(time.Now()).Round(24 * time.Hour)
	if key.N.BitLen() != 3072 || years != 730*24*time.Hour || cert.SignatureAlgorithm != x509.SHA256WithRSA ||
		cert.Subject.CommonName != "mailbearer default" || !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		t.Errorf("%d bits, %v, %v, %v", key.N.BitLen(), years, cert.SignatureAlgorithm, cert.Subject)
	}
	der, err := os.ReadFile(s.file("default.cer"))
	if err != nil || !bytes.Equal(der, cert.Raw) {
		t.Errorf("the .cer is not the certificate: %v", err)
	}
	v := viewCertificate(&config.Account{}, &appCertificate{cert: cert, key: key})
	for _, want := range []string{v.Thumbprint, v.ThumbprintSHA256, "730 days", "default.cer", "setup-script --account default", "Upload certificate"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if info, _ := os.Stat(s.file("default.pfx")); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v", info.Mode())
	}
	if left, _ := filepath.Glob(s.file(".mailbearer-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := config.Load(s.config); err != nil {
		t.Error(err)
	}
}

func TestCertificateNeverOverwrites(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	s.existing(t, "default.pfx", 20)
	before, _ := os.ReadFile(s.file("default.pfx"))
	_, errs, code := s.run("certificate", "new", "--bits", "2048")
	after, _ := os.ReadFile(s.file("default.pfx"))
	if code != exitFailed || !bytes.Equal(before, after) || !strings.Contains(errs, "never overwritten") || !strings.Contains(errs, "--out "+s.file("default-new.pfx")) {
		t.Errorf("exit %d: %s", code, errs)
	}
	out, errs, code := s.run("certificate", "new", "--bits", "2048", "--out", s.file("next.pfx"))
	if code != exitFine || !strings.Contains(out, "certificate = '"+s.file("next.pfx")+"'") || !strings.Contains(out, "Leave the old certificate there") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, _, err := tokens.LoadCertificate(s.file("next.pfx"), "", ""); err != nil {
		t.Error(err)
	}
	if _, errs, code = s.run("certificate", "new", "--bits", "2048", "--out", s.file("next.pfx")); code != exitFailed {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestCertificateForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ oauth, cert, key, password, wrong string }{
		"PEM in one file":   {oauth: `certificate = "app.pem"`, cert: "app.pem"},
		"PEM and key":       {oauth: "certificate = \"app.crt\"\ncertificate_key = \"app.key\"", cert: "app.crt", key: "app.key"},
		"PFX with password": {oauth: "certificate = \"app.pfx\"\ncertificate_password = \"Kiefer\"", cert: "app.pfx", password: "Kiefer"},
		"PFX and key":       {oauth: "certificate = \"app.pfx\"\ncertificate_key = \"app.key\"", wrong: "remove certificate_key"},
		"PEM with password": {oauth: "certificate = \"app.pem\"\ncertificate_password = \"Kiefer\"", wrong: "protects PFX files only"},
		"public name":       {oauth: `certificate = "app.cer"`, wrong: "end in .pfx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetting(t, c.oauth)
			out, errs, code := s.run("certificate", "new", "default", "--bits", "2048")
			if strings.Contains(out+errs, "Kiefer") {
				t.Error("the password is printed")
			}
			if c.wrong != "" {
				if code == exitFine || !strings.Contains(errs, c.wrong) {
					t.Errorf("exit %d: %s", code, errs)
				}
				return
			}
			if code != exitFine {
				t.Fatalf("exit %d: %s", code, errs)
			}
			key := c.key
			if key != "" {
				key = s.file(key)
			}
			certs, _, err := tokens.LoadCertificate(s.file(c.cert), key, c.password)
			if err != nil {
				t.Fatal(err)
			}
			if der, _ := os.ReadFile(s.file("app.cer")); !bytes.Equal(der, certs[0].Raw) {
				t.Error("the .cer is missing or another certificate")
			}
			if _, errs, code := s.run("certificate", "show"); code != exitFine {
				t.Errorf("show: exit %d: %s", code, errs)
			}
		})
	}
}

func TestCertificateShow(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	if _, errs, code := s.run("certificate", "show"); code != exitFailed || !strings.Contains(errs, "certificate new --account default") {
		t.Errorf("exit %d: %s", code, errs)
	}
	s.existing(t, "default.pfx", 20)
	out, _, code := s.run("certificate", "show")
	if code != exitFine || !strings.Contains(out, "20 days") || !strings.Contains(out, "expires soon") {
		t.Errorf("exit %d: %s", code, out)
	}
	out, _, code = s.run("certificate", "show", "--json")
	var v certificateView
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitFine || v.DaysLeft != 20 || v.Bits != 2048 || len(v.Thumbprint) != 40 || len(v.ThumbprintSHA256) != 64 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	old := newSetting(t, "")
	old.existing(t, "default.pfx", -3)
	if out, _, code = old.run("certificate", "show"); code != exitFine || !strings.Contains(out, "It has expired") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestCertificateExport(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	made := s.existing(t, "default.pfx", 100)
	os.Remove(s.file("default.cer"))
	if _, errs, code := s.run("certificate", "export"); code != exitFine {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if der, _ := os.ReadFile(s.file("default.cer")); !bytes.Equal(der, made.cert.Raw) {
		t.Error("the .cer is not the certificate")
	}
	out, _, _ := s.run("certificate", "export", "--pem", "-")
	block, rest := pem.Decode([]byte(out))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 || !bytes.Equal(block.Bytes, made.cert.Raw) {
		t.Errorf("--pem - printed %q", out)
	}
	for _, args := range [][]string{{"--pfx", s.file("moved.pfx")}, {"--private"}} {
		if _, errs, code := s.run(append([]string{"certificate", "export"}, args...)...); code != exitUsage || !strings.Contains(errs, "private") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
	for _, flag := range []string{"--pem", "--pfx"} {
		path := s.file("moved." + flag[2:])
		if _, errs, code := s.run("certificate", "export", "--private", flag, path); code != exitFine {
			t.Errorf("%s: exit %d: %s", flag, code, errs)
		}
		if _, key, err := tokens.LoadCertificate(path, "", ""); err != nil || !key.Equal(testKey()) {
			t.Errorf("%s: %v", flag, err)
		}
		if _, _, code := s.run("certificate", "export", "--private", flag, path); code != exitFailed {
			t.Errorf("%s overwrote a key", flag)
		}
	}
}

func TestCertificateUsage(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"certificate", "new", "--bits", "1024"}, "--bits 1024 is not possible"},
		{[]string{"certificate", "new", "--days", "0"}, "--days 0 is not possible"},
		{[]string{"certificate", "show", "other"}, "it has default"},
		{[]string{"certificate", "show", "default", "--account", "other"}, "name one"},
	} {
		if _, errs, code := s.run(c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d: %s", c.args, code, errs)
		}
	}
}

// Commands that are recommended mean the configuration that was named; where none was, they name none.
func TestNextNamesTheConfiguration(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	where := " --config " + quotePath(s.config)
	_, missing, _ := s.run("certificate", "show")
	made, errs, code := s.run("certificate", "new")
	_, again, _ := s.run("certificate", "new")
	if code != exitFine {
		t.Fatal(errs)
	}
	var signed bytes.Buffer
	(&env{config: s.config, stdout: &signed}).signedIn(tokens.SignedIn{User: "a@example.com"}, config.Account{Name: "default", Mailbox: "a@example.com"})
	for want, text := range map[string]string{
		"certificate new --account default" + where: missing, "setup-script --account default" + where + " > setup.ps1": made,
		"default-new.pfx" + where: again, "test --to YOUR-ADDRESS --account default" + where: signed.String(),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if got := configFlag(""); got != "" {
		t.Errorf("without --config: %q", got)
	}
}
