package fake365

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a certificate authority of one server's life: its certificate, and a leaf for loopback.
type authority struct {
	pem  []byte
	leaf tls.Certificate
}

// newAuthority makes the CA and its leaf. P-256 because a key costs microseconds, and tests start many servers.
func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("fake365: make the CA's key: %w", err)
	}
	template := certificate("fake365 CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("fake365: make the CA: %w", err)
	}
	leaf, err := newLeaf(template, key, der)
	if err != nil {
		return nil, err
	}
	return &authority{pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), leaf: leaf}, nil
}

// newLeaf makes the certificate that both doors show.
func newLeaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, caDER []byte) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("fake365: make the leaf's key: %w", err)
	}
	template := certificate("localhost")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("fake365: make the leaf: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: key}, nil
}

// certificate is what CA and leaf have in common. A day is longer than any demo and shorter than a forgotten trust.
func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomBytes(15)),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"mailbearer demo, not Microsoft"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

// tlsConfig is what both doors use: TLS 1.2 or newer, as Microsoft does.
func (a *authority) tlsConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.leaf}, MinVersion: tls.VersionTLS12}
}

// CA returns the PEM certificate of the server's own authority; a client must trust it.
func (s *Server) CA() []byte { return s.ca.pem }

// WriteCA writes the CA into dir and returns the file's path, for configuration that wants a ca_file.
func (s *Server) WriteCA(dir string) (path string, err error) {
	path = filepath.Join(dir, "fake365-ca.pem")
	if err := os.WriteFile(path, s.ca.pem, 0o644); err != nil {
		return "", fmt.Errorf("fake365: write the CA: %w", err)
	}
	return path, nil
}
