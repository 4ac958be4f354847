package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

// check runs the command in this process and returns the steps of its one account by name.
func (w *world) check(args ...string) (steps map[string]checkStep, human string, code int) {
	w.t.Helper()
	var out, text, errs bytes.Buffer
	code = run(w.t.Context(), append([]string{"check", "--json", "--config", w.config}, args...), nil, &out, &errs)
	if again := run(w.t.Context(), append([]string{"check", "--config", w.config}, args...), nil, &text, &errs); again != code {
		w.t.Errorf("exit %d with --json, %d without", code, again)
	}
	human = text.String() + errs.String()
	if strings.Contains(out.String()+human, w.fake.ClientSecret()) || strings.Contains(out.String()+human, "eyJ") {
		w.t.Errorf("a secret is shown:\n%s\n%s", out.String(), human)
	}
	return readSteps(w.t, out.Bytes()), human, code
}

// readSteps holds the JSON against its fixed shape.
func readSteps(t testing.TB, out []byte) map[string]checkStep {
	t.Helper()
	var v checkView
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || len(v.Accounts) != 1 || d.More() {
		t.Fatalf("%v: %s", err, out)
	}
	steps, anyFailed := map[string]checkStep{}, false
	for i, s := range v.Accounts[0].Steps {
		if s.Step != checkOrder[i] || s.Status == checkFailed && s.Cause == "" || s.Status == checkFailed && s.Fix == "" || s.Status == checkSkipped && s.Cause == "" {
			t.Errorf("step %d: %+v", i, s)
		}
		steps[s.Step] = s
		anyFailed = anyFailed || s.Status == checkFailed
	}
	if len(steps) != len(checkOrder) || v.OK == anyFailed {
		t.Errorf("%d steps, ok %v: %s", len(steps), v.OK, out)
	}
	return steps
}

// change replaces text in the configuration.
func (w *world) change(pairs ...string) {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	changed := strings.NewReplacer(pairs...).Replace(string(text))
	if changed == string(text) {
		w.t.Fatalf("nothing to replace: %q", pairs)
	}
	if err := os.WriteFile(w.config, []byte(changed), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// status writes the steps as "dns ok, tcp failed, …", without those that are ok or always skipped.
func status(steps map[string]checkStep) string {
	var list []string
	for _, name := range checkOrder {
		s := steps[name]
		if s.Status == checkFailed || s.Status == checkSkipped && name != "proxy" && name != "graph" {
			list = append(list, name+" "+string(s.Status))
		}
	}
	return strings.Join(list, ", ")
}

func (s checkStep) all() string { return strings.Join([]string{s.Tried, s.Said, s.Cause, s.Fix}, "\n") }

// fault is one thing that is wrong, what becomes of the steps, and the words that must stand in the named one.
type checkFault struct {
	name    string
	options fake365.Options
	induce  func(t *testing.T, w *world)
	status  string
	step    string
	words   []string
	code    int
}

func faultAt(f fake365.Fault) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) { w.fake.Fault(f) }
}

func changed(pairs ...string) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) { w.change(pairs...) }
}

// oauth replaces the account's oauth table; %t and %c are the fake's tenant and client id.
func oauth(table string) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		w.configure(map[string]string{"oauth": strings.NewReplacer("%t", w.fake.Tenant(), "%c", w.fake.ClientID(), "%s", filepath.Join(w.dir, "secret"), "%d", w.dir).Replace(table)})
	}
}

// mailAt points the account at another mail server.
func mailAt(serve func(net.Conn)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		w.change(w.fake.SMTP(), local(t, serve), "[log]", "[network]\ndial_timeout = \"500ms\"\n[log]")
	}
}

// local serves connections on localhost:PORT.
func local(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

func silent(c net.Conn) { io.Copy(io.Discard, c) }

func says(words string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, words); silent(c) }
}

func refusesConnect(c net.Conn) {
	textproto.NewReader(bufio.NewReader(c)).ReadMIMEHeader()
	io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	silent(c)
}

