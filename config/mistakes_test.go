package config

import (
	"fmt"
	"strings"
	"testing"
)

// mistakesIn is what the file t.toml is told, without the file's name.
func mistakesIn(text string) string {
	_, err := Parse("t.toml", []byte(text))
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\nt.toml:", "\n"), "t.toml:")
}

// oneLineTest holds one line against its mistake.
type oneLineTest struct{ line, want string }

// checkLines puts each line under a header and expects the mistake at the line, or none.
func checkLines(t *testing.T, header string, tests []oneLineTest) {
	t.Helper()
	at := 1 + strings.Count(header, "\n")
	for _, test := range tests {
		want := ""
		if test.want != "" {
			want = fmt.Sprintf("%d: %s", at, test.want)
		}
		if got := mistakesIn(header + test.line + "\n" + account); got != want {
			t.Errorf("%s\n got %s\nwant %s", test.line, got, want)
		}
	}
}

const certificateAndKey = ": certificate and key belong together; set both, or neither to have a self-signed one made"

const durationHint = `durations are strings such as "5m", "2d" or "1h30m"`

func TestMistakesOfTypes(t *testing.T) {
	t.Parallel()
	checkLines(t, "[[listener]]\n", []oneLineTest{
		{`wait_timeout = 5`, `listener.wait_timeout: ` + durationHint + `, not an integer`},
		{`wait_timeout = "5"`, `listener.wait_timeout: "5" is not a duration: ` + durationHint},
		{`wait_timeout = "0s"`, `listener.wait_timeout: "0s" is not allowed: it must be more than nothing`},
		{`wait_timeout = 07:32:00`, `listener.wait_timeout: ` + durationHint + `, not a date or time`},
		{`max_message_size = 36700160`, `listener.max_message_size: sizes are strings such as "512KB", "35MB" or "10GB", not an integer`},
		{`max_message_size = "35"`, `listener.max_message_size: "35" is not a size: sizes are strings such as "512KB", "35MB" or "10GB"`},
		{`max_message_size = "0MB"`, `listener.max_message_size: "0MB" is not allowed: it must be more than nothing`},
		{`max_message_size = "99999999TB"`, `listener.max_message_size: "99999999TB" is too large`},
		{`max_recipients = "500"`, `listener.max_recipients: must be a whole number, without quotes, not a string`},
		{`max_recipients = 1.5`, `listener.max_recipients: must be a whole number, without quotes, not a number with a decimal point`},
		{`max_recipients = 0`, `listener.max_recipients: 0 is not allowed: it must be at least 1`},
		{`max_recipients = 1_000_000_001`, `listener.max_recipients: 1000000001 is not allowed: it must be at most 1000000000`},
		{`min_tls = 1.2`, `listener.min_tls: must be a string in quotes, not a number with a decimal point`},
		{`address = 2525`, `listener.address: must be a string in quotes, not an integer`},
		{`address = true`, `listener.address: must be a string in quotes, not true or false`},
		{`address = {}`, `listener.address: must be a string in quotes, not a table`},
		{`senders = "*"`, `listener.senders: must be a list of strings, as in ["a", "b"], not a string`},
		{`senders = ["*", 5]`, `listener.senders: must be a string in quotes, as in "*@example.com", not an integer`},
		{`senders = ["a b"]`, `listener.senders: "a b" is not a pattern: write one address, with * for any run of characters, as in "*@example.com"`},
		{`allow = [[]]`, `listener.allow: must be a string in quotes, as in "192.168.1.0/24", not a list`},
	})
	checkLines(t, "[console]\n", []oneLineTest{
		{`metrics = "yes"`, `console.metrics: must be true or false, without quotes, not a string`},
		{`metrics = false`, ``},
	})
	checkLines(t, "", []oneLineTest{
		{`[[relay]]`, `relay: is a table that exists once: write [relay], not a list`},
		{`relay = 5`, `relay: is a table that exists once: write [relay], not an integer`},
		{`[listener]`, `listener: is a list of tables: write [[listener]] with two brackets`},
		{`listener = "x"`, `listener: is a list of tables: write [[listener]], not a string`},
		{`listener = ["x"]`, `listener: is a list of tables: write [[listener]], not a string`},
		{`aliases = 5`, `aliases: is a table that exists once: write [aliases], not an integer`},
	})
}

