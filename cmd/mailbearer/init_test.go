package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/config"
)

// TestInitEveryAnswer writes the configuration of every combination of answers, and loads it. What this version does not
// have is refused before anything is written; it loads as soon as the configuration takes it.
func TestInitEveryAnswer(t *testing.T) {
	t.Parallel()
	dir, written := t.TempDir(), 0
	setting{dir: dir}.existing(t, "default.pfx", 100)
	for _, flow := range flowsSaid {
		for _, own := range ownFroms {
			for _, network := range []string{"", "192.168.1.20"} {
				for _, id := range []string{"", "11111111-2222-3333-4444-555555555555"} {
					for _, provider := range append(slices.Collect(maps.Keys(clouds)), "outlook.com", "google") {
						if provider != "microsoft365" && (own != "no" || network != "") {
							continue // the cloud stands beside the questions
						}
						a := answers{Account: "default", Mailbox: "o'brien$x`y@example.com", Provider: provider, Tenant: "example.com", ClientID: id, Flow: flow[0], OwnFrom: own}
						if a.Personal() {
							a.Tenant = ""
						}
						if provider == "google" && id != "" {
							a.ClientID = "1-x" + googleClients
						}
						if network != "" {
							a.Networks = []string{network, "10.0.0.0/8"}
						}
						if tryAnswers(t, dir, a) {
							written++
						}
					}
				}
			}
		}
	}
	if written < 2*2*(3*2+3)+2*(2+1) { // at least the two flows for apps, and those of persons' mailboxes
		t.Errorf("only %d combinations were written", written)
	}
}

func tryAnswers(t *testing.T, dir string, a answers) bool {
	t.Helper()
	path := filepath.Join(dir, "mailbearer.toml")
	a.DataDir, a.SecretFile = dir, filepath.Join(dir, "default.secret")
	o := initOptions{answers: a, force: true}
	if err := o.check(); err != nil {
		if a.offered("keep", a.Flow) {
			t.Errorf("%+v: %v", a, err)
		}
		return false
	}
	if _, err := o.write(path); err != nil {
		t.Errorf("%+v: %v", a, err)
		return false
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Errorf("%+v: %v", a, err)
		return false
	}
	acc := cfg.Accounts[0]
	if acc.Mailbox != a.Mailbox || acc.OAuth.Flow != a.Flow || acc.Provider != a.Provider || acc.From != a.From() || len(cfg.Warnings) > 0 ||
		(len(a.Networks) > 0) != (cfg.Listeners[0].Address == ":2525") {
		t.Errorf("%+v became %+v, %v", a, acc, cfg.Warnings)
	}
	text, err := stepsOf(a, path)
	if err != nil || a.Personal() != !strings.Contains(text, "Set-CASMailbox 'o''brien$x`y@example.com'") || !strings.Contains(text, "--config "+quotePath(path)) || strings.Contains(text, "<no value>") {
		t.Errorf("%+v: %v\n%s", a, err, text)
	}
	return true
}

func TestInitNonInteractive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	setting{dir: dir}.existing(t, "default.pfx", 100)
	path := filepath.Join(dir, "mailbearer.toml")
	args := []string{"init", "--config", path, "--non-interactive", "--mailbox", "noreply@example.com", "--data-dir", dir}
	out, errs, code := output(args...)
	if code != exitFine {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{path + " is written", "Upload certificate", "setup-script --account default", "127.0.0.1", "Next, when Microsoft"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := config.Load(path); err != nil {
		t.Error(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "default.pfx"))
	if _, errs, code = output(args...); code != exitFailed || !strings.Contains(errs, "--force") {
		t.Errorf("a second time: exit %d: %s", code, errs)
	}
	if _, errs, code = output(append(args, "--force", "--network", "10.1.0.0/16")...); code != exitFine {
		t.Errorf("--force: exit %d: %s", code, errs)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "default.pfx")); string(after) != string(before) {
		t.Error("--force overwrote the key")
	}
	if cfg, err := config.Load(path); err != nil || cfg.Listeners[0].Address != ":2525" {
		t.Errorf("%v, %v", cfg, err)
	}
}

