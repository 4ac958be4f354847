package fake365

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// claims are the contents of a JSON Web Token, RFC 7519 §4.
type claims map[string]any

// text returns a claim that is a string, or "".
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// seconds returns a claim that is a NumericDate (RFC 7519 §2), and whether there is one.
func (c claims) seconds(name string) (int64, bool) {
	f, ok := c[name].(float64)
	return int64(f), ok
}

// signer signs the tokens that the tenant issues. Clients must treat access tokens as opaque; the signature is
// there so that one looks like itself, and is honest: the key is published where discovery says.
type signer struct {
	key *ecdsa.PrivateKey
	kid string
}

func newSigner() (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("fake365: make the token key: %w", err)
	}
	return &signer{key: key, kid: randomText(20)}, nil
}

// sign returns the compact form, RFC 7515 §3.1, signed with ES256 (RFC 7518 §3.4).
func (s *signer) sign(c claims) (string, error) {
	input := segment(claims{"typ": "JWT", "alg": "ES256", "kid": s.kid}) + "." + segment(c)
	digest := sha256.Sum256([]byte(input))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("fake365: sign a token: %w", err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	t.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// jwk returns the public key, RFC 7518 §6.2.1.
func (s *signer) jwk() (claims, error) {
	point, err := s.key.PublicKey.Bytes() // 0x04, then both coordinates of 32 bytes
	if err != nil {
		return nil, fmt.Errorf("fake365: publish the token key: %w", err)
	}
	return claims{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": s.kid,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}, nil
}

// segment encodes one part of a token. Claims hold strings, numbers and lists only, so they always encode.
func segment(c claims) string {
	b, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(b)
}

// jwt is a token somebody else made, taken apart but not yet believed.
type jwt struct {
	header, claims claims
	signed         string // what the signature is over
	signature      []byte
}

// parseJWT takes the compact form apart.
func parseJWT(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token has 3 parts, not %d", len(parts))
	}
	t := &jwt{signed: parts[0] + "." + parts[1]}
	if err := decodeSegment(parts[0], &t.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := decodeSegment(parts[1], &t.claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	var err error
	t.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return t, err
}

func decodeSegment(s string, into *claims) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