func TestMistakesOfKeys(t *testing.T) {
	t.Parallel()
	checkLines(t, "", []oneLineTest{
		{`[relai]`, `relai: unknown key; did you mean "relay"?`},
		{`hostname = "a.example.com"`, `hostname: unknown key; it belongs in [relay]`},
		{`zzz = 1`, `zzz: unknown key`},
	})
	checkLines(t, "[[listener]]\n", []oneLineTest{
		{`adress = "127.0.0.1:25"`, `listener.adress: unknown key; did you mean "address"?`},
		{`max-recipients = 5`, `listener.max-recipients: unknown key; did you mean "max_recipients"?`},
		{`Auth = "none"`, `listener.Auth: unknown key; did you mean "auth"?`},
		{`retry = ["1m"]`, `listener.retry: unknown key; it belongs in [spool]`},
		{`"a\u001bb" = 1`, `listener.a?b: unknown key`},
	})
	checkLines(t, "[log]\n", []oneLineTest{
		{`level = "verbose"`, `log.level: "verbose" is not allowed: it must be "trace", "debug", "info", "warn" or "error"`},
		{`level = "inof"`, `log.level: "inof" is not allowed: it must be "trace", "debug", "info", "warn" or "error"; did you mean "info"?`},
		{`level = ""`, `log.level: is empty: it must be set`},
	})
}

func TestMistakesOfStrings(t *testing.T) {
	t.Parallel()
	const hostname = ` is not a host name: write a name with a dot, of letters, digits and hyphens, as in "relay.example.com", or an address in brackets, as in "[192.0.2.1]"`
	checkLines(t, "[relay]\n", []oneLineTest{
		{`hostname = "relay.example.com"`, ``},
		{`hostname = "[IPv6:2001:db8::1]"`, ``},
		{`hostname = "relay"`, `relay.hostname: "relay"` + hostname},
		{`hostname = "my_pc.lan"`, `relay.hostname: "my_pc.lan"` + hostname},
		{`hostname = "192.0.2.1."`, `relay.hostname: "192.0.2.1."` + hostname},
		{`hostname = "[2001:db8::1]"`, `relay.hostname: "[2001:db8::1]"` + hostname},
		{`grace = "2h"`, `relay.grace: "2h" is not allowed: it must be at most "1h"`},
		{`data_dir = "C:\new"`, `relay.data_dir: contains a control character: in double quotes a backslash starts an escape sequence; write Windows paths in single quotes: 'C:\path'`},
	})
	const listen = `write host:port, as in "127.0.0.1:2525", or ":2525" for all addresses of this machine`
	checkLines(t, "[[listener]]\nauth = 'none'\nallow = ['10.0.0.0/8']\n", []oneLineTest{
		{`address = ":25"`, ``},
		{`address = "localhost:0"`, ``},
		{`address = "[::1]:25"`, ``},
		{`address = "unix:/run/m.sock"`, ``},
		{`address = "2525"`, `listener.address: "2525" is not an address with a port: ` + listen},
		{`address = "127.0.0.1:smtp"`, `listener.address: "127.0.0.1:smtp" has the port "smtp": it must be a number from 0 to 65535`},
		{`address = "a b:25"`, `listener.address: "a b:25" has the host "a b", which is neither a name nor an address: ` + listen},
		{`address = "unix:m.sock"`, `listener.address: "unix:m.sock" has no whole path: write it as in "unix:/run/mailbearer.sock"`},
		{`address = "systemd:"`, `listener.address: "systemd:" has no name: write the FileDescriptorName of the socket unit, as in "systemd:smtp"`},
	})
	const proxy = `write it as in "http://proxy.example.com:3128" or "socks5://127.0.0.1:1080"`
	checkLines(t, "[network]\n", []oneLineTest{
		{`proxy = "socks5://user:pw@127.0.0.1:1080"`, ``},
		{`proxy = "proxy:3128"`, `network.proxy: is not a proxy's URL: ` + proxy},
		{`proxy = "https://user:pw@proxy:3128"`, `network.proxy: begins with "https://": a proxy must be http:// or socks5://; ` + proxy},
		{`proxy = "http://user:pw@proxy"`, `network.proxy: "proxy" is not an address with a port: ` + proxy},
	})
	checkLines(t, "[aliases]\n", []oneLineTest{
		{`root = "it@example.com"`, ``},
		{`"*" = ["a@example.com"]`, ``},
		{`root = "it"`, `aliases.root: "it" is not an address: write one as in "printer@example.com"`},
		{`root = ""`, `aliases.root: is empty: it must be set`},
		{`root = []`, `aliases.root: has no address; write one, as in "it@example.com"`},
		{`root = 5`, `aliases.root: must be a string in quotes, or a list of strings, as in ["a", "b"], not an integer`},
		{`"a@b.test" = "it@example.com"`, `aliases.a@b.test: an alias is for recipients without a domain: write only what stands before the @`},
		{`"a b" = "it@example.com"`, `aliases.a b: "a b" is not a local name: write one as in root, or "*" for all others`},
	})
}

