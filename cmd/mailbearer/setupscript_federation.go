package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
)

// exchangeAudience is what Entra expects in a federated token, unless the credential says otherwise.
const exchangeAudience = "api://AzureADTokenExchange"

// federation reads who issues the tokens in token_file, and to whom: Entra has to be told both. The token itself goes
// nowhere. A file that is not there, or is no JWT, leaves a step to be done by hand: scripts are also made elsewhere.
func (s *script) federation() {
	text, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return
	}
	var claims struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"` // one, or a list
	}
	parts := strings.Split(strings.TrimSpace(string(text)), ".")
	if len(parts) != 3 {
		return
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(body, &claims) != nil || claims.Issuer == "" || claims.Subject == "" {
		return
	}
	s.Issuer, s.Subject, s.Audience = claims.Issuer, claims.Subject, audienceOf(claims.Audience)
}

// audienceOf chooses the one that the credential is to name: Entra wants exactly one.
func audienceOf(aud json.RawMessage) string {
	var one string
	var list []string
	if json.Unmarshal(aud, &one) == nil && one != "" {
		return one
	}
	if json.Unmarshal(aud, &list) != nil || len(list) == 0 || slices.Contains(list, exchangeAudience) {
		return exchangeAudience
	}
	return list[0]
}

// Federation is the credential's name in Entra: one for each issuer and subject.
func (s *script) Federation() string {
	sum := sha256.Sum256([]byte(s.Issuer + "\x00" + s.Subject + "\x00" + s.Audience))
	return "mailbearer-" + hex.EncodeToString(sum[:6])
}

// FederationJSON is what the Azure CLI is given.
func (s *script) FederationJSON() (string, error) {
	text, err := json.Marshal(map[string]any{"name": s.Federation(), "issuer": s.Issuer, "subject": s.Subject, "audiences": []string{s.Audience}})
	return string(text), err
}

func (s *script) federateByHand() []string {
	return []string{"the federated credential, since issuer and subject could not be read from " + s.TokenFile + " where this script was made. " +
		"Make the script again where that file is (mailbearer setup-script, on the relay's machine), which then does it; or in Entra, App registrations > " + s.AppName +
		" > Certificates & secrets > Federated credentials > Add credential > Other issuer: Issuer and Subject are iss and sub of the token, Audience is its aud (" +
		exchangeAudience + ")."}
}
