package fake365

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// registered is a certificate that an administrator uploaded to the app.
type registered struct {
	cert *x509.Certificate
	key  *rsa.PublicKey
}

// parseCertificates reads the PEM blocks of Options.ClientCertificate; private keys beside them are not looked at.
func parseCertificates(bundle []byte) ([]registered, error) {
	var all []registered
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("fake365: the app's certificate: %w", err)
		}
		key, ok := cert.PublicKey.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("fake365: the app's certificate has a %T, Entra signs in with RSA only", cert.PublicKey)
		}
		all = append(all, registered{cert, key})
	}
	if len(bundle) > 0 && len(all) == 0 {
		return nil, fmt.Errorf("fake365: Options.ClientCertificate holds no PEM certificate")
	}
	return all, nil
}

// clockSkew is how far Entra lets the clocks of its clients be wrong.
const clockSkew = 5 * time.Minute

// checkAssertion verifies a private_key_jwt, RFC 7523 §3, as Entra does: nil, or the refusal.
func (d *directory) checkAssertion(assertion, clientID string, audiences []string) *refusal {
	t, err := parseJWT(assertion)
	if err != nil {
		return refuse(errInvalidRequest, 50027, "JWT token is invalid or malformed.")
	}
	if r := d.checkSignature(t); r != nil {
		return r
	}
	if t.claims.text("iss") != clientID || t.claims.text("sub") != clientID {
		return refuse(errInvalidClient, 700021, "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .")
	}
	if !slices.Contains(audiences, t.claims.text("aud")) {
		return refuse(errInvalidClient, 700023, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .")
	}
	if r := checkTimes(t.claims, time.Now()); r != nil {
		return r
	}
	return d.checkReplay(t.claims)
}

// checkSignature finds the registered certificate by its thumbprint, RFC 7515 §4.1.7 and §4.1.8.
func (d *directory) checkSignature(t *jwt) *refusal {
	sha256Print, sha1Print := thumbprint(t.header.text("x5t#S256")), thumbprint(t.header.text("x5t"))
	i := slices.IndexFunc(d.certificates, func(r registered) bool {
		long, short := sha256.Sum256(r.cert.Raw), sha1.Sum(r.cert.Raw)
		return sha256Print == string(long[:]) || sha256Print == "" && sha1Print == string(short[:])
	})
	if i < 0 {
		return refuse(errInvalidClient, 700027, fmt.Sprintf("Client assertion contains an invalid signature. [Reason - The key was not found., Thumbprint of key used by client: '%X']", orElse(sha256Print, sha1Print)))
	}
	if !verifies(t, d.certificates[i].key) {
		return refuse(errInvalidClient, 700027, "Client assertion contains an invalid signature. [Reason - The provided signature value did not match the expected signature value.]")
	}
	if now := time.Now(); now.Before(d.certificates[i].cert.NotBefore) || now.After(d.certificates[i].cert.NotAfter) {
		return refuse(errInvalidClient, 1000502, "The client certificate is not within its valid time range. Ensure that the certificate is valid.")
	}
	return nil
}

// verifies checks PS256 (RFC 7518 §3.5), what Microsoft asks for, and RS256 (§3.3), what older clients send.
func verifies(t *jwt, key *rsa.PublicKey) bool {
	digest := sha256.Sum256([]byte(t.signed))
	switch t.header.text("alg") {
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], t.signature, nil) == nil
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature) == nil
	}
	return false
}

// thumbprint decodes base64 in either alphabet, padded or not: MSAL for Go pads and uses the standard one, against
// RFC 7515 §4.1.8, and Entra takes it.
func thumbprint(s string) string {
	b, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s))
	if err != nil {
		return ""
	}
	return string(b)
}

// checkTimes obeys RFC 7519 §4.1.4 and §4.1.5, with the clock skew both allow.
func checkTimes(c claims, now time.Time) *refusal {
	exp, hasEnd := c.seconds("exp")
	nbf, hasStart := c.seconds("nbf")
	if !hasEnd {
		return refuse(errInvalidRequest, 50027, "JWT token is invalid or malformed.")
	}
	end, start := time.Unix(exp, 0), time.Unix(nbf, 0)
	if now.After(end.Add(clockSkew)) || hasStart && now.Before(start.Add(-clockSkew)) {
		return refuse(errInvalidClient, 700024, fmt.Sprintf("Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s.",
			entraTime(now), entraTime(start), entraTime(end)))
	}
	return nil
}

// checkReplay lets an assertion be used once, RFC 7523 §3 point 7. The words are ours: Entra's have not been seen.
func (d *directory) checkReplay(c claims) *refusal {
	jti := c.text("jti")
	d.mu.Lock()
	defer d.mu.Unlock()
	if jti == "" || d.seen[jti] {
		return refuse(errInvalidClient, 50012, "Authentication failed for one of the following reasons: The client assertion has no jti, or was used before.")
	}
	d.seen[jti] = true
	return nil
}

// entraTime is how Entra writes times in its texts.
func entraTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