func TestMistakesOfSections(t *testing.T) {
	t.Parallel()
	checkLines(t, "[spool]\n", []oneLineTest{
		{`retry = []`, `spool.retry: is empty: write at least one duration, as in ["5m"]`},
		{`retry = ["1m", "5"]`, `spool.retry: "5" is not a duration: ` + durationHint},
		{`url = "postgres://db/x"`, `spool.url: does not belong to engine = "sqlite": remove it, or set engine = "postgres"`},
		{`engine = "mysql"`, `spool.engine: "mysql" is not allowed: it must be "sqlite" or "postgres"`},
	})
	checkLines(t, "[tokens]\n", []oneLineTest{
		{`key = "abc"`, `tokens.key: must say where the key comes from: "file:/path", "env:NAME" or "systemd:NAME"; without it one is made in data_dir`},
		{`key = 5`, `tokens.key: must be a string in quotes, or "env:NAME", or "file:/path", not an integer`},
		{`key = "env:MAILBEARER_NOT_SET"`, `tokens.key: the environment variable "MAILBEARER_NOT_SET" is not set, or empty`},
	})
	const bcrypt = `is not a bcrypt hash: make one with "mailbearer hash-password" and put all of its line here, in single quotes`
	checkLines(t, "[console]\n", []oneLineTest{
		{`password_hash = "secret"`, `console.password_hash: ` + bcrypt},
	})
	checkLines(t, "[alerts]\n", []oneLineTest{
		{`webhook_secret = "x"`, `alerts.webhook_secret: has no use without webhook: set that too, or remove it`},
		{`webhook = "hooks.example.com"`, `alerts.webhook: is not a URL: write it as in "https://hooks.example.com/mailbearer"`},
		{`email = "it"`, `alerts.email: "it" is not an address: write one as in "printer@example.com"`},
		{`account = "defalt"`, `alerts.account: there is no [[account]] with the name "defalt"; did you mean "default"?`},
		{`expiry_warning = ["60"]`, `alerts.expiry_warning: "60" is not a duration: ` + durationHint},
	})
	got := mistakesIn("[console]\naddress = '0.0.0.0:4443'\n" + account)
	want := `1: console.password_hash: is missing: "0.0.0.0:4443" can be reached from other machines; make one with "mailbearer hash-password"`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestMistakesOfListeners(t *testing.T) {
	t.Parallel()
	const openRelay = `, and would make this an open relay: list the networks of your own devices`
	checkLines(t, "[[listener]]\naddress = ':25'\n", []oneLineTest{
		{`allow = ["0.0.0.0/0"]`, `listener.allow: "0.0.0.0/0" is the whole Internet` + openRelay},
		{`allow = ["::/0"]`, `listener.allow: "::/0" is the whole Internet` + openRelay},
		{`allow = ["::ffff:0.0.0.0/96"]`, `listener.allow: "0.0.0.0/0" is the whole Internet` + openRelay},
		{`allow = ["::ffff:0.0.0.0/90"]`, `listener.allow: "::ffff:0.0.0.0/90" is wider than IPv4: write the IPv4 network itself`},
		{`allow = ["128.0.0.0/1"]`, `listener.allow: "128.0.0.0/1" is a public network wider than a /24` + openRelay},
		{`allow = ["203.0.112.0/23"]`, `listener.allow: "203.0.112.0/23" is a public network wider than a /24` + openRelay},
		{`allow = ["192.168.0.0/15"]`, `listener.allow: "192.168.0.0/15" is a public network wider than a /24` + openRelay},
		{`allow = ["2001:db8::/47"]`, `listener.allow: "2001:db8::/47" is a public network wider than a /48` + openRelay},
		{`allow = ["64:ff9b::/96"]`, `listener.allow: "64:ff9b::/96" holds all of IPv4 (NAT64, RFC 6052)` + openRelay},
		{`allow = ["64:ff9b::/48"]`, `listener.allow: "64:ff9b::/48" holds all of IPv4 (NAT64, RFC 6052)` + openRelay},
		{`allow = ["64:ff9b::203.0.112.0/119"]`, `listener.allow: "64:ff9b::cb00:7000/119" holds 203.0.112.0/23 (NAT64, RFC 6052), a public network wider than a /24` + openRelay},
		{`allow = ["64:ff9b:1::/48"]`, `listener.allow: "64:ff9b:1::/48" holds all of IPv4 (NAT64, RFC 8215)` + openRelay},
		{`allow = ["64:ff9b:1:7::/64"]`, `listener.allow: "64:ff9b:1:7::/64" holds all of IPv4 (NAT64, RFC 8215)` + openRelay},
		{`allow = ["64:ff9b:1:7::8.0.0.0/101"]`, `listener.allow: "64:ff9b:1:7::800:0/101" holds 8.0.0.0/5 (NAT64, RFC 8215), a public network wider than a /24` + openRelay},
		{`allow = ["64:ff9b::/32"]`, `listener.allow: "64:ff9b::/32" holds all of IPv4 (NAT64, RFC 6052)` + openRelay},
		{`allow = ["2002::/16"]`, `listener.allow: "2002::/16" holds all of IPv4 (6to4, RFC 3056)` + openRelay},
		{`allow = ["2002:cb00:7000::/39"]`, `listener.allow: "2002:cb00:7000::/39" holds 203.0.112.0/23 (6to4, RFC 3056), a public network wider than a /24` + openRelay},
		{`allow = ["2000::/3"]`, `listener.allow: "2000::/3" holds all of IPv4 (6to4, RFC 3056)` + openRelay},
		{`allow = ["::/64"]`, `listener.allow: "::/64" holds all of IPv4 (IPv4-mapped, RFC 4291)` + openRelay},
		{`allow = ["64:ff9b::203.0.113.0/120", "64:ff9b::10.0.0.0/104", "64:ff9b:1:7::192.168.0.0/112", "2002:cb00:7100::/40", "2002:cb00:7107::/48", "2002:cb00:7107:1::/64", "64:ff9b:2::/48"]`, ``},
		{`allow = ["10.0.0.0/8", "fc00::/7", "100.64.0.0/10", "203.0.113.0/24"]`, ``},
		{`allow = ["10.0.0.0/33"]`, `listener.allow: "10.0.0.0/33" is not a network: write one as in "192.168.1.0/24"`},
		{`allow = ["printer"]`, `listener.allow: "printer" is not a network: write one as in "192.168.1.0/24", or an address as in "192.168.1.20"`},
	})
	const who = `lets them send without a password: list who may, as in allow = ["192.168.1.0/24"], or set auth = "required"`
	for _, test := range []struct{ text, want string }{
		{"[[listener]]\naddress = ':25'", `1: listener.allow: ":25" can be reached from other machines and auth = "none" ` + who},
		{"[[listener]]\nauth = 'optional'\naddress = 'mail.example.com:25'", `1: listener.allow: "mail.example.com:25" can be reached from other machines and auth = "optional" ` + who},
		{"[[listener]]\naddress = '[::ffff:127.0.0.1]:25'", ``},
		{"[[listener]]\nauth = 'required'", `2: listener.auth: "required" needs somebody who can sign in: add a [[user]]`},
		{"[[listener]]\n[[listener]]", `2: listener.address: "127.0.0.1:2525" is used twice: give each [[listener]] its own`},
		{"[[listener]]\naddress = '127.0.0.1:0'\n[[listener]]\naddress = '127.0.0.1:0'", ``},
		{"[[listener]]\naccount = 'x'", `2: listener.account: there is no [[account]] with the name "x"`},
		{"[[listener]]\nproxy_protocol_from = ['10.0.0.1']", ``},
		{"[[listener]]\nproxy_protocol_from = []", ``},
	} {
		if got := mistakesIn(test.text + "\n" + account); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

// TestMistakesOfCertificates needs files that exist.
func TestMistakesOfCertificates(t *testing.T) {
	t.Parallel()
	pem := write(t, "c.pem", "x")
	for _, test := range []struct{ text, want string }{
		{"security = 'tls'\ncertificate = '%s'", "1: listener.key: is missing" + certificateAndKey},
		{"security = 'tls'\nkey = '%s'", "1: listener.certificate: is missing" + certificateAndKey},
		{"security = 'none'\ncertificate = '%[1]s'\nkey = '%[1]s'", `2: listener.security: "none" never uses the certificate: set security = "starttls" or "tls", or remove certificate and key`},
		{"security = 'starttls'\ncertificate = '%[1]s'\nkey = '%[1]s'", ``},
		{"security = 'starttls'\ncertificate = '/none'\nkey = '%[1]s'", `3: listener.certificate: the file /none does not exist`},
	} {
		text := fmt.Sprintf("[[listener]]\n"+test.text, pem)
		if got := mistakesIn(text + "\n" + account); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", text, got, test.want)
		}
	}
}

func TestMistakesOfUsersAndRoutes(t *testing.T) {
	t.Parallel()
	hash := "$2a$04$" + strings.Repeat("a", 53)
	const listener = "[[listener]]\nauth = 'optional'\n"
	for _, test := range []struct{ text, want string }{
		{"[[user]]\nname = 'a'", `3: user.password_hash: is missing: make one with "mailbearer hash-password", or set password for devices that use CRAM-MD5`},
		{"[[user]]\nname = 'a'\npassword = 'b'\npassword_hash = '" + hash + "'", `5: user.password: is set beside password_hash: keep one of them`},
		{"[[user]]\npassword = 'b'", `3: user.name: is missing: it must be set`},
		{"[[user]]\nname = 'a'\npassword = 'b'\n[[user]]\nname = 'a'\npassword = 'c'", `7: user.name: "a" is used twice: give each [[user]] its own`},
		{"[[user]]\nname = 'a'\npassword = 'file:none.txt'", `5: user.password: the file none.txt does not exist`},
		{"[[user]]\nname = ' a'\npassword = 'b'\naccount = 'x'", `4: user.name: " a" begins or ends with a space` + "\n" + `6: user.account: there is no [[account]] with the name "x"`},
		{"[[route]]\naccount = 'default'", `3: route: has no condition: set at least one of listener, user, client, sender, recipient`},
		{"[[route]]\nsender = '*'", `3: route.account: is missing: it must be set`},
		{"[[route]]\nsender = []\naccount = 'default'", `4: route.sender: is empty: write what to match, or remove the key`},
		{"[[route]]\nuser = 'b'\naccount = 'deflt'", `4: route.user: there is no [[user]] with the name "b"` + "\n" + `5: route.account: there is no [[account]] with the name "deflt"; did you mean "default"?`},
		{"[[route]]\nlistener = '127.0.0.1:2552'\naccount = 'default'",
			`4: route.listener: "127.0.0.1:2552" is the address of no [[listener]]: it must be "local" or "127.0.0.1:2525"; did you mean "127.0.0.1:2525"?`},
		{"[[route]]\nclient = ['10.0.0.0/8', 'x']\naccount = 'default'", `4: route.client: "x" is not a network: write one as in "192.168.1.0/24", or an address as in "192.168.1.20"`},
		{"[aliases]\nroot = 'a@example.com'\nRoot = 'b@example.com'", ``},
	} {
		got := mistakesIn(listener + test.text + "\n" + account)
		if strings.HasPrefix(test.text, "[aliases]") { // which of the two is found first is not known
			if !strings.Contains(got, "is set twice, since case is ignored; keep one of them") {
				t.Errorf("%s\n got %s", test.text, got)
			}
			continue
		}
		if got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

// accountWith is an account whose [account.oauth] is as given.
func accountWith(keys, oauth string) string {
	return "[[account]]\nname = 'a'\nmailbox = 'a@example.com'\n" + keys + "\n[account.oauth]\n" + oauth + "\n"
}

func TestMistakesOfAccounts(t *testing.T) {
	t.Parallel()
	const ids = "tenant = 'contoso.us'\nclient_id = '11111111-2222-3333-4444-555555555555'\n"
	const secret = "flow = 'client-secret'\nclient_secret = 'x'\n" + ids
	const endpoint = "\n[account.endpoints]\n"
	for _, test := range []struct{ name, text, want string }{
		{"none", "", `1: account: is missing: at least one [[account]] is needed, the mailbox that sends`},
		{"empty", "[[account]]", "1: account.mailbox: is missing: it must be set\n1: account.name: is missing: it must be set\n1: account.oauth: is missing: it must be set"},
		{"no flow", accountWith("", ids), `5: account.oauth.flow: is missing: it must be "client-certificate", "client-secret", "device-code", "browser", "managed-identity", "federated-token" or "service-account"`},
		{"flow", accountWith("", "flow = 'clientsecret'"), `6: account.oauth.flow: "clientsecret" is not allowed: it must be "client-certificate", "client-secret", "device-code", "browser", "managed-identity", "federated-token" or "service-account"; did you mean "client-secret"?`},
		{"secret needs", accountWith("", "flow = 'client-secret'"), "5: account.oauth.client_id: is missing: flow = \"client-secret\" needs it\n" +
			"5: account.oauth.client_secret: is missing: flow = \"client-secret\" needs it\n5: account.oauth.tenant: is missing: flow = \"client-secret\" needs it"},
		{"empty id", accountWith("", "client_id = ''\nflow = 'client-secret'\nclient_secret = 'x'\ntenant = 'x'"), `6: account.oauth.client_id: is missing: flow = "client-secret" needs it`},
		{"foreign keys", accountWith("", secret+"certificate = 'c.pfx'\ntoken_file = '/none'"),
			"10: account.oauth.certificate: does not belong to flow = \"client-secret\", but to \"client-certificate\" or \"browser\": remove it, or change flow\n" +
				"11: account.oauth.token_file: does not belong to flow = \"client-secret\", but to \"federated-token\": remove it, or change flow\n" +
				"11: account.oauth.token_file: the file /none does not exist"},
		{"common", accountWith("", "flow = 'client-secret'\nclient_secret = 'x'\nclient_id = 'y'\ntenant = 'Common'"),
			`9: account.oauth.tenant: "Common" stands for all tenants: an application needs the id of its own, or its domain as in "contoso.onmicrosoft.com"`},
		{"tenant", accountWith("", "flow = 'client-secret'\nclient_secret = 'x'\nclient_id = 'y'\ntenant = 'a/b'"),
			`9: account.oauth.tenant: "a/b" is not a tenant: write its id, or its domain as in "contoso.onmicrosoft.com"`},
		{"date", accountWith("", secret+"client_secret_expires = 07:32:00"), `10: account.oauth.client_secret_expires: must be a date, as in 2027-01-31`},
		{"date in quotes", accountWith("", secret+"client_secret_expires = '2027-01-31'"), ``},
		{"provider", accountWith("provider = 'microsoft'", secret), `4: account.provider: "microsoft" is not known: it must be "microsoft365", "microsoft365-gcc-high", "microsoft365-dod", "microsoft365-china", "outlook.com", "google" or "custom"; did you mean "microsoft365"?`},
		{"flow of provider", accountWith("provider = 'google'", secret), `6: account.oauth.flow: provider "google" does not have "client-secret": use "browser" or "service-account"` + "\n" +
			`8: account.oauth.tenant: does not belong to provider = "google", which has no tenants: remove it`},
		{"custom", accountWith("provider = 'custom'", "flow = 'client-secret'\nclient_secret = 'x'\nclient_id = 'y'"),
			"1: account.endpoints.smtp: is missing: provider = \"custom\" needs it\n1: account.endpoints.token: is missing: provider = \"custom\" needs it"},
		{"custom is fine", accountWith("provider = 'custom'", "flow = 'client-secret'\nclient_secret = 'x'\nclient_id = 'y'"+endpoint+"smtp = 'a.test:465'\ntoken = 'https://a.test/t'"),
			``},
		{"custom graph", accountWith("provider = 'custom'\ntransport = 'auto'", "flow = 'client-secret'\nclient_secret = 'x'\nclient_id = 'y'"+endpoint+"smtp = 'a.test:465'\ntoken = 'https://a.test/t'"),
			"5: account.transport: \"auto\" needs Microsoft Graph, which custom does not have: use \"smtp\""},
		{"endpoint of others", accountWith("", secret+endpoint+"token = 'https://a.test/t'"), `12: account.endpoints.token: does not belong to provider = "microsoft365", but to "google" or "custom"`},
		{"issuer of others", accountWith("", secret+endpoint+"issuer = 'https://a.test'"), `12: account.endpoints.issuer: does not belong to provider = "microsoft365", but to "google" or "custom"`},
		{"redirect of an app", accountWith("", secret+endpoint+"redirect = 'http://localhost'"),
			`12: account.endpoints.redirect: does not belong to flow = "client-secret", in which nobody signs in with a browser, but to "browser": remove it`},
		{"redirect elsewhere", accountWith("", "flow = 'browser'\n"+ids+endpoint+"redirect = 'http://192.0.2.1:80/x'"),
			`11: account.endpoints.redirect: "http://192.0.2.1:80/x" is not this machine's own address: ` + loopbackHelp},
		{"redirect by https", accountWith("", "flow = 'browser'\n"+ids+endpoint+"redirect = 'https://127.0.0.1:8400/callback'"),
			`11: account.endpoints.redirect: "https://127.0.0.1:8400/callback" must begin with http://, since it is this machine's own: ` + loopbackHelp},
		{"custom person", accountWith("provider = 'custom'", "flow = 'browser'\nclient_id = 'y'\nscopes = ['mail']"+endpoint+"smtp = 'a.test:465'\ntoken = 'https://a.test/t'\nauthorize = 'https://a.test/a'\nissuer = 'https://a.test'\nredirect = 'http://127.0.0.1:8400/callback'"), ``},
		{"custom certificate", accountWith("provider = 'custom'", "flow = 'client-certificate'\nclient_id = 'y'\ncertificate = 'mistakes_test.go'"+endpoint+"smtp = 'a.test:465'\ntoken = 'https://a.test/t'\nissuer = 'https://a.test/'"), ``},
		{"custom without its page", accountWith("provider = 'custom'", "flow = 'device-code'\nclient_id = 'y'\nscopes = ['mail']"+endpoint+"smtp = 'a.test:465'\ntoken = 'https://a.test/t'"),
			`9: account.endpoints.device: is missing: provider = "custom" with flow = "device-code" needs it`},
		{"secret and certificate", accountWith("", "flow = 'browser'\n"+ids+"\nclient_secret = 'x'\ncertificate = 'mistakes_test.go'"),
			`10: account.oauth.client_secret: stands beside certificate: an app proves who it is by one of them; keep the one that is registered at the provider, and remove the other`},
		{"endpoints", accountWith("", secret+endpoint+"smtp = 'a.test'\nauthority = 'http://a.test'\ngraph = 'a.test'\nsasl = 'plain'\nca_file = '/'"),
			"12: account.endpoints.smtp: \"a.test\" is not an address with a port: write host:port, as in \"smtp.office365.com:587\"\n" +
				"13: account.endpoints.authority: \"http://a.test\" must begin with https://\n" +
				"14: account.endpoints.graph: \"a.test\" is not a URL: write it as in \"https://login.example.com\"\n" +
				"15: account.endpoints.sasl: \"plain\" is not allowed: it must be \"xoauth2\" or \"oauthbearer\"\n" +
				"16: account.endpoints.ca_file: / is a directory: write the path of a file"},
		{"names", accountWith("", secret) + strings.Replace(accountWith("", secret), "'a'", "'A'", 1), `12: account.name: "a" is used twice: give each [[account]] its own`},
		{"name", strings.Replace(accountWith("", secret), "'a'", "'../a'", 1), `2: account.name: "../a" is not a name: use letters, digits, dots, hyphens and underscores, at most 64`},
		{"mailbox", strings.Replace(accountWith("", secret), "a@example.com", "a@localhost", 1), `3: account.mailbox: "a@localhost" is not an address: write one as in "printer@example.com"`},
		{"domains", accountWith("domains = ['example.com', '@example.net']", secret), `4: account.domains: "@example.net" is not a domain: write one as in "example.com"`},
		{"limits", accountWith("limits = { connections = 0, messages_per_minute = -1 }", secret), "4: account.limits.connections: 0 is not allowed: it must be at least 1\n4: account.limits.messages_per_minute: -1 is not allowed: it must be at least 0"},
		{"graph", accountWith("transport = 'graph'", secret), `4: account.transport: "graph" is not available in this version; use "smtp"`},
		{"device code", accountWith("", "flow = 'device-code'\n"+ids), ``},
		{"single brackets", strings.Replace(accountWith("zzz = 1", secret), "[[account]]", "[account]", 1), "1: account: is a list of tables: write [[account]] with two brackets\n4: account.zzz: unknown key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := mistakesIn(test.text); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}
