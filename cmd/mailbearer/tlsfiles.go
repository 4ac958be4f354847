package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/config"
)

// listenerTLS returns what a listener with TLS answers with: the configured certificate, or one made on first use.
// Devices do not check certificates of relays on their own network; a person who wants them to configures one.
func listenerTLS(l config.Listener, dataDir, hostname string) (*tls.Config, error) {
	if l.Security == "none" {
		return nil, nil
	}
	certFile, keyFile := l.Certificate, l.Key
	if certFile == "" {
		certFile, keyFile = filepath.Join(dataDir, "tls", "listener.crt"), filepath.Join(dataDir, "tls", "listener.key")
		if err := makeSelfSigned(certFile, keyFile, hostname); err != nil {
			return nil, err
		}
	}
	pair := &keyPair{certFile: certFile, keyFile: keyFile}
	if _, err := pair.get(nil); err != nil {
		return nil, fmt.Errorf("the certificate cannot be used: %w", err)
	}
	c := &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12}
	if l.MinTLS == "1.0" {
		allowOldTLS(c)
	}
	return c, nil
}

// keyPair is a certificate that is read again when one of its files has changed: a renewal needs no restart. While the
// new pair does not fit together (one file is written before the other), the old one serves.
type keyPair struct {
	certFile, keyFile string

	mu    sync.Mutex
	cert  *tls.Certificate
	stamp string
}

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	stamp := fileStamp(k.certFile) + fileStamp(k.keyFile)
	if k.cert != nil && stamp == k.stamp {
		return k.cert, nil
	}
	cert, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	switch {
	case err == nil:
		k.cert, k.stamp = &cert, stamp
	case k.cert == nil:
		return nil, err
	}
	return k.cert, nil
}

// fileStamp changes when a file does.
func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d ", info.ModTime().UnixNano(), info.Size())
}

// allowOldTLS lets devices in that know nothing newer than TLS 1.0 and RSA key exchange. Go leaves those suites out
// unless they are named.
func allowOldTLS(c *tls.Config) {
	c.MinVersion = tls.VersionTLS10
	for _, suites := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, s := range suites {
			if !strings.Contains(s.Name, "RC4") {
				c.CipherSuites = append(c.CipherSuites, s.ID)
			}
		}
	}
}

// selfSignedFor is how long a certificate made on first use is valid.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// makeSelfSigned writes a certificate and its key unless they exist. The key is written first and synced, so that a
// crash between the two leaves nothing that looks whole.
func makeSelfSigned(certFile, keyFile, hostname string) error {
	if _, err := os.Stat(certFile); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certFile), 0o700); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048) // RSA, since old devices know no other key exchange
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "mailbearer " + hostname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if isFQDN(hostname) {
		template.DNSNames = append(template.DNSNames, hostname)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeSynced(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		return err
	}
	return writeSynced(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// writeSynced writes a file that only we may read, and returns when it is on disk.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
