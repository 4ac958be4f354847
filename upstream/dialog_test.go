package upstream

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// A dialog is a text file: what is sent (send:, sender:, text:, …), the conversation that has to come of it, and the
// results. S: is what the server says, C: what the client has to say, TLS the handshake, CONNECT the next connection,
// SIGNIN all of it up to 235 with the capabilities that follow, CUT that the server cuts, EOF that the client has to,
// WARM the same and a first message, SILENCE that the server says nothing more, FLOOD that it never stops, STALL that it reads no more, LATER that it reads no more and speaks a minute later, WAIT how long it waits (wait: how long we do).
type dialog struct {
	sends   []string
	results []string
	conns   [][]string
	sender  string
	text    string
	has     string // what the spool gives, if it is not the text
	options Options
	env     mail.Envelope
}

const dialogToken = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.payload-of-token"

// dialogTokens gives token-1, and the next whenever the last one is refused.
type dialogTokens struct{ n int }

func numbered(n int) string { return fmt.Sprintf("%s-%d", dialogToken, n) }

func (d *dialogTokens) Token(_ context.Context, rejected string) (string, error) {
	if d.n == 0 || rejected == numbered(d.n) {
		d.n++
	}
	return numbered(d.n), nil
}

func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dialogs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogs", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { playDialog(t, readDialog(t, file)) })
		})
	}
}

func readDialog(t *testing.T, file string) *dialog {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialog{
		sender: "noreply@contoso.test", text: "Subject: x\r\n\r\n.dot\r\n",
		options: Options{Address: "smtp.test:587", Mailbox: "noreply@contoso.test", Hostname: "relay.contoso.test"},
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && line[0] != '#' {
			d.line(t, line)
		}
	}
	return d
}

func (d *dialog) line(t *testing.T, line string) {
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "send":
		d.sends = append(d.sends, value)
	case "result":
		d.results = append(d.results, value)
	case "wait":
		d.sends = append(d.sends, "wait "+value)
	case "sender":
		d.sender, _ = strings.CutSuffix(value, "<>")
	case "text":
		d.text = unquoted(t, value)
	case "has":
		d.has = unquoted(t, value)
	case "mechanism":
		d.options.Mechanism = value
	case "address":
		d.options.Address = value
	case "hostname":
		d.options.Hostname = value
	case "envelope":
		if err := json.Unmarshal([]byte(value), &d.env); err != nil {
			t.Fatal(err)
		}
	default:
		d.script(line)
	}
}

func (d *dialog) script(line string) {
	if len(d.conns) == 0 || line == "CONNECT" {
		d.conns = append(d.conns, nil)
	}
	last := &d.conns[len(d.conns)-1]
	caps, signin := strings.CutPrefix(line, "SIGNIN")
	warmCaps, warm := strings.CutPrefix(line, "WARM")
	switch {
	case warm:
		d.script("SIGNIN" + warmCaps)
		d.sends = slices.Insert(d.sends, 0, "warm@example.test")
		d.results = slices.Insert(d.results, 0, "delivered 250 warm")
		last = &d.conns[len(d.conns)-1]
		*last = append(*last, "C: MAIL FROM:<noreply@contoso.test>", "C: RCPT TO:<warm@example.test>", "S: 250 ok", "S: 250 ok",
			fmt.Sprintf("C: BDAT %d LAST", len(d.text)))
		for line := range strings.Lines(d.text) {
			*last = append(*last, "C: "+strings.TrimRight(line, "\r\n"))
		}
		*last = append(*last, "S: 250 warm")
	case signin:
		*last = append(*last, "S: 220 smtp.test", "C: EHLO relay.contoso.test", "S: 250-smtp.test", "S: 250 STARTTLS",
			"C: STARTTLS", "S: 220 go", "TLS", "C: EHLO relay.contoso.test", "S: 250-smtp.test")
		for c := range strings.FieldsSeq(caps) {
			*last = append(*last, "S: 250-"+strings.ReplaceAll(c, "=", " "))
		}
		*last = append(*last, "S: 250 AUTH LOGIN XOAUTH2", "C: AUTH XOAUTH2", "S: 334 ", "C: {xoauth2-1}", "S: 235 2.7.0 ok")
	case line != "CONNECT":
		*last = append(*last, line)
	}
}

