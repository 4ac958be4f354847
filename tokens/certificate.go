package tokens

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	minRSABits       = 2048
	maxCredentialLen = 1 << 20 // a certificate file that is larger is something else
)

// LoadCertificate reads an app's certificate and its RSA key: from a PFX file, from one PEM file with both, or from
// two PEM files. keyPath and password may be empty. The first certificate returned belongs to the key, the others are
// its chain, or other certificates of the file.
//
// During a rollover a file may hold several certificates with their keys: the newest that is valid now is taken; if
// none is, the one that lasts longest, since `certificate show` must be able to show an expired one. Errors say what
// to do.
func LoadCertificate(path, keyPath, password string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	if keyPath != "" {
		key, err := readBounded(keyPath)
		if err != nil {
			return nil, nil, err
		}
		data = append(append(data, '\n'), key...)
	}
	certs, key, err := ParseCertificate(data, password)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs, key, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialLen+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCredentialLen {
		return nil, fmt.Errorf("%s is larger than 1 MiB, so it is neither a PFX nor a PEM file with one certificate", path)
	}
	return data, nil
}

// ParseCertificate is LoadCertificate for what is in memory.
func ParseCertificate(data []byte, password string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	parse := parsePFX
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		parse = parsePEM
	}
	certs, keys, err := parse(data, password)
	if err != nil {
		return nil, nil, err
	}
	return choose(certs, keys, time.Now())
}

func parsePEM(data []byte, password string) (certs []*x509.Certificate, keys []any, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errors.New("a certificate in it is damaged, or only a part of one; copy the file anew")
			}
			certs = append(certs, cert)
			continue
		}
		found, err := parseKeyBlock(block, password)
		if err != nil {
			return nil, nil, err
		}
		if found != nil {
			keys = append(keys, found)
		}
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("it holds no certificate; put the certificate (-----BEGIN CERTIFICATE-----) there, and the key beside it or in certificate_key")
	}
	if len(keys) == 0 {
		return nil, nil, errors.New("it holds no private key; name the key's file in certificate_key, or use the PFX file that has both")
	}
	return certs, keys, nil
}

// parseKeyBlock returns nil for a block that is no key: files made by openssl have parameters and attributes too.
func parseKeyBlock(block *pem.Block, password string) (key any, err error) {
	_, legacy := block.Headers["DEK-Info"]
	switch {
	case legacy: // MD5 and no check of the password; Go's own reader of it is deprecated
		return nil, errors.New(`its private key is encrypted in openssl's own old format ("Proc-Type: 4,ENCRYPTED"), which is not supported; ` + reEncrypt)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return decryptPKCS8(block.Bytes, password)
	case block.Type == "PRIVATE KEY":
		return parsePKCS8(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errBrokenKey
	}
	return key, nil
}

func parsePFX(data []byte, password string) ([]*x509.Certificate, []any, error) {
	key, cert, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil && password != "" {
		// A file without a password is no reason to fail because one is configured.
		if k, c, more, bare := pkcs12.DecodeChain(data, ""); bare == nil {
			key, cert, chain, err = k, c, more, nil
		}
	}
	if err == nil {
		return append([]*x509.Certificate{cert}, chain...), []any{key}, nil
	}
	return nil, nil, explainPFX(data, password, err)
}

// outerPFX is as much of a PFX as can be read without its password, RFC 7292 §4.
type outerPFX struct {
	Version int
	Safe    struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	MAC asn1.RawValue `asn1:"optional"`
}

// explainPFX says why a file is no PFX that can be read.
func explainPFX(data []byte, password string, err error) error {
	const rewrite = "write it anew as PEM: openssl pkcs12 -in OLD.pfx -out NEW.pem (its key stays encrypted; let only the relay's user read it), and name that file in certificate"
	var pfx outerPFX
	var missing pkcs12.NotImplementedError
	_, public := x509.ParseCertificate(data)
	switch {
	case len(data) == 0:
		return errors.New("it is empty; use the PFX or PEM file with the certificate and its private key")
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return errors.New("it is protected by a password; set certificate_password")
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return errors.New("certificate_password is not its password")
	case public == nil:
		return errors.New("it is the public half only (.cer); use the PFX or PEM file that was made with it and holds the private key")
	case parseAll(data, &pfx) != nil || pfx.Version != 3:
		return errors.New("it is neither a PFX nor a PEM file, or only a part of one; copy it anew from where it was made. " +
			"If openssl can read it (openssl pkcs12 -in OLD.pfx -noout), " + rewrite)
	case len(pfx.MAC.FullBytes) == 0:
		return errors.New("it is a PFX file that is encrypted but has no check of its password (no MAC), which is not supported; " + rewrite)
	case errors.As(err, &missing):
		return fmt.Errorf("it is a PFX file of a kind that is not supported (%s); %s", string(missing), rewrite)
	}
	return fmt.Errorf("it is a PFX file from which no certificate with an RSA key can be read (%w); see what is in it: openssl pkcs12 -in FILE -info -nokeys", err)
}

const needsRSA = "an app's certificate needs an RSA key of at least 2048 bits; `mailbearer certificate new` makes one"

// usableKey refuses, in words, the keys that Entra or MSAL would refuse with a number.
func usableKey(key any) (*rsa.PrivateKey, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("its RSA key has %d bits; %s", k.N.BitLen(), needsRSA)
		}
		return k, nil
	case *ecdsa.PrivateKey:
		return nil, fmt.Errorf("its key is an elliptic-curve (ECDSA %s) key; %s", k.Curve.Params().Name, needsRSA)
	case ed25519.PrivateKey:
		return nil, fmt.Errorf("its key is an Ed25519 key; %s", needsRSA)
	}
	return nil, fmt.Errorf("its key is of an unknown kind (%T); %s", key, needsRSA)
}

// choose puts the certificate to sign in with first, and returns its key.
func choose(certs []*x509.Certificate, keys []any, now time.Time) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	best := -1
	var key *rsa.PrivateKey
	for i, cert := range certs {
		own, err := usableKey(keyOf(cert, keys))
		if err == nil && (best < 0 || better(cert, certs[best], now)) {
			best, key = i, own
		}
	}
	if best >= 0 {
		certs[0], certs[best] = certs[best], certs[0]
		return certs, key, nil
	}
	for _, k := range keys {
		if _, err := usableKey(k); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errors.New("its private key does not belong to its certificate; use the pair that was made together")
}

// keyOf is the key that belongs to a certificate, or nil.
func keyOf(cert *x509.Certificate, keys []any) any {
	for _, key := range keys {
		signer, ok := key.(crypto.Signer)
		if !ok {
			continue
		}
		if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(cert.PublicKey) {
			return key
		}
	}
	return nil
}

// better says whether to sign in with a rather than with b: the one that is valid, of two the newer, of none the one
// that lasts longer.
func better(a, b *x509.Certificate, now time.Time) bool {
	valid := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	switch {
	case valid(a) != valid(b):
		return valid(a)
	case valid(a) && !a.NotBefore.Equal(b.NotBefore):
		return a.NotBefore.After(b.NotBefore)
	}
	return a.NotAfter.After(b.NotAfter)
}
