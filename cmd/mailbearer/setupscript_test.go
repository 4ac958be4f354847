package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mailbearer/mailbearer/config"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile is a name that would be a command in every language it passes through.
const hostile = "o'brien\u2019; touch pwned; \"$(touch pwned)`touch pwned`${x}\n#>' -or 1 -eq 1 \\' ü 😀@example.com"

// variants are scripts of each kind; those with golden files are kept word by word.
var variants = []struct {
	name   string
	golden bool
	acc    config.Account
	o      scriptOptions
}{
	{name: "certificate", golden: true, acc: variant("client-certificate", "smtp")},
	{name: "classic", acc: variant("client-certificate", "smtp"), o: scriptOptions{classic: true}},
	{name: "classic-auto", golden: true, acc: variant("client-certificate", "auto"), o: scriptOptions{classic: true}},
	{name: "graph", acc: variant("client-certificate", "graph")},
	{name: "secret", acc: variant("client-secret", "smtp"), o: scriptOptions{clientID: "11111111-2222-3333-4444-555555555555"}},
	{name: "device-code", golden: true, acc: variant("device-code", "smtp")},
	{name: "browser", acc: variant("browser", "auto")},
	{name: "federated", acc: variant("federated-token", "smtp")},
	{name: "federated-elsewhere", acc: variant("federated-token", "smtp")},
	{name: "send-as", golden: true, acc: variant("client-secret", "smtp"), o: scriptOptions{sendAs: []string{"scanner@example.com", "o'brien@example.com"}}},
	{name: "identity", acc: variant("managed-identity", "smtp"), o: scriptOptions{clientID: "11111111-2222-3333-4444-555555555555"}},
	{name: "identity-classic", acc: variant("managed-identity", "auto"), o: scriptOptions{clientID: "11111111-2222-3333-4444-555555555555", classic: true}},
	{name: "hostile", golden: true, acc: config.Account{
		Name: "default", Mailbox: hostile, Provider: "microsoft365", Transport: "auto", OAuth: config.OAuth{Flow: "client-secret", Tenant: hostile, ClientID: hostile},
	}, o: scriptOptions{appName: hostile, classic: true}},
}

func variant(flow, transport string) config.Account {
	return config.Account{
		Name: "default", Mailbox: "noreply@example.com", Provider: "microsoft365", Transport: transport,
		OAuth: config.OAuth{Flow: flow, Tenant: "example.com", ClientID: noClientID},
	}
}

