package tokens

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

type pair struct {
	cert    *x509.Certificate
	key     *rsa.PrivateKey
	certPEM []byte
}

// testKey is made once: a key costs more than all the rest of a test.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		panic(err)
	}
	return key
})

func newPair(t *testing.T, name string, from, until time.Time) pair {
	t.Helper()
	cert := selfSigned(t, name, testKey(), from, until)
	return pair{cert, testKey(), certPEMOf(cert)}
}

// newKeyPair is newPair with a key of its own.
func newKeyPair(t *testing.T, name string, from, until time.Time) pair {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, minRSABits))
	cert := selfSigned(t, name, key, from, until)
	return pair{cert, key, certPEMOf(cert)}
}

func selfSigned(t *testing.T, name string, key crypto.Signer, from, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (p pair) keyPEM(t *testing.T, kind string) []byte {
	t.Helper()
	der := x509.MarshalPKCS1PrivateKey(p.key)
	if kind == "PRIVATE KEY" {
		var err error
		if der, err = x509.MarshalPKCS8PrivateKey(p.key); err != nil {
			t.Fatal(err)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (p pair) pfx(t *testing.T, password string) []byte {
	t.Helper()
	return encodePFX(t, pkcs12.Modern2023, p.key, p.cert, password)
}

func encodePFX(t *testing.T, e *pkcs12.Encoder, key any, cert *x509.Certificate, password string) []byte {
	t.Helper()
	data, err := e.Encode(key, cert, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newEcho is a token endpoint that answers every request with what it was sent.
func newEcho(t *testing.T) Entra {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			json.NewEncoder(w).Encode(map[string]string{
				"issuer": server.URL + "/t/v2.0", "token_endpoint": server.URL + "/token", "authorization_endpoint": server.URL + "/authorize",
			})
			return
		}
		r.ParseForm()
		plain, _ := url.QueryUnescape(r.PostForm.Encode())
		w.WriteHeader(http.StatusUnauthorized)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "you sent " + r.PostForm.Encode() + " that is " + plain})
	}))
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return Entra{Authority: server.URL, Tenant: "t", ClientID: "app", Scopes: []string{"https://x/.default"}, HTTP: NewHTTPClient(HTTPOptions{RootCAs: pool})}
}

func TestParseCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPair(t, "app", now, now.Add(time.Hour))
	other := selfSigned(t, "chain", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), now, now.Add(time.Hour))
	pkcs8, pkcs1 := p.keyPEM(t, "PRIVATE KEY"), p.keyPEM(t, "RSA PRIVATE KEY")
	for name, c := range map[string]struct {
		data     []byte
		password string
	}{
		"PEM PKCS#8":             {join(p.certPEM, pkcs8), ""},
		"PEM PKCS#1, key first":  {join(pkcs1, p.certPEM), "ignored"},
		"PEM chain, own last":    {join(certPEMOf(other), pkcs8, p.certPEM), ""},
		"PEM with bag text":      {join([]byte("Bag Attributes\n  localKeyID: 01\nKey Attributes: <No Attributes>\n"), pkcs8, p.certPEM), ""},
		"PFX modern":             {encodePFX(t, pkcs12.Modern2023, p.key, p.cert, "pass"), "pass"},
		"PFX legacy DES":         {encodePFX(t, pkcs12.LegacyDES, p.key, p.cert, "pass"), "pass"},
		"PFX legacy RC2":         {encodePFX(t, pkcs12.LegacyRC2, p.key, p.cert, "pass"), "pass"},
		"PFX empty password":     {encodePFX(t, pkcs12.Modern2023, p.key, p.cert, ""), ""},
		"PFX no password":        {encodePFX(t, pkcs12.Passwordless, p.key, p.cert, ""), ""},
		"PFX no password needed": {encodePFX(t, pkcs12.Passwordless, p.key, p.cert, ""), "pass"},
	} {
		certs, key, err := ParseCertificate(c.data, c.password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !certs[0].Equal(p.cert) || !key.Equal(p.key) {
			t.Errorf("%s: another certificate or key", name)
		}
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPair(t, "app", now, now.Add(time.Hour))
	pkcs8 := p.keyPEM(t, "PRIVATE KEY")
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ecCert := selfSigned(t, "ec", ec, now, now.Add(time.Hour))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	smallCert := selfSigned(t, "small", small, now, now.Add(time.Hour))
	key := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, c := range map[string]struct {
		data     []byte
		password string
		want     string
	}{
		"ECDSA PEM":         {join(certPEMOf(ecCert), key("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec)))), "", "elliptic-curve (ECDSA P-256)"},
		"ECDSA PFX":         {encodePFX(t, pkcs12.Modern2023, ec, ecCert, "pass"), "pass", "elliptic-curve"},
		"Ed25519":           {join(p.certPEM, key("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed)))), "", "Ed25519"},
		"1024 bits":         {join(certPEMOf(smallCert), key("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small))), "", "1024 bits"},
		"not a pair":        {join(certPEMOf(ecCert), pkcs8), "", "does not belong"},
		"no key":            {p.certPEM, "", "certificate_key"},
		"no certificate":    {pkcs8, "", "no certificate"},
		"broken encryption": {join(p.certPEM, key("ENCRYPTED PRIVATE KEY", []byte{0x30})), "pass", "damaged"},
		"old encryption":    {join(p.certPEM, key("ENCRYPTED PRIVATE KEY", sealedBy(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}))), "pass", "openssl pkcs8 -topk8"},
		"RSA-PSS":           {join(p.certPEM, key("PRIVATE KEY", keyOfKind(oidRSAPSS))), "", "RSA-PSS only"},
		"unknown kind":      {join(p.certPEM, key("PRIVATE KEY", keyOfKind(asn1.ObjectIdentifier{1, 3, 101, 113}))), "", "unknown kind"},
		"DEK-Info": {join(p.certPEM, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1},
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "DES-EDE3-CBC,00"}})), "", "openssl pkcs8 -topk8"},
		"damaged key":    {join(p.certPEM, key("PRIVATE KEY", []byte{0x30, 1})), "", "damaged"},
		"wrong password": {p.pfx(t, "pass"), "nope", "certificate_password is not"},
		"needs password": {p.pfx(t, "pass"), "", "set certificate_password"},
		"public half":    {p.cert.Raw, "", "public half"},
		"garbage":        {[]byte("hello"), "", "neither"},
		"empty":          {nil, "", "empty"},
		"half a PFX":     {p.pfx(t, "pass")[:500], "pass", "only a part of one"},
	} {
		_, _, err := ParseCertificate(c.data, c.password)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "asn1:") {
			t.Errorf("%s: that says nothing to an administrator: %v", name, err)
		}
	}
}

func TestLoadCertificateFiles(t *testing.T) {
	t.Parallel()
	p := newPair(t, "app", time.Now(), time.Now().Add(time.Hour))
	dir := t.TempDir()
	cert, key, big := filepath.Join(dir, "app.pem"), filepath.Join(dir, "app.key"), filepath.Join(dir, "big")
	for path, data := range map[string][]byte{cert: p.certPEM, key: p.keyPEM(t, "PRIVATE KEY"), big: make([]byte, maxCredentialLen+1)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := LoadCertificate(cert, key, ""); err != nil {
		t.Errorf("two files: %v", err)
	}
	if _, _, err := LoadCertificate(cert, "", ""); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("without the key the file is not named: %v", err)
	}
	if _, _, err := LoadCertificate(big, "", ""); err == nil {
		t.Error("reads a file of any size")
	}
}

// What administrators make with openssl must work as it comes.
func TestOpenSSLFiles(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	p := newPair(t, "app", time.Now(), time.Now().Add(time.Hour))
	dir := t.TempDir()
	pemFile := filepath.Join(dir, "app.pem")
	if err := os.WriteFile(pemFile, join(p.keyPEM(t, "PRIVATE KEY"), p.certPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"default": nil, "legacy": {"-legacy"}, "sha1": {"-macalg", "sha1"}, "plain certificate": {"-certpbe", "NONE"},
	} {
		out := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".pfx")
		args = append([]string{"pkcs12", "-export", "-in", pemFile, "-out", out, "-passout", "pass:pass"}, args...)
		if msg, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Logf("%s: this openssl cannot: %s", name, msg)
			continue
		}
		if _, _, err := LoadCertificate(out, "", "pass"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sealedBy is an encrypted key's frame.
func sealedBy(scheme asn1.ObjectIdentifier) []byte {
	return must(asn1.Marshal(encryptedKey{pkix.AlgorithmIdentifier{Algorithm: scheme}, []byte("12345678")}))
}

// keyOfKind is a PKCS#8 frame that says of what kind its key is.
func keyOfKind(kind asn1.ObjectIdentifier) []byte {
	return must(asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: kind}, []byte("key")}))
}

// Encrypted keys as openssl writes them: beside the certificate, and in a file of their own.
func TestOpenSSLEncryptedKeys(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	p := newPair(t, "app", time.Now(), time.Now().Add(time.Hour))
	for _, how := range []string{
		"-v2 aes-256-cbc", "-v2 aes-192-cbc -v2prf hmacWithSHA1", "-v2 aes-128-cbc -v2prf hmacWithSHA384", "-v2 des3 -v2prf hmacWithSHA512",
		"-scrypt", "-v2 aes-256-cbc -iter 100000",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := exec.CommandContext(t.Context(), openssl, append(strings.Fields("pkcs8 -topk8 -passout pass:pass"), strings.Fields(how)...)...)
			c.Stdin = bytes.NewReader(p.keyPEM(t, "PRIVATE KEY"))
			sealed, err := c.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, sealed)
			}
			certs, key, err := ParseCertificate(join(p.certPEM, sealed), "pass")
			if err != nil || !certs[0].Equal(p.cert) || !key.Equal(p.key) {
				t.Errorf("%v", err)
			}
			for password, want := range map[string]string{"": "set certificate_password", "nope": "is not the password"} {
				if _, _, err := ParseCertificate(join(sealed, p.certPEM), password); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q: %v", password, err)
				}
			}
		})
	}
}