func TestInitMistakes(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--mailbox ADDRESS":          {"--non-interactive"},
		"is not an address":          {"--non-interactive", "--mailbox", "noreply"},
		"is not a network":           {"--non-interactive", "--mailbox", "a@example.com", "--network", "everywhere"},
		"an open relay":              {"--non-interactive", "--mailbox", "a@example.com", "--network", "0.0.0.0/0"},
		"is not a tenant":            {"--non-interactive", "--mailbox", "a@example.com", "--tenant", "x/y"},
		`--own-from "maybe"`:         {"--non-interactive", "--mailbox", "a@example.com", "--own-from", "maybe"},
		"init knows the steps for":   {"--non-interactive", "--mailbox", "a@example.com", "--provider", "custom"},
		"is a mailbox of Google":     {"--non-interactive", "--mailbox", "a@gmail.com", "--provider", "microsoft365"},
		"is a mailbox of Outlook":    {"--non-interactive", "--mailbox", "a@outlook.com", "--provider", "google"},
		"is no mailbox of":           {"--non-interactive", "--mailbox", "a@yahoo.co.uk"},
		"Google has no tenants":      {"--non-interactive", "--mailbox", "a@gmail.com", "--tenant", "gmail.com"},
		"use device-code or browser": {"--non-interactive", "--mailbox", "a@hotmail.com", "--flow", "client-secret"},
		"to send as others":          {"--non-interactive", "--mailbox", "a@hotmail.fr", "--own-from", "send-as"},
		`"xyz" is not an Applicat`:   {"--non-interactive", "--mailbox", "a@example.com", "--client-id", "xyz"},
		`"xyz" is no client ID of`:   {"--non-interactive", "--mailbox", "a@gmail.com", "--client-id", "xyz"},
		`"bogusflow" is no domain`:   {"--non-interactive", "--mailbox", "a@example.com", "--tenant", "bogusflow"},
		"--send-as is for":           {"--non-interactive", "--mailbox", "a@example.com", "--send-as", "b@example.com"},
		`--send-as "b" is not`:       {"--non-interactive", "--mailbox", "a@example.com", "--own-from", "send-as", "--send-as", "b"},
		"nobody answered":            {},
		`"carrier-pigeon" is not a`:  {"--non-interactive", "--mailbox", "a@example.com", "--flow", "carrier-pigeon"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "mailbearer.toml")
		out, errs, code := output(append([]string{"init", "--config", path, "--data-dir", dir}, args...)...)
		if code != exitUsage || !strings.Contains(errs, strings.TrimSuffix(want, " is not a")) {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%v: left %v behind", args, left)
		}
	}
}

// What is refused leaves nothing on disk, not even a directory, and what was there is as it was.
func TestInitRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(dir string) error
		args    []string
		want    string
	}{
		"an answer":              {args: []string{"--network", "everywhere"}, want: "is not a network"},
		"no mailbox":             {args: []string{"--mailbox", ""}, want: "--mailbox ADDRESS"},
		"an empty secret":        {func(dir string) error { return os.WriteFile(filepath.Join(dir, "old"), nil, 0o600) }, []string{"--flow", "client-secret", "--secret-file", "old"}, "client_secret"},
		"a broken certificate":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, "default.pfx"), []byte("x"), 0o600) }, []string{"--data-dir", "."}, "default.pfx"},
		"no place for the file":  {func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }, []string{"--config", "file/mailbearer.toml"}, "may not write"},
		"a file for a directory": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }, []string{"--data-dir", "file/data"}, "may not write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.prepare != nil {
				if err := c.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadDir(dir)
			cmd := command(append([]string{"init", "--config", "new/mailbearer.toml", "--non-interactive", "--mailbox", "a@example.com", "--data-dir", "data"}, c.args...)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s", err, out)
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("left behind: %v", after)
			}
		})
	}
}

