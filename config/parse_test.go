package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMistakesOfSyntax(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"[relay]\ndata_dir = \"C:\\Users\\x\"", `2: relay.data_dir: \U in a string in double quotes starts an escape sequence; write Windows paths in single quotes: 'C:\path'`},
		{"[relay]\ndata_dir = \"C:\\ProgramData\"", `2: relay.data_dir: \P in a string in double quotes is not an escape sequence; write Windows paths in single quotes: 'C:\path'`},
		{"[relay]\nhostname = relay", `2: relay.hostname: there is no value here, but "relay": strings need quotes, as in name = "default"`},
		{"[relay]\ngrace = 5m\n", `2: relay: the value does not end where it should: addresses, durations and sizes need quotes, as in "5m"`},
		{"[relay]\ngrace \"5m\"", `2: relay: there is no "=" after the key`},
		{"[relay]\ngrace = \"5m\nx = 1", `2: relay.grace: a string ends on the line where it starts: the closing quote is missing`},
		{"[relay]\ngrace = \"5m", `2: relay.grace: the file ends inside a string: the closing quote is missing`},
		{"[relay\ngrace = 5", `1: the closing bracket of the table's name is missing`},
		{"[relay]\na = 1\na = 2", `3: relay.a: relay.a is set twice; remove one of them`},
		{"a = [1 2]", `1: a: a comma or the closing bracket is missing`},
		{"\xff\xfea\x00", `1: the file is stored as UTF-16: save it as UTF-8`},
		{"a = \"\xe4\"", `1: a: the file is not stored as UTF-8: save it as UTF-8`},
	} {
		if got := mistakesIn(test.text); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

// TestMistakesAllAtOnce is a file as it looks after a bad day: nothing of it hides anything else.
func TestMistakesAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("m.toml", []byte(`[relay]
grace = 5
[[listener]]
adress = "127.0.0.1:25"
allow = [
  "10.0.0.0/8",
  "0.0.0.0/0",
  "printer",
]
[[listener]]
security = "startls"
[[account]]
name = "default"
mailbox = "noreply"
oauth = { flow = "client-secret",
          tenat = "contoso.us" }
[[user]]
name = "scanner"
account = "x"
`))
	want := `m.toml:2: relay.grace: durations are strings such as "5m", "2d" or "1h30m", not an integer
m.toml:4: listener.adress: unknown key; did you mean "address"?
m.toml:7: listener.allow: "0.0.0.0/0" is the whole Internet, and would make this an open relay: list the networks of your own devices
m.toml:8: listener.allow: "printer" is not a network: write one as in "192.168.1.0/24", or an address as in "192.168.1.20"
m.toml:10: listener.address: "127.0.0.1:2525" is used twice: give each [[listener]] its own
m.toml:11: listener.security: "startls" is not allowed: it must be "none", "starttls" or "tls"; did you mean "starttls"?
m.toml:14: account.mailbox: "noreply" is not an address: write one as in "printer@example.com"
m.toml:15: account.oauth.client_id: is missing: flow = "client-secret" needs it
m.toml:15: account.oauth.client_secret: is missing: flow = "client-secret" needs it
m.toml:15: account.oauth.tenant: is missing: flow = "client-secret" needs it
m.toml:16: account.oauth.tenat: unknown key; did you mean "tenant"?
m.toml:17: user.password_hash: is missing: make one with "mailbearer hash-password", or set password for devices that use CRAM-MD5
m.toml:19: user.account: there is no [[account]] with the name "x"`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var m Mistakes
	if !errors.As(err, &m) || len(m) != 13 || m[0].Line != 2 || m[0].Key != "relay.grace" || m[0].File != "m.toml" {
		t.Errorf("as Mistakes: %#v", m)
	}
}

// FuzzParse: no text makes it panic, and every mistake says where it is, on one line.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		account, bom + account, "[[listener]]\nallow = ['::ffff:1.2.3.4/100']\n", "[account]\nx=1", "a.b.c=[{d=[[1]]}]",
		"[[route]]\nclient=5\n[[route.x]]\ny=1", "[aliases]\n\"*\" = ['a@b.c', 1]", "oauth={}\n[relay.x.y]", "[[account.oauth]]\n[[account.oauth.x]]",
		"[tokens]\nkey='systemd:x'\n[spool]\nurl='env:HOME'\nretry=['1d1d']",
	} {
		f.Add([]byte(seed))
	}
	for table := range strings.SplitSeq(string(example), "\n\n\n") { // the whole would take minutes to minimize
		f.Add([]byte(table))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("t.toml", text)
		if (c == nil) != (err != nil) {
			t.Fatalf("both or neither: %v, %v", c, err)
		}
		if err == nil {
			return
		}
		var m Mistakes
		if !errors.As(err, &m) || len(m) == 0 {
			t.Fatalf("not Mistakes: %v", err)
		}
		lines := 1 + strings.Count(string(text), "\n")
		for _, mistake := range m {
			if mistake.File != "t.toml" || mistake.Line > lines || mistake.Line == 0 && len(text) <= maxFileSize || mistake.Text == "" {
				t.Errorf("a mistake without a place: %#v", mistake)
			}
			if strings.ContainsAny(mistake.String(), "\r\n\x1b") {
				t.Errorf("more than a line: %q", mistake)
			}
		}
	})
}