// PFX files that the library cannot read come with the command that makes one it can.
func TestOpenSSLUnsupportedPFX(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	p := newPair(t, "app", time.Now(), time.Now().Add(time.Hour))
	for how, want := range map[string]string{"-macalg sha384": "not supported", "-nomac": "no MAC"} {
		c := exec.CommandContext(t.Context(), openssl, append(strings.Fields("pkcs12 -export -passout pass:pass"), strings.Fields(how)...)...)
		c.Stdin = bytes.NewReader(join(p.keyPEM(t, "PRIVATE KEY"), p.certPEM))
		file, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, password := range []string{"pass", ""} {
			_, _, err := ParseCertificate(file, password)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "openssl pkcs12 -in OLD.pfx -out NEW.pem") {
				t.Errorf("%s, %q: %v", how, password, err)
			}
		}
		c = exec.CommandContext(t.Context(), openssl, strings.Fields("pkcs12 -passin pass:pass -passout pass:new")...)
		c.Stdin = bytes.NewReader(file)
		if file, err = c.Output(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ParseCertificate(file, "new"); err != nil {
			t.Errorf("%s, after that command: %v", how, err)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "")
	f.Add([]byte{0x30, 0x80, 0, 0}, "pass")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		certs, key, err := ParseCertificate(data, password)
		if err == nil && (len(certs) == 0 || key == nil) {
			t.Error("nothing, and no error")
		}
	})
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
