package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// appCertificate is a certificate of an app with its private key.
type appCertificate struct {
	cert  *x509.Certificate
	chain []*x509.Certificate
	key   *rsa.PrivateKey
}

const (
	leastBits = 2048 // what Entra takes
	mostBits  = 8192 // beyond it, making one takes minutes and nothing is gained
	mostDays  = 3650
)

// makeCertificate makes a key and a certificate for it that it has signed itself. It is valid from an hour ago, so that
// clocks need not agree.
func makeCertificate(name string, bits, days int) (*appCertificate, error) {
	switch {
	case bits < leastBits || bits > mostBits:
		return nil, fmt.Errorf("--bits %d is not possible: use %d to %d", bits, leastBits, mostBits)
	case days < 1 || days > mostDays:
		return nil, fmt.Errorf("--days %d is not possible: use 1 to %d", days, mostDays)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	return selfSign(name, days, key)
}

func selfSign(name string, days int, key *rsa.PrivateKey) (*appCertificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA256WithRSA,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, days),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &appCertificate{cert: cert, key: key}, err
}

// certificateFiles are where the parts go. key is "" where the private key is in the same file as the certificate.
type certificateFiles struct{ cert, key, public string }

// filesFor decides by the ending, as administrators do.
func filesFor(cert, key string) (certificateFiles, error) {
	ext := strings.ToLower(filepath.Ext(cert))
	public := publicBeside(cert)
	switch ext {
	case ".pfx", ".p12":
		if key != "" {
			return certificateFiles{}, fmt.Errorf("%s is a PFX file, which holds the private key itself: remove certificate_key from the configuration, or let certificate end in .pem", cert)
		}
		return certificateFiles{cert: cert, public: public}, nil
	case ".pem", ".crt":
		return certificateFiles{cert: cert, key: key, public: public}, nil
	}
	return certificateFiles{}, fmt.Errorf("what kind of file is %s to be? Let its name end in .pfx (the usual kind) or in .pem", cert)
}

// publicBeside names the .cer file beside a certificate.
func publicBeside(cert string) string { return strings.TrimSuffix(cert, filepath.Ext(cert)) + ".cer" }

func (f certificateFiles) isPFX() bool { return !f.isPEM() }

func (f certificateFiles) isPEM() bool {
	ext := strings.ToLower(filepath.Ext(f.cert))
	return ext == ".pem" || ext == ".crt"
}

// private names the file that holds the private key.
func (f certificateFiles) private() string {
	if f.key != "" {
		return f.key
	}
	return f.cert
}

// write makes the files. The private key comes first and never replaces anything.
func (f certificateFiles) write(c *appCertificate, password string) error {
	switch {
	case f.isPFX():
		pfx, err := c.pfx(password)
		if err != nil {
			return err
		}
		if err := createDurably(f.cert, pfx); err != nil {
			return err
		}
	case password != "":
		return errors.New("certificate_password protects PFX files only: let certificate end in .pfx, or remove certificate_password")
	default:
		private, err := c.privatePEM()
		if err != nil {
			return err
		}
		if f.key == "" {
			err = createDurably(f.cert, append(private, c.publicPEM()...))
		} else if err = createDurably(f.key, private); err == nil {
			err = createDurably(f.cert, c.publicPEM())
		}
		if err != nil {
			return err
		}
	}
	return replaceDurably(f.public, c.cert.Raw)
}

// pfx uses AES and SHA-256, which everything since Windows Server 2019 and OpenSSL 1.1 reads.
func (c *appCertificate) pfx(password string) ([]byte, error) {
	return pkcs12.Modern.Encode(c.key, c.cert, c.chain, password)
}

func (c *appCertificate) privatePEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (c *appCertificate) publicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}