// scripts writes every variant in a language, and returns the files by name.
func scripts(t *testing.T, format string) map[string]string {
	t.Helper()
	files, dir := map[string]string{}, t.TempDir()
	for _, v := range variants {
		cfg := &config.Config{File: "mailbearer.toml", Accounts: []config.Account{v.acc}}
		s, err := newScript(cfg, &cfg.Accounts[0], v.o)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if v.acc.OAuth.Flow == "client-certificate" {
			s.Certificate, s.CertificateName, s.CertificateFrom, s.CertificateUntil = "Q0VSVElGSUNBVEU=", "CN=mailbearer default", "2026-11-25T00:00:00Z", "2028-11-24T00:00:00Z"
		}
		s.Mark = "mailbearer-MARK"
		if v.name == "federated" {
			s.Issuer, s.Subject, s.Audience = "https://issuer.example.com/'x", "system:serviceaccount:mail:relay", exchangeAudience
		}
		var b bytes.Buffer
		if err := page(scriptFormats[format], &b, s); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		files[v.name] = filepath.Join(dir, v.name+filepath.Ext(strings.TrimSuffix(scriptFormats[format], ".tmpl")))
		if err := os.WriteFile(files[v.name], b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestSetupScriptGolden(t *testing.T) {
	t.Parallel()
	for format := range scriptFormats {
		files := scripts(t, format)
		for _, v := range variants {
			if v.golden {
				compareGolden(t, files[v.name])
			}
		}
	}
}

func compareGolden(t *testing.T, file string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range got {
		if c > 0x7e || c < ' ' && c != '\n' && c != '\t' {
			if strings.HasSuffix(file, ".ps1") {
				t.Fatalf("%s has the byte %#x at %d: Windows PowerShell reads it in the machine's code page", file, c, i)
			}
		}
	}
	golden := filepath.Join("testdata", "setup", filepath.Base(file)+".golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test -run Golden -update writes it anew):\n%s", golden, diff)
	}
}

// Only what a quoting function wrote may stand in a script; constants of this program are listed.
func TestSetupScriptQuotesEverything(t *testing.T) {
	t.Parallel()
	action := regexp.MustCompile(`\{\{-?\s*([^}]*?)\s*-?\}\}`)
	quoted := regexp.MustCompile(`^(ps|sh) |^(if|else|end|range|define|template|or|/\*)\b|^\.Platform\.(Key|Name|Flag)$|^\.Name$`)
	pages, err := templates.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		text, err := templates.ReadFile("templates/" + p.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(p.Name(), ".toml.tmpl") || strings.HasSuffix(p.Name(), ".txt.tmpl") {
			continue
		}
		for _, m := range action.FindAllStringSubmatch(string(text), -1) {
			if !quoted.MatchString(m[1]) {
				t.Errorf("%s: {{%s}} goes through no quoting function", p.Name(), m[1])
			}
		}
	}
}

// What is written for PowerShell is one expression of literals, in ASCII, that is the value again.
func TestQuotePowerShell(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(?:'(?:[ -&(-~]|'')*'|\(''(?: \+ (?:'(?:[ -&(-~]|'')*'|\[char\]0x[0-9a-f]{4}))+\))$`)
	rapid.Check(t, func(t *rapid.T) {
		if s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{hostile, "'", "\u2018", "a''b"})).Draw(t, "s"); !form.MatchString(quotePowerShell(s)) {
			t.Fatalf("%q became %s", s, quotePowerShell(s))
		}
	})
	for value, want := range map[string]string{
		"": "''", "it's": "'it''s'", "$x`n": "'$x`n'", "\u2019": "('' + [char]0x2019)", "aü😀": "('' + 'a' + [char]0x00fc + [char]0xd83d + [char]0xde00)",
	} {
		if got := quotePowerShell(value); got != want {
			t.Errorf("%q became %s, not %s", value, got, want)
		}
	}
}

// The scripts are PowerShell, to the grammar that editors use. Where that is not installed nothing can be said:
// npm install @vscode/tree-sitter-wasm, and MAILBEARER_TREE_SITTER names its directory wasm.
func TestSetupScriptIsPowerShell(t *testing.T) {
	t.Parallel()
	if os.Getenv("MAILBEARER_TREE_SITTER") == "" {
		t.Skip("MAILBEARER_TREE_SITTER does not name a PowerShell grammar")
	}
	args := []string{"--liftoff-only", filepath.Join("testdata", "setup", "parse.mjs")} // else node goes on compiling for a minute
	for _, file := range scripts(t, "powershell") {
		args = append(args, file)
	}
	for name, file := range scripts(t, "azcli") { // the Exchange part of each
		text, _ := os.ReadFile(file)
		_, inner, _ := strings.Cut(string(text), "<<'MAILBEARER_END_OF_POWERSHELL'\n")
		inner, _, found := strings.Cut(inner, "\nMAILBEARER_END_OF_POWERSHELL\n")
		inner += "\n"
		path := filepath.Join(t.TempDir(), name+".ps1")
		if err := os.WriteFile(path, []byte(inner), 0o600); err != nil || !found {
			t.Fatalf("%s: no Exchange part, or %v", name, err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command("node", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The binary prints what the golden files have, for an account as `init` writes it.
func TestSetupScriptCommand(t *testing.T) {
	t.Parallel()
	s := newSetting(t, "")
	if _, errs, code := s.run("setup-script"); code != exitFailed || !strings.Contains(errs, "certificate new --account default") {
		t.Errorf("without a certificate: exit %d: %s", code, errs)
	}
	made := s.existing(t, "default.pfx", 100)
	for _, args := range [][]string{{"--account", "default"}, {"--format", "azcli", "--classic"}} {
		out, errs, code := s.run(append([]string{"setup-script"}, args...)...)
		if code != exitFine || !strings.Contains(out, base64.StdEncoding.EncodeToString(made.cert.Raw)) || !strings.Contains(out, "11111111-2222-3333-4444-555555555555") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
		if !strings.Contains(out, "mailbearer check --account default --config "+quotePath(s.config)) {
			t.Errorf("%v: what comes next does not name the configuration", args)
		}
		if strings.Contains(out, "PRIVATE KEY") {
			t.Errorf("%v: the script has a private key", args)
		}
	}
	for want, args := range map[string][]string{
		"use powershell or azcli": {"--format", "perl"}, "it has default": {"--account", "other"},
		`"xyz" is not an Application`: {"--client-id", "xyz"}, `--send-as "scanner"`: {"--send-as", "scanner"},
	} {
		if _, errs, code := s.run(append([]string{"setup-script"}, args...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}

// Accounts of one app share its scope: a script for one must not shut the others out.
func TestSetupScriptOfSharedApp(t *testing.T) {
	t.Parallel()
	account := func(mailbox, flow, id, transport string) config.Account {
		a := variant(flow, transport)
		a.Mailbox, a.OAuth.ClientID = mailbox, id
		return a
	}
	cfg := &config.Config{Accounts: []config.Account{
		account("a@x.test", "client-secret", "ab", "smtp"), account("b@x.test", "client-certificate", "AB", "smtp"), account("A@x.test", "client-secret", "ab", "smtp"),
		account("other@x.test", "client-secret", "cd", "smtp"), account("person@x.test", "device-code", "ab", "smtp"), account("graph@x.test", "client-secret", "ab", "graph"),
		account("zero1@x.test", "client-secret", noClientID, "smtp"), account("zero2@x.test", "client-secret", noClientID, "smtp"),
		account("machine1@x.test", "managed-identity", "", "smtp"), account("machine2@x.test", "managed-identity", "", "smtp"),
	}}
	for i, want := range map[int][]string{
		0: {"a@x.test", "b@x.test"}, 1: {"b@x.test", "a@x.test"}, 3: {"other@x.test"}, 4: {"person@x.test"}, 5: {"graph@x.test"},
		6: {"zero1@x.test"}, 9: {"machine2@x.test", "machine1@x.test"},
	} {
		if diff := cmp.Diff(want, sameApp(cfg, &cfg.Accounts[i])); diff != "" {
			t.Errorf("account %d: %s", i, diff)
		}
	}
}

// What is in a federated token's file goes into the script, but not the token. A file of another kind is left to a person.
func TestSetupScriptOfFederatedToken(t *testing.T) {
	t.Parallel()
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl\n"
	}
	for text, want := range map[string][3]string{
		jwt(`{"iss":"https://i.test","sub":"me","aud":["x","` + exchangeAudience + `"]}`): {"https://i.test", "me", exchangeAudience},
		jwt(`{"iss":"https://i.test","sub":"me","aud":"api://other"}`):                    {"https://i.test", "me", "api://other"},
		jwt(`{"iss":"https://i.test","sub":"me"}`):                                        {"https://i.test", "me", exchangeAudience},
		jwt(`{"iss":"https://i.test"}`):                                                   {},
		jwt(`{`):                                                                          {},
		"a.!.c":                                                                           {},
		"not a token":                                                                     {},
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &script{TokenFile: file, Flow: "federated-token"}
		s.federation()
		if got := [3]string{s.Issuer, s.Subject, s.Audience}; got != want {
			t.Errorf("%q gave %q", text, got)
		}
		if by := s.ByHand(); (len(by) > 0) != (want[0] == "") {
			t.Errorf("%q leaves to a person: %q", text, by)
		}
	}
	s := newSetting(t, "")
	token := jwt(`{"iss":"https://i.test","sub":"me","aud":"api://AzureADTokenExchange"}`)
	text := "[[account]]\nname = \"default\"\nmailbox = \"noreply@example.com\"\n[account.oauth]\nflow = \"federated-token\"\ntenant = \"example.com\"\n" +
		"client_id = \"11111111-2222-3333-4444-555555555555\"\ntoken_file = '" + s.file("token") + "'\n"
	if err := errors.Join(os.WriteFile(s.file("token"), []byte(token), 0o600), os.WriteFile(s.config, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"powershell", "azcli"} {
		out, errs, code := s.run("setup-script", "--format", format)
		if code != exitFine || !strings.Contains(out, "'https://i.test'") || strings.Contains(out, "Still to be done by hand") || strings.Contains(out, strings.TrimSpace(token)) {
			t.Errorf("%s: exit %d: %s\n%s", format, code, errs, out)
		}
	}
}

// Nothing that another relay may go by is taken away: a scope is only made or extended, and bound to the app by its ID.
func TestSetupScriptNarrowsNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"powershell", "azcli"} {
		for name, file := range scripts(t, format) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "Set-ManagementScope -Identity") && !strings.Contains(line, `-RecipientRestrictionFilter ((@("($filter)") + $missing) -join ' -or ')`) {
					t.Errorf("%s: %s", name, line)
				}
				if strings.Contains(line, "Remove-") && !strings.Contains(line, `"Remove-ServicePrincipal -Identity $id")`) { // which it tells a person
					t.Errorf("%s: %s", name, line)
				}
				if strings.Contains(line, "-CustomResourceScope") && !strings.Contains(string(text), `$scope = "mailbearer $AppId"`) {
					t.Errorf("%s: the scope is not bound to the app", name)
				}
			}
		}
	}
}