// certificate writes an app certificate that ends when told, and its key.
func writeAppCertificate(t *testing.T, dir string, until time.Time) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: until.Add(-time.Hour * 24), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(key)
	for name, block := range map[string]*pem.Block{"app.crt": {Type: "CERTIFICATE", Bytes: der}, "app.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func certificateThatEnds(until time.Duration) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		writeAppCertificate(t, w.dir, time.Now().Add(until))
		oauth(`{ flow = "client-certificate", tenant = "%t", client_id = "%c", certificate = '%d/app.crt', certificate_key = '%d/app.key' }`)(t, w)
	}
}

const (
	noMail  = "tls failed, auth skipped"
	noToken = "token failed, claims skipped, auth skipped"
)

var checkFaults = []checkFault{
	{name: "nothing", induce: func(*testing.T, *world) {}, step: "auth", words: []string{"235 2.7.0", "XOAUTH2", testMailbox}},
	{name: "port refused", induce: func(_ *testing.T, w *world) { w.fake.Down() }, status: "tcp failed, tls skipped, auth skipped", step: "tcp",
		words: []string{"refuse", "endpoints.smtp"}, code: 1},
	{name: "wrong host name", induce: changed(`smtp = "localhost:`, `smtp = "no-such-host.invalid:`), status: "dns failed, tcp skipped, tls skipped, auth skipped",
		step: "dns", words: []string{"no-such-host.invalid"}, code: 1},
	{name: "TLS of a foreign authority", induce: func(t *testing.T, w *world) {
		text, _ := os.ReadFile(w.config)
		_, rest, _ := strings.Cut(string(text), ", ca_file = '")
		file, _, _ := strings.Cut(rest, "'")
		w.change(", ca_file = '"+file+"'", "")
	}, status: "tls failed, clock skipped, token failed, claims skipped, auth skipped", step: "tls", words: []string{"intercept", "ca_file", "fake365 CA"}, code: 1},
	{name: "a silent port", induce: mailAt(silent), status: noMail, step: "tls", words: []string{"says nothing", "endpoints.smtp"}, code: 1},
	{name: "a port that speaks SSH", induce: mailAt(says("SSH-2.0-OpenSSH_9.9\r\n")), status: noMail, step: "tls", words: []string{"SSH-2.0-OpenSSH_9.9", "does not speak SMTP"}, code: 1},
	{name: "a port with TLS from the start", induce: mailAt(implicitTLS), status: noMail, step: "tls", words: []string{"TLS from the first byte", "465", "587"}, code: 1},
	{name: "no STARTTLS", induce: mailAt(plainSMTP), status: noMail, step: "tls", words: []string{"STARTTLS", "firewall"}, code: 1},
	{name: "greeting refused", induce: faultAt(fake365.Fault{At: "connect", Answer: "421 4.3.2 Service not available"}), status: noMail, step: "tls", words: []string{"421 4.3.2 Service not available"}, code: 1},
	{name: "EHLO refused", induce: faultAt(fake365.Fault{At: "ehlo", Answer: "501 5.5.4 Invalid domain name"}), status: noMail, step: "tls", words: []string{"501 5.5.4"}, code: 1},
	{name: "connection cut at STARTTLS", induce: faultAt(fake365.Fault{At: "starttls", Drop: true}), status: noMail, step: "tls", words: []string{"firewall"}, code: 1},

	{name: "proxy wants credentials", induce: func(t *testing.T, w *world) {
		w.change("[log]", "[network]\nproxy = \"http://u:wrongpw@"+httpProxy(t, new(atomic.Int32))+"\"\n[log]")
	},
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"user name and password", "network.proxy"}, code: 1},
	{name: "proxy refuses the mail port", induce: func(t *testing.T, w *world) {
		w.change("[log]", "[network]\nproxy = \"http://"+local(t, refusesConnect)+"\"\n[log]")
	},
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"403 Forbidden", "allowed at the proxy"}, code: 1},
	{name: "proxy is not there", induce: func(t *testing.T, w *world) { w.change("[log]", "[network]\nproxy = \"socks5://127.0.0.1:1\"\n[log]") },
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"cannot be reached", "network.proxy"}, code: 1},

	{name: "wrong secret", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = "wrong-secret-value" }`), status: noToken, step: "token", words: []string{"AADSTS7000215", "secret"}, code: 1},
	{name: "wrong client id", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "00000000-1111-2222-3333-444444444444", client_secret = 'file:%s' }`), status: noToken, step: "token", words: []string{"AADSTS700016", "client"}, code: 1},
	{name: "wrong tenant", induce: oauth(`{ flow = "client-secret", tenant = "fabrikam.onmicrosoft.com", client_id = "%c", client_secret = 'file:%s' }`), status: noToken, step: "token", words: []string{"AADSTS90002", "tenant"}, code: 1},
	{name: "certificate not registered", induce: certificateThatEnds(time.Hour), status: noToken, step: "token", words: []string{"AADSTS700027", "ertificate"}, code: 1},
	{name: "certificate expired", induce: certificateThatEnds(-time.Hour), status: noToken, step: "token", words: []string{"expired", "upload"}, code: 1},
	{name: "token endpoint 429", induce: faultAt(fake365.Fault{At: "token", Status: 429, Header: map[string]string{"Retry-After": "70"}, Answer: `{}`}), status: noToken, step: "token", words: []string{"429", "1m10s"}, code: 1},
	{name: "token endpoint 503", induce: faultAt(fake365.Fault{At: "token", Status: 503, Answer: `{"error":"temporarily_unavailable"}`}), status: noToken, step: "token", words: []string{"temporarily_unavailable"}, code: 1},
	{name: "captive portal", induce: faultAt(fake365.Fault{At: "discovery", Answer: `<html>Sign in to the hotel's network</html>`}), status: noToken, step: "token", words: []string{"makes no sense", "captive portal"}, code: 1},
	{name: "token endpoint down", induce: func(_ *testing.T, w *world) { w.fake.TokensDown() }, status: "clock skipped, " + noToken, step: "token", words: []string{"refused"}, code: 1},

	{name: "wrong API", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = 'file:%s', scopes = ["https://graph.microsoft.com/.default"] }`),
		status: "claims failed, auth skipped", step: "claims", words: []string{"graph.microsoft.com", "Office 365 Exchange Online", "SMTP.SendAsApp", "SMTP.Send is another one"}, code: 1},
	{name: "no role, refused", options: fake365.Options{NoConsent: true}, induce: func(*testing.T, *world) {}, status: "claims failed, auth failed", step: "claims",
		words: []string{"roles: none", "RBAC for Applications", "New-ManagementRoleAssignment", "Office 365 Exchange Online", "Grant admin consent", testMailbox}, code: 1},
	{name: "no role, but SMTP is switched off", options: fake365.Options{NoConsent: true}, induce: faultAt(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."}),
		status: "auth failed", step: "auth", words: []string{"Set-CASMailbox"}, code: 1},
	{name: "app unknown to Exchange", options: fake365.Options{Mailboxes: []string{"other@contoso.example"}}, induce: func(*testing.T, *world) {}, status: "auth failed", step: "auth",
		words: []string{"535 5.7.3", "Enterprise applications", "New-ServicePrincipal -AppId", "Add-MailboxPermission -Identity " + testMailbox}, code: 1},
	{name: "SMTP off for the mailbox", induce: faultAt(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information."}),
		status: "auth failed", step: "auth", words: []string{"switched off for this mailbox", "Set-CASMailbox"}, code: 1},
	{name: "mailbox busy", induce: faultAt(fake365.Fault{At: "auth", Answer: "432 4.3.2 Concurrent connections limit exceeded."}), status: "auth skipped", step: "auth", words: []string{"busy", "not refused"}},
	{name: "sign-in down", induce: faultAt(fake365.Fault{At: "auth", Answer: "454 4.7.0 Temporary authentication failure"}), status: "auth failed", step: "auth", words: []string{"454 4.7.0"}, code: 1},

	{name: "ca_file is missing", induce: func(t *testing.T, w *world) { w.change("fake365-ca.pem", "gone.pem") },
		status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"ca_file", "gone.pem", "mailbearer.toml:"}, code: 2},
	{name: "ca_file is no PEM", induce: func(t *testing.T, w *world) {
		os.WriteFile(filepath.Join(w.dir, "fake365-ca.pem"), []byte("0\x82\x03"), 0o600)
	}, status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"ca_file", "PEM"}, code: 2},
	{name: "a wrong key", induce: changed("[spool]", "[spool]\nretri = 1"), status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped",
		step: "config", words: []string{`did you mean "retry"`}, code: 2},
}

func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	for _, f := range checkFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f.options)
			f.induce(t, w)
			steps, human, code := w.check()
			if got := status(steps); got != f.status || code != f.code {
				t.Errorf("exit %d, want %d; %s; want %s\n%s", code, f.code, got, f.status, human)
			}
			for _, word := range f.words {
				if !strings.Contains(steps[f.step].all(), word) {
					t.Errorf("%s does not say %q:\n%s", f.step, word, steps[f.step].all())
				}
				if f.code == 1 && !strings.Contains(human, word) {
					t.Errorf("people are not told %q:\n%s", word, human)
				}
			}
			if f.code == 1 && !strings.Contains(human, "Next: do what stands above under") {
				t.Errorf("what to do next is not said:\n%s", human)
			}
		})
	}
}

// implicitTLS is a mail server that expects TLS from the first byte.
func implicitTLS(c net.Conn) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if s.Handshake() == nil {
		says("220 ready\r\n")(s)
	}
}

// plainSMTP is a mail server without STARTTLS.
func plainSMTP(c net.Conn) {
	io.WriteString(c, "220 mail.example ESMTP\r\n")
	r := textproto.NewReader(bufio.NewReader(c))
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "EHLO") {
			io.WriteString(c, "250-mail.example\r\n250 SIZE\r\n")
		} else {
			io.WriteString(c, "250 OK\r\n")
		}
	}
}

func TestCheckByAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.change("[log]", "[network]\nproxy = \"http://u:pw@"+httpProxy(t, new(atomic.Int32))+"\"\n[log]")
	steps, human, code := w.check()
	if got := status(steps); code != 0 || got != "dns skipped, tcp skipped" || steps["proxy"].Status != checkOK {
		t.Errorf("exit %d, %s\n%s", code, got, human)
	}
}

// A mailbox with one connection, which the relay keeps: the check is told that it is busy, and that is no failure. Once
// the relay has gone, the check takes its one connection and gives it back.
func TestCheckBesideARelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{MaxConnections: 1})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err)
	}
	steps, human, code := w.check()
	if code != 0 || steps["auth"].Status != checkSkipped || !strings.Contains(steps["auth"].Cause, "the relay is using the mailbox's connections") || !strings.HasPrefix(steps["auth"].Said, "432 4.3.2") {
		t.Errorf("exit %d: %+v\n%s", code, steps["auth"], human)
	}
	w.relay.stop()
	for range 2 {
		if steps, human, code = w.check(); code != 0 || steps["auth"].Status != checkOK {
			t.Errorf("exit %d: %+v\n%s", code, steps["auth"], human)
		}
	}
	if n := len(w.fake.Messages()); n != 1 {
		t.Errorf("%d messages: a check sends none", n)
	}
}

// A passing check makes the relay try a held account at once, whatever its schedule says.
func TestCheckWakesAHeldAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"spool": "retry = [\"1h\"]"})
	w.fake.Fault(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.eventually(func() bool {
		out, _, _ := output("status", "--config", w.config)
		return strings.Contains(out, "held")
	})
	w.fake.ClearFaults()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"check", "--config", w.config}, nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "asked to try again at once") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	w.arrived(1, 10*time.Second)
}

func TestCheckUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	for _, c := range []struct{ args, want string }{
		{"check --account nobody --json --config " + w.config, `"name": "nobody"`},
		{"check --json --config " + filepath.Join(w.dir, "gone.toml"), `"status": "failed"`},
		{"check extra", ""},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), nil, &out, &errs)
		if code != exitUsage || errs.Len() == 0 || !strings.Contains(out.String(), c.want) || c.want != "" && !json.Valid(out.Bytes()) {
			t.Errorf("%s: exit %d\n%s\n%s", c.args, code, out.String(), errs.String())
		}
	}
}

// checkup runs the check of the one account with something replaced.
func (w *world) checkup(ctx context.Context, replace func(*checkup)) map[string]checkStep {
	w.t.Helper()
	cfg, err := config.Load(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	c := newCheckup(cfg, cfg.Accounts[0], cfg.Relay.Hostname)
	replace(c)
	c.run(ctx)
	steps := map[string]checkStep{}
	for _, name := range checkOrder {
		steps[name] = <-c.steps[name]
	}
	return steps
}

func TestCheckClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{TokenLifetime: 2 * time.Hour})
	for _, c := range []struct {
		skew  time.Duration
		state checkStatus
		words string
	}{
		{30 * time.Second, checkOK, ""},
		{2 * time.Minute, checkOK, "ahead of"},
		{-2 * time.Minute, checkOK, "behind"},
		{-10 * time.Minute, checkFailed, "behind"},
		{10 * time.Minute, checkFailed, "ahead of"},
	} {
		s := w.checkup(t.Context(), func(k *checkup) { k.now = func() time.Time { return time.Now().Add(c.skew) } })["clock"]
		if s.Status != c.state || !strings.Contains(s.Cause, c.words) || (s.Cause == "") != (c.words == "") {
			t.Errorf("%v: %+v", c.skew, s)
		}
	}
}

// A token without roles is right where Exchange grants the permission itself.
func TestCheckNoRoleGrantedByExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{NoConsent: true, Mailboxes: []string{testMailbox}})
	cfg, err := config.Load(w.config)
	if err != nil {
		t.Fatal(err)
	}
	c := newCheckup(cfg, cfg.Accounts[0], "relay.contoso.example")
	token, err := c.flow.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := c.checkClaims(t.Context(), token)
	if r.step.Status != checkOK || !strings.Contains(r.step.Cause, "RBAC for Applications") {
		t.Errorf("before AUTH: %+v", r.step)
	}
	r.passed()
	if r.step.Status != checkOK || !strings.Contains(r.step.Cause, "it does here, since AUTH passed") {
		t.Errorf("after AUTH: %+v", r.step)
	}
}

// A port that swallows everything: the rest of the chain is checked all the same.
func TestCheckBlockedPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	steps := w.checkup(t.Context(), func(c *checkup) {
		c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
	})
	if got := status(steps); got != "tcp failed, tls skipped, auth skipped" || !strings.Contains(steps["tcp"].Cause, "blocked") || !strings.Contains(steps["tcp"].Fix, "Test-NetConnection localhost") {
		t.Errorf("%s: %+v", got, steps["tcp"])
	}
}

// Port 465 means TLS from the start, and what answers there begins in the clear.
func TestCheckPlainOn465(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	at := local(t, plainSMTP)
	w.change(w.fake.SMTP(), "localhost:465")
	steps := w.checkup(t.Context(), func(c *checkup) {
		c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		}
	})
	if s := steps["tls"]; s.Status != checkFailed || s.Said != "220 mail.example ESMTP" || !strings.Contains(s.Fix, "587") {
		t.Errorf("%+v", s)
	}
}

// Whatever hangs, the check ends with its context, and every step is told of.
func TestCheckEnds(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"connect", "auth", "discovery", "token"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			w.fake.Fault(fake365.Fault{At: at, Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			steps := w.checkup(ctx, func(*checkup) {})
			if d := time.Since(begin); d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
			for _, name := range checkOrder {
				if steps[name].Status == "" {
					t.Errorf("nothing is said of %s", name)
				}
			}
			if status(steps) == "" {
				t.Error("nothing is wrong")
			}
		})
	}
}

func TestCheckManyAccountsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	_, account, _ := strings.Cut(string(text), "[[account]]")
	account, _, _ = strings.Cut(account, "[spool]")
	var more strings.Builder
	names := []string{"default"}
	for i := range 6 {
		names = append(names, fmt.Sprintf("a%d", i))
		more.WriteString("[[account]]" + strings.Replace(account, "default", names[i+1], 1))
	}
	w.change("[spool]", more.String()+"[spool]")
	var out bytes.Buffer
	if code := run(t.Context(), []string{"check", "--json", "--config", w.config}, nil, &out, io.Discard); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	var v checkView
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range v.Accounts {
		got = append(got, a.Name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("%v, want %v", got, names)
	}
}
