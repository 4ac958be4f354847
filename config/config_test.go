package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// account is the least that a file needs; tests put what they are about before it.
const account = `
[[account]]
name = "default"
mailbox = "noreply@Example.com"
oauth = { flow = "client-secret", tenant = "contoso.onmicrosoft.com", client_id = "11111111-2222-3333-4444-555555555555", client_secret = "s3cret" }
`

// parse is for texts that must be fine.
func parse(t *testing.T, text string, options ...Option) *Config {
	t.Helper()
	c, err := Parse("t.toml", []byte(text), options...)
	if err != nil {
		t.Fatalf("a good configuration was refused:\n%v", err)
	}
	return c
}

// write makes a file in a directory of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustSecret(t *testing.T, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// TestDefaults is the table of the documentation, for the smallest file.
func TestDefaults(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	want := &Config{
		File:  "t.toml",
		Relay: Relay{DataDir: defaultDataDir("linux", nil), Grace: 10 * time.Second},
		Listeners: []Listener{{
			Address: "127.0.0.1:2525", Security: "none", Auth: "none",
			Allow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Senders: Patterns{"*"}, Recipients: Patterns{"*"}, Account: "default",
			WaitFor: "upstream", WaitTimeout: 20 * time.Second, MaxMessageSize: 35 << 20, MaxRecipients: 500,
			MaxConnections: 256, MaxConnectionsPerAddress: 64, IdleTimeout: 5 * time.Minute, MinTLS: "1.2",
		}},
		Aliases: map[string][]string{},
		Accounts: []Account{{
			Name: "default", Mailbox: "noreply@Example.com", Provider: "microsoft365", Transport: "smtp",
			Domains: []string{"example.com"}, From: "keep",
			OAuth: OAuth{
				Flow: "client-secret", Tenant: "contoso.onmicrosoft.com", ClientID: "11111111-2222-3333-4444-555555555555",
				ClientSecret: mustSecret(t, "s3cret"), Scopes: []string{"https://outlook.office365.com/.default"},
			},
			Limits: Limits{Connections: 3, MessagesPerMinute: 30, RecipientsPerDay: 10000, RecipientsPerMessage: 500},
			Endpoints: Endpoints{
				SMTP: "smtp.office365.com:587", Authority: "https://login.microsoftonline.com",
				Graph: "https://graph.microsoft.com", SASL: "xoauth2",
			},
		}},
		Spool: Spool{
			Engine: "sqlite", MaxAge: 5 * day, FailedRetention: 30 * day, HistoryRetention: 30 * day, MaxSize: 10 << 30,
			Retry: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour},
		},
		Tokens:  Tokens{Store: defaultDataDir("linux", nil)},
		Console: Console{Address: "127.0.0.1:4443", Metrics: true},
		Alerts:  Alerts{Account: "default", ExpiryWarning: []time.Duration{60 * day, 30 * day, 7 * day, day}},
		Network: Network{DialTimeout: 10 * time.Second},
		Log:     Log{Level: "info", Format: "auto"},
	}
	got := parse(t, account)
	if got.Relay.DataDir != want.Relay.DataDir { // another operating system
		want.Relay.DataDir, want.Tokens.Store = got.Relay.DataDir, got.Relay.DataDir
	}
	want.Digest = got.Digest // of the text, which is not a default
	if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
		t.Errorf("not the defaults of the documentation (-want +got):\n%s", diff)
	}
}