// A conversation: wrong answers are asked again, Enter takes what is proposed.
func TestInitAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "mailbearer.toml")
	c := command("init", "--config", path, "--data-dir", dir)
	c.Stdin = strings.NewReader("printer\nprinter@example.com\nbogus\n\n9\nclient-secret\nxyz\nlater\n2\neverywhere\n192.168.7.0/24 10.2.0.0/16\n3\nscan\nscan@example.com fax@example.com\n")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	acc, allow := cfg.Accounts[0], fmt.Sprint(cfg.Listeners[0].Allow)
	if acc.Mailbox != "printer@example.com" || acc.OAuth.Tenant != "example.com" || acc.OAuth.Flow != "client-secret" ||
		acc.OAuth.ClientID != noClientID || acc.From != "keep" || !strings.Contains(allow, "192.168.7.0/24 10.2.0.0/16") {
		t.Errorf("%+v, %s", acc, allow)
	}
	for _, want := range []string{`"printer" is not an address`, `"9" is none of them`, "is not a network", "[example.com]", "default.secret", `"bogus" is no domain`, `"xyz" is not an Application`, `"scan" is not an address`,
		"Add-RecipientPermission fax@example.com", "--send-as scan@example.com --send-as fax@example.com > setup.ps1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if secret, _ := os.ReadFile(filepath.Join(dir, "default.secret")); strings.TrimSpace(string(secret)) != notASecret {
		t.Errorf("the secret's file has %q", secret)
	}
}

// A domain in which everybody can have a mailbox says whose it is; then nothing of Microsoft 365 is asked or written.
func TestInitOfPersonalMailbox(t *testing.T) {
	t.Parallel()
	for mailbox, c := range map[string]struct {
		typed, provider, flow, id, step string
	}{
		"a@gmail.com":     {"xyz\n1-x.apps.googleusercontent.com\n1\n2\n", "google", "browser", "1-x.apps.googleusercontent.com", "console.cloud.google.com"},
		"a@outlook.com":   {"\n11111111-2222-3333-4444-555555555555\n\n\n", "outlook.com", "device-code", "11111111-2222-3333-4444-555555555555", "entra.microsoft.com"},
		"a@Hotmail.co.uk": {"browser\n\n\n\n", "outlook.com", "browser", noClientID, "in place of the zeros"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "mailbearer.toml")
		cmd := command("init", "--config", path, "--data-dir", dir)
		cmd.Stdin = strings.NewReader(mailbox + "\n" + c.typed)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", mailbox, err, out)
			continue
		}
		cfg, err := config.Load(path)
		if err != nil {
			t.Errorf("%s: %v", mailbox, err)
			continue
		}
		acc := cfg.Accounts[0]
		if acc.Provider != c.provider || acc.OAuth.Flow != c.flow || acc.OAuth.ClientID != c.id || len(cfg.Warnings) > 0 {
			t.Errorf("%s: %+v, %v", mailbox, acc, cfg.Warnings)
		}
		for _, want := range []string{c.step, "provider = \"" + c.provider, "mailbearer authorize default --config " + quotePath(path)} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %q is missing in\n%s", mailbox, want, out)
			}
		}
	}
}

// The steps that are printed are those of the README and of docs/setup.md, for their example.
func TestInitStepsAreTheDocumented(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	setting{dir: dir}.existing(t, "default.pfx", 100)
	path := filepath.Join(dir, "mailbearer.toml")
	out, errs, code := output("init", "--config", path, "--non-interactive", "--mailbox", "noreply@example.com", "--data-dir", dir)
	if code != exitFine {
		t.Fatal(errs)
	}
	for _, page := range []string{"README.md", "docs/setup.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		_, block, _ := strings.Cut(string(text), "```powershell\n")
		block, _, found := strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			if !found || !strings.Contains(out, strings.TrimSpace(line)) {
				t.Errorf("%s has, and init has not: %s", page, line)
			}
		}
	}
}
