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
	"io"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
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
	if strings.Contains(out.String()+human, w.fake.ClientSecret()) || strings.Contains(out.String()+human, "eyJ") || strings.Contains(out.String()+human, "wrongpw") {
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
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: until.AddDate(-3, 0, 0), NotAfter: until}
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

func readAccount(t testing.TB, w *world) config.Account {
	t.Helper()
	cfg, err := config.Load(w.config)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Accounts[0]
}
