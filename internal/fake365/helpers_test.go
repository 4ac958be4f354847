package fake365

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	mailbox      = "printer@contoso.com"
	appScopeSMTP = outlook365 + "/.default"
	appScopeMail = graphHost + "/.default"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Server) trust(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA()) {
		t.Fatal("the CA is not PEM")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func (s *Server) http(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: s.trust(t)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// post sends a form to Entra and returns status and JSON.
func (s *Server) post(t *testing.T, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	resp, err := s.http(t).PostForm(s.Authority()+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (s *Server) tokenPath() string { return "/" + s.Tenant() + "/oauth2/v2.0/token" }

func (s *Server) appForm(scope string) url.Values {
	return url.Values{"grant_type": {grantClientCredentials}, "client_id": {s.ClientID()}, "client_secret": {s.ClientSecret()}, "scope": {scope}}
}

// appToken gets an app-only token.
func (s *Server) appToken(t *testing.T, scope string) string {
	t.Helper()
	status, answer := s.post(t, s.tokenPath(), s.appForm(scope))
	if status != http.StatusOK {
		t.Fatalf("token: %d %v", status, answer)
	}
	return answer["access_token"].(string)
}

// client is a raw SMTP client.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and reads the greeting.
func (s *Server) dial(t *testing.T) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.SMTP())
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t}
	c.use(conn)
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client) use(conn net.Conn) {
	c.conn, c.r = conn, bufio.NewReader(conn)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// secure connects, upgrades and says EHLO.
func (s *Server) secure(t *testing.T) *client {
	t.Helper()
	c := s.dial(t)
	c.want("220 ")
	c.do("EHLO relay.contoso.com", "250 ")
	c.do("STARTTLS", "220 2.0.0 SMTP server ready")
	c.use(tls.Client(c.conn, s.trust(t)))
	c.do("EHLO relay.contoso.com", "250 ")
	return c
}

// login connects and authenticates for the mailbox.
func (s *Server) login(t *testing.T) *client {
	t.Helper()
	c := s.secure(t)
	c.do("AUTH XOAUTH2 "+xoauth2(mailbox, s.appToken(t, appScopeSMTP)), "235 2.7.0 Authentication successful")
	return c
}

func xoauth2(user, token string) string {
	return base64.StdEncoding.EncodeToString([]byte("user=" + user + "\x01auth=Bearer " + token + "\x01\x01"))
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one whole reply, its lines parted by \n.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", lines, err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// want reads a reply that must begin so; of several lines the last.
func (c *client) want(prefix string) string {
	c.t.Helper()
	reply := c.reply()
	last := reply[strings.LastIndex(reply, "\n")+1:]
	if !strings.HasPrefix(last, prefix) {
		c.t.Fatalf("got %q, want %q", reply, prefix)
	}
	return reply
}

func (c *client) do(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.want(prefix)
}

// gone checks that the server cuts the connection without another word.
func (c *client) gone() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.t.Fatalf("got %q, want the end of the connection", b)
	} else if isTimeout(err) {
		c.t.Fatal("the connection is still open")
	}
}

// rsaKey is shared: making one takes long under the race detector.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// appCertificate returns a certificate for the app, valid until then, as PEM and parsed.
func appCertificate(t *testing.T, until time.Time) (*rsa.PrivateKey, *x509.Certificate, []byte) {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// lines makes text of n lines.
func lines(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Subject: lines\r\n\r\n")
	for i := range n {
		fmt.Fprintf(&b, "line %d\r\n", i)
	}
	return b.Bytes()
}
