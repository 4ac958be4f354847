package tokens

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"
)

// assertionType is the value of client_assertion_type, RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is what Microsoft's page recommends at most.
const assertionLife = 10 * time.Minute

// assert adds the app's signed proof (private_key_jwt) to a form, if it has a certificate.
func (p Provider) assert(form url.Values) error {
	if p.Certificate == nil {
		return nil
	}
	certs, key, err := p.Certificate()
	if err != nil {
		return misconfigured("The app's certificate cannot be used", p.Vendor.fix(onCertificate), err)
	}
	now := time.Now()
	if old := outOfDate(certs[0], now, p.Vendor); old != nil {
		return old
	}
	audience := p.Issuer
	if audience == "" {
		audience = p.TokenURL
	}
	signed, err := signPS256(certs[0], key, assertionClaims(p.ClientID, audience, now))
	if err != nil {
		return misconfigured("The app's certificate cannot be used", p.Vendor.fix(onCertificate), err)
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", signed)
	return nil
}

// assertionClaims are those of RFC 7523 §3.
func assertionClaims(client, audience string, now time.Time) map[string]any {
	return map[string]any{
		"aud": audience, "iss": client, "sub": client, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
}

// signPS256 signs claims as Entra wants it: PS256 (RFC 7518 §3.5), the certificate named by x5t#S256 (RFC 7515 §4.1.8).
func signPS256(cert *x509.Certificate, key *rsa.PrivateKey, claims map[string]any) (string, error) {
	print := sha256.Sum256(cert.Raw)
	header := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(print[:])}
	var input string
	for _, part := range []map[string]any{header, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		if input != "" {
			input += "."
		}
		input += base64.RawURLEncoding.EncodeToString(b)
	}
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
