package config

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sections checks the tables that exist once, and completes them.
func (r *reader) sections(root *node, c *Config) {
	held(r.err, c, &c.Spool, root.get("spool"), "spool", spoolRules)
	held(r.err, c, &c.Console, root.get("console"), "console", consoleRules)
	held(r.err, c, &c.Alerts, root.get("alerts"), "alerts", alertsRules)
	if c.Alerts.Account == "" {
		c.Alerts.Account = c.firstAccount()
	}
}

// dataDir completes what depends on it, before the rules of accounts, which have files there.
func (r *reader) dataDir(c *Config) {
	if c.Relay.DataDir == "" {
		c.Relay.DataDir = defaultDataDir(runtime.GOOS, r.env)
	}
	if c.Tokens.Store == "" {
		c.Tokens.Store = c.Relay.DataDir
	}
}

// DefaultDataDir is the data directory of a configuration that names none.
func DefaultDataDir() string { return defaultDataDir(runtime.GOOS, os.LookupEnv) }

// defaultDataDir is where the operating system expects a service's data.
func defaultDataDir(goos string, env func(string) (string, bool)) string {
	if goos != "windows" {
		return "/var/lib/mailbearer"
	}
	dir, _ := env("ProgramData")
	if dir == "" {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, "mailbearer")
}

// parseKey reads where the key of the token store comes from: never from the configuration itself, which is read by
// more people than the store.
func parseKey(text, dir string, env func(string) (string, bool)) (Secret, error) {
	if name, ok := strings.CutPrefix(text, "systemd:"); ok {
		credentials, _ := env("CREDENTIALS_DIRECTORY")
		if credentials == "" || name == "" || name != filepath.Base(name) {
			return Secret{}, errors.New("systemd gave no credential of that name: set LoadCredential= in the unit")
		}
		s, err := fileSecret("file:", filepath.Join(credentials, name), dir)
		if err == nil {
			s.held().source = text
		}
		return s, err
	}
	if !strings.HasPrefix(text, "env:") && !strings.HasPrefix(text, "file:") {
		return Secret{}, errors.New(`must say where the key comes from: "file:/path", "env:NAME" or "systemd:NAME"; without it one is made in data_dir`)
	}
	return parseSecret(text, dir, env)
}

var spoolRules = []rule[Spool]{
	{"retry", func(_ *Config, s *Spool, _ *node) string {
		if len(s.Retry) == 0 {
			return `is empty: write at least one duration, as in ["5m"]`
		}
		return ""
	}},
	{"url", func(_ *Config, s *Spool, n *node) string {
		switch {
		case s.Engine == "postgres" && !n.has("url"):
			return `is missing: engine = "postgres" needs it, as in "postgres://mailbearer@db.example.com/mailbearer"`
		case s.Engine == "sqlite" && n.has("url"):
			return `does not belong to engine = "sqlite": remove it, or set engine = "postgres"`
		}
		return ""
	}},
}

var consoleRules = []rule[Console]{
	together[Console]("certificate", "key"),
	together[Console]("key", "certificate"),
	{"password_hash", func(_ *Config, c *Console, n *node) string {
		if c.Address != "off" && beyondLoopback(c.Address) && !n.has("password_hash") {
			return "is missing: " + quote(c.Address) + ` can be reached from other machines; make one with "mailbearer hash-password"`
		}
		return ""
	}},
}

var alertsRules = []rule[Alerts]{
	{"account", func(c *Config, a *Alerts, _ *node) string { return knownAccount(c, a.Account) }},
	{"webhook", func(_ *Config, a *Alerts, n *node) string {
		text, err := a.Webhook.Reveal()
		if err != nil || !a.Webhook.IsSet() {
			return ""
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || !slices.Contains([]string{"https", "http"}, u.Scheme) {
			return `is not a URL: write it as in "https://hooks.example.com/mailbearer"` // not repeated: it is a secret
		}
		return ""
	}},
	{"webhook_secret", func(_ *Config, _ *Alerts, n *node) string {
		if n.has("webhook_secret") && !n.has("webhook") {
			return "has no use without webhook: set that too, or remove it"
		}
		return ""
	}},
}