// TestValues reads every kind of value in a form that is not the default's.
func TestValues(t *testing.T) {
	t.Parallel()
	hash := "$2a$04$" + strings.Repeat("a", 53)
	c := parse(t, `
[relay]
hostname = "[192.0.2.1]"
grace = "0s"
[[listener]]
address = "[::]:25"
allow = ["192.168.1.77/24", "10.1.2.3", "::ffff:10.0.0.0/104", "203.0.113.0/24", "2001:db8::/48"]
security = "starttls"
auth = "optional"
senders = ["*@example.com"]
max_message_size = "1kb"
account = "second"
[[user]]
name = "scanner"
password_hash = '`+hash+`'
account = "second"
[[user]]
name = "old"
password = "cram"
[[route]]
listener = "local"
client = "10.0.0.0/8"
sender = ["a@example.com", "b@example.com"]
account = "second"
[aliases]
Root = "it@example.com"
"*" = ["a@example.com", "b@example.com"]
[spool]
retry = ["90s"]
max_age = "1d12h"
`+account+`
[[account]]
name = "second"
mailbox = "me@gmail.example"
domains = ["Example.NET"]
from = "keep"
provider = "microsoft365-gcc-high"
[account.oauth]
flow = "client-secret"
tenant = "contoso.us"
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = "x"
client_secret_expires = 2027-01-31
[account.endpoints]
authority = "http://localhost:8080/"
smtp = "localhost:1025"
sasl = "oauthbearer"
[account.limits]
messages_per_minute = 0
`)
	l, a := c.Listeners[0], c.Accounts[1]
	prefix := netip.MustParsePrefix
	for _, pair := range []struct{ name, got, want any }{
		{"hostname", c.Relay.Hostname, "[192.0.2.1]"},
		{"grace", c.Relay.Grace, time.Duration(0)},
		{"allow", l.Allow, []netip.Prefix{
			prefix("192.168.1.0/24"), prefix("10.1.2.3/32"), prefix("10.0.0.0/8"), prefix("203.0.113.0/24"), prefix("2001:db8::/48"),
		}},
		{"senders", l.Senders, Patterns{"*@example.com"}},
		{"max_message_size", l.MaxMessageSize, int64(1024)},
		{"account", l.Account, "second"},
		{"users", c.Users, []User{
			{Name: "scanner", PasswordHash: hash, Account: "second", Senders: Patterns{"*"}},
			{Name: "old", Password: mustSecret(t, "cram"), Senders: Patterns{"*"}},
		}},
		{"routes", c.Routes, []Route{{
			Listener: "local", Client: []netip.Prefix{prefix("10.0.0.0/8")}, Sender: Patterns{"a@example.com", "b@example.com"}, Account: "second",
		}}},
		{"aliases", c.Aliases, map[string][]string{"root": {"it@example.com"}, "*": {"a@example.com", "b@example.com"}}},
		{"retry", c.Spool.Retry, []time.Duration{90 * time.Second}},
		{"max_age", c.Spool.MaxAge, 36 * time.Hour},
		{"domains", a.Domains, []string{"example.net"}},
		{"expires", a.OAuth.ClientSecretExpires, time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"scopes", a.OAuth.Scopes, []string{"https://outlook.office365.us/.default"}},
		{"endpoints", a.Endpoints, Endpoints{
			SMTP: "localhost:1025", Authority: "http://localhost:8080", Graph: "https://graph.microsoft.us", SASL: "oauthbearer",
		}},
		{"limits", a.Limits, Limits{Connections: 3, RecipientsPerDay: 10000, RecipientsPerMessage: 500}},
	} {
		if diff := cmp.Diff(pair.want, pair.got, comparePrefixes); diff != "" {
			t.Errorf("%v (-want +got):\n%s", pair.name, diff)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := write(t, "m.toml", bom+strings.Replace(account, `"s3cret"`, `"file:secret.txt"`, 1))
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "secret.txt"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Accounts[0].OAuth.ClientSecret.Reveal(); got != "from a file" || err != nil {
		t.Errorf("the secret beside the configuration: %q, %v", got, err)
	}
}

// TestLoadMissing keeps the cause, by which cmd goes on to the next place to look.
func TestLoadMissing(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a file that does not exist: %v", err)
	}
}

func TestMissingCertificate(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("client-secret", "client-certificate", `, client_secret = "s3cret"`, "").Replace(account)
	text = "[relay]\ndata_dir = 'd'\n" + text
	_, err := Parse("t.toml", []byte(text))
	want := `t.toml:7: account.oauth.certificate: the file ` + filepath.Join("d", "default.pfx") +
		` does not exist; make one with "mailbearer certificate new --account default"`
	if fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	c := parse(t, text, AllowMissingCertificate)
	if got := c.Accounts[0].OAuth.Certificate; got != filepath.Join("d", "default.pfx") {
		t.Errorf("certificate is %q", got)
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	none := func(string) (string, bool) { return "", false }
	if got := defaultDataDir("darwin", none); got != "/var/lib/mailbearer" {
		t.Errorf("darwin: %s", got)
	}
	programData := func(string) (string, bool) { return "D:", true }
	if got := defaultDataDir("windows", programData); got != filepath.Join("D:", "mailbearer") {
		t.Errorf("windows: %s", got)
	}
	if got := defaultDataDir("windows", none); got != filepath.Join(`C:\ProgramData`, "mailbearer") {
		t.Errorf("windows without %%ProgramData%%: %s", got)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"auth in clear", "[[listener]]\naddress = ':25'\nauth = 'required'\n[[user]]\nname = 'a'\npassword = 'b'\n" + account,
			`t.toml:3: listener.auth: "required" with security = "none": passwords cross the network in clear; set security = "starttls" if the devices can`},
		{"allow is idle", "[[listener]]\nauth = 'required'\nallow = ['10.0.0.0/8']\n[[user]]\nname = 'a'\npassword = 'b'\n" + account,
			`t.toml:3: listener.allow: has no effect with auth = "required": whoever signs in may come from anywhere`},
		{"old TLS", "[[listener]]\nsecurity = 'tls'\nmin_tls = '1.0'\n" + account,
			`t.toml:3: listener.min_tls: "1.0" is broken cryptography: use it only for devices that know nothing newer, on a network you trust`},
		{"idle user", "[[user]]\nname = 'a'\npassword = 'b'\n" + account,
			`t.toml:1: user: is never asked to sign in: no [[listener]] has auth = "optional" or "required"`},
		{"client id", strings.Replace(account, "11111111-2222-3333-4444-555555555555", "mailbearer", 1),
			`t.toml:5: account.oauth.client_id: does not look like an "Application (client) ID" of Entra, which has the form 00000000-0000-0000-0000-000000000000`},
		{"secret id", strings.Replace(account, "s3cret", "11111111-2222-3333-4444-555555555555", 1),
			`t.toml:5: account.oauth.client_secret: looks like the "Secret ID": Entra wants the "Value", which it shows only once, when the secret is made`},
		{"console", "[console]\naddress = '127.0.0.1:4443'\n" + account,
			`t.toml:2: console.address: "127.0.0.1:4443" is not available in this version; there is no console`},
		{"no console", "[console]\naddress = 'off'\n" + account, ""},
		{"auto", strings.Replace(account, "oauth", "transport = 'auto'\noauth", 1),
			`t.toml:5: account.transport: "auto" is not available in this version; "smtp" is used`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, test.text)
			if got := strings.Join(c.Warnings, "\n"); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if got := c.Accounts[0].Transport; got != "smtp" {
				t.Errorf("transport is %q", got)
			}
		})
	}
}