func unquoted(t *testing.T, s string) string {
	t.Helper()
	s, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func playDialog(t *testing.T, d *dialog) {
	roots, cert := testCertificate(t, "smtp.test")
	var wg sync.WaitGroup
	made := 0
	d.options.RootCAs = roots
	d.options.Tokens = &dialogTokens{}
	d.options.Dial = func(context.Context, string, string) (net.Conn, error) {
		if made++; made > len(d.conns) {
			return nil, fmt.Errorf("dial tcp 192.0.2.1:587: connect: connection refused")
		}
		client, server := net.Pipe()
		wg.Go(func() { serveDialog(t, server, cert, d.conns[made-1]) })
		return client, nil
	}
	s := NewSMTP(d.options)
	for i, to := range d.sends {
		if pause, ok := strings.CutPrefix(to, "wait "); ok {
			wait(t, pause)
			d.results = slices.Insert(d.results, min(i, len(d.results)), "")
			continue
		}
		synctest.Wait() // for what the server does after its last reply
		r := s.Deliver(t.Context(), d.envelope(to), d.open(to))
		if got := resultWords(r); i >= len(d.results) || got != d.results[i] {
			t.Errorf("message %d:\n got %s\nwant %s", i+1, got, strings.Join(d.results[i:min(i+1, len(d.results))], ""))
		}
		if strings.Contains(fmt.Sprintf("%+v %+v", r, r.Trouble), dialogToken) {
			t.Errorf("message %d: the token is in the result: %+v %+v", i+1, r, r.Trouble)
		}
	}
	s.Close()
	wg.Wait()
	if made < len(d.conns) {
		t.Errorf("%d connections were made, want %d", made, len(d.conns))
	}
}

func (d *dialog) envelope(to string) *mail.Envelope {
	env := d.env
	env.Sender, env.Size = d.sender, int64(len(d.text))
	if to != "" {
		for a := range strings.SplitSeq(to, ", ") {
			env.Recipients = append(env.Recipients, mail.Recipient{Address: a})
		}
	}
	return &env
}

func (d *dialog) open(to string) func() (io.ReadCloser, error) {
	if d.has != "" && to != "warm@example.test" {
		return opener(d.has)
	}
	return opener(d.text)
}

// resultWords writes a result the way dialogs do.
func resultWords(r mail.Result) string {
	var words []string
	if r.Trouble != nil {
		words = append(words, fmt.Sprintf("trouble %s %s %s", r.Trouble.Kind, r.Trouble.Class, r.Trouble.Reply))
	}
	for _, o := range r.Outcomes {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s", o.State, o.Reply)))
	}
	text := strings.TrimSpace(strings.Join(words, " | "))
	if r.InDoubt {
		text += " | in doubt"
	}
	return text
}

// serveDialog plays the server's side.
func serveDialog(t *testing.T, conn net.Conn, cert tls.Certificate, script []string) {
	defer conn.Close()
	raw, r := conn, bufio.NewReader(conn)
	for i, line := range script {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "S:":
			fmt.Fprint(conn, placeholders(rest)+"\r\n")
		case "C:":
			got, err := r.ReadString('\n')
			if want := placeholders(rest) + "\r\n"; got != want {
				t.Errorf("line %d: client says %q (%v), want %q", i+1, got, err, want)
				return
			}
		case "TLS":
			secure := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
			if err := secure.Handshake(); err != nil {
				t.Errorf("line %d: %v", i+1, err)
				return
			}
			conn, r = secure, bufio.NewReader(secure)
		case "CUT":
			raw.Close()
			return
		case "WAIT":
			wait(t, rest)
		case "STALL":
			wait(t, "1h")
			return
		case "LATER":
			wait(t, "1m1s") // when the client has given up writing
			fmt.Fprint(conn, rest+"\r\n")
			return
		case "EOF", "SILENCE":
			if more, _ := io.ReadAll(r); len(more) > 0 {
				t.Errorf("line %d: client says %q, want nothing", i+1, more)
			}
			return
		case "FLOOD":
			for {
				if _, err := fmt.Fprint(conn, rest+"\r\n"); err != nil {
					return
				}
			}
		default:
			t.Errorf("line %d: what is %q?", i+1, line)
		}
	}
	io.Copy(io.Discard, r)
}

// wait lets virtual time pass.
func wait(t *testing.T, duration string) {
	t.Helper()
	d, err := time.ParseDuration(duration)
	if err != nil {
		t.Error(err)
	}
	time.Sleep(d)
}

func placeholders(line string) string {
	for n := 1; n <= 3; n++ {
		token := numbered(n)
		x := base64.StdEncoding.EncodeToString([]byte("user=noreply@contoso.test\x01auth=Bearer " + token + "\x01\x01"))
		b := base64.StdEncoding.EncodeToString([]byte("n,a=noreply@contoso.test,\x01host=smtp.test\x01port=587\x01auth=Bearer " + token + "\x01\x01"))
		line = strings.NewReplacer("{CRLF}", "\r\n", fmt.Sprintf("{xoauth2-%d}", n), x, fmt.Sprintf("{oauthbearer-%d}", n), b,
			fmt.Sprintf("{token-%d}", n), token).Replace(line)
	}
	return line
}

var testKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// testCertificate makes a certificate that vouches for itself. Its time is that of the bubble.
func testCertificate(t *testing.T, name string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key := testKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return roots, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
