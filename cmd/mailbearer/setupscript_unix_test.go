//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// desk is an administrator's computer with the fake Azure CLI and a PowerShell that notes what it is given.
type desk struct{ dir, state string }

func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{dir: t.TempDir(), state: t.TempDir()}
	az, err := os.ReadFile(filepath.Join("testdata", "setup", "az"))
	if err != nil {
		t.Fatal(err)
	}
	d.command(t, "az", string(az))
	d.command(t, "pwsh", "#!/bin/sh\necho exchange >>\"$STATE/log\"\necho \"$@\" >\"$STATE/pwsh\"\n")
	return d
}

func (d desk) command(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (d desk) make(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.state, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a script, and returns what it said and what it changed this time.
func (d desk) run(t *testing.T, script string, args ...string) (said, changed string, err error) {
	t.Helper()
	os.Remove(filepath.Join(d.state, "log"))
	c := exec.Command("bash", append([]string{script}, args...)...)
	c.Dir = d.state
	c.Env = append(os.Environ(), "PATH="+d.dir+":/usr/bin:/bin", "STATE="+d.state, "MAILBEARER_SETUP_PAUSE=0")
	out, err := c.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(d.state, "log"))
	if _, bad := os.Stat(filepath.Join(d.state, "pwned")); bad == nil {
		t.Errorf("a value became a command:\n%s", out)
	}
	return string(out), strings.Join(strings.Fields(string(log)), " "), err
}

// Every script in bash does its work on an empty organization, and nothing the second time.
func TestSetupScriptInBash(t *testing.T) {
	t.Parallel()
	changes := map[string]string{
		"certificate": "app mark principal certificate exchange", "classic-auto": "app mark principal certificate exchange permission consent",
		"device-code": "app mark principal public redirects permission exchange", "browser": "app mark principal redirects permission exchange",
		"federated":        "app mark principal federation exchange",
		"identity-classic": "exchange consent", "hostile": "principal exchange permission consent",
	}
	der := base64.StdEncoding.EncodeToString(selfSigned(t).cert.Raw)
	for name, file := range scripts(t, "azcli") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, _ := os.ReadFile(file)
			os.WriteFile(file, bytes.ReplaceAll(text, []byte("Q0VSVElGSUNBVEU="), []byte(der)), 0o600)
			if out, err := exec.Command("bash", "-n", file).CombinedOutput(); err != nil {
				t.Fatalf("bash -n: %s", out)
			}
			if changes[name] == "" {
				return // differs from another in what is left out only
			}
			d := newDesk(t)
			d.make(t, "organization")
			if strings.HasPrefix(name, "identity") {
				d.make(t, "principal")
			}
			if name == "hostile" {
				d.make(t, "app")
			}
			said, changed, err := d.run(t, file)
			if err != nil || changed != changes[name] || !strings.Contains(said, "Next, there:") {
				t.Fatalf("%v; changed %q, not %q; said:\n%s", err, changed, changes[name], said)
			}
			if said, changed, err = d.run(t, file); err != nil || changed != "exchange" {
				t.Errorf("again: %v; changed %q; said:\n%s", err, changed, said)
			}
		})
	}
}

func selfSigned(t *testing.T) *appCertificate {
	t.Helper()
	c, err := selfSign("mailbearer default", 100, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// When something is not as it has to be the script stops, in words, before it changes anything.
func TestSetupScriptStops(t *testing.T) {
	t.Parallel()
	file := scripts(t, "azcli")["device-code"]
	for name, c := range map[string]struct {
		prepare       func(d desk)
		want, changed string
	}{
		"signed out":    {func(d desk) { d.make(t, "signed-out") }, "az is not signed in", ""},
		"other tenant":  {func(d desk) {}, "which is not example.com", ""},
		"no PowerShell": {func(d desk) { d.make(t, "organization"); os.Remove(filepath.Join(d.dir, "pwsh")) }, "--exchange-done", "app mark principal public redirects permission"},
		"Exchange fails": {func(d desk) {
			d.make(t, "organization")
			d.command(t, "pwsh", "#!/bin/sh\nexit 1\n")
		}, "did not end well", "app mark principal public redirects permission"},
		"az fails": {func(d desk) { d.command(t, "az", "#!/bin/sh\nexit 3\n") }, "STOPPED", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c.prepare(d)
			said, changed, err := d.run(t, file)
			if err == nil || !strings.Contains(said, c.want) || changed != c.changed || strings.Count(said, "STOPPED") != 1 {
				t.Errorf("%v; changed %q; said:\n%s", err, changed, said)
			}
			if name == "no PowerShell" {
				if _, err := os.Stat(filepath.Join(d.state, "mailbearer-exchange.ps1")); err != nil {
					t.Error(err)
				}
				if said, _, err := d.run(t, file, "--exchange-done"); err != nil {
					t.Errorf("%v: %s", err, said)
				}
			}
		})
	}
}

// An app of the same name may be another relay's: nothing is done to it before somebody has agreed, unless this script has
// made it or it has this relay's certificate.
func TestSetupScriptAsksBeforeItTakesAnApp(t *testing.T) {
	t.Parallel()
	file := scripts(t, "azcli")["certificate"]
	text, _ := os.ReadFile(file)
	der := base64.StdEncoding.EncodeToString(selfSigned(t).cert.Raw)
	os.WriteFile(file, bytes.ReplaceAll(text, []byte("Q0VSVElGSUNBVEU="), []byte(der)), 0o600)
	for name, c := range map[string]struct {
		there, args []string
		changed     string
		refused     bool
	}{
		"another's":         {there: []string{"app"}, refused: true},
		"agreed":            {there: []string{"app"}, args: []string{"--use-existing-app"}, changed: "principal certificate exchange"},
		"made by this":      {there: []string{"app", "mark"}, changed: "principal certificate exchange"},
		"has our key":       {there: []string{"app", "certificate"}, changed: "principal exchange"},
		"unknown argument":  {there: []string{"app"}, args: []string{"--force"}, refused: true},
		"agreed, in two":    {there: []string{"app"}, args: []string{"--use-existing-app", "--exchange-done"}, changed: "principal certificate"},
		"nothing there yet": {changed: "app mark principal certificate exchange"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			for _, name := range append(c.there, "organization") {
				d.make(t, name)
			}
			said, changed, err := d.run(t, file, c.args...)
			if (err != nil) != c.refused || changed != c.changed || c.refused != strings.Contains(said, "STOPPED: ") {
				t.Errorf("%v; changed %q, not %q; said:\n%s", err, changed, c.changed, said)
			}
			if name == "another's" && !(strings.Contains(said, "--app-name NAME") && strings.Contains(said, `client_id = "11111111-2222-3333-4444-555555555555"`)) {
				t.Errorf("it does not say what to do:\n%s", said)
			}
		})
	}
}

// A value comes out of bash as it went in.
func TestQuoteShell(t *testing.T) {
	t.Parallel()
	for _, s := range []string{hostile, "", "'", `\`, "a\nb", "--x"} {
		out, err := exec.Command("bash", "-c", "printf %s "+quoteShell(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q became %q (%v)", s, out, err)
		}
	}
}
