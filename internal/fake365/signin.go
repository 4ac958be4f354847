package fake365

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// device is a sign-in by device code, RFC 8628, that waits for its person.
type device struct {
	userCode string
	scope    string
	expires  time.Time
	decision decision
}

type decision int

const (
	pending decision = iota
	approved
	declined
)

// deviceLife and deviceInterval are what Entra answers.
const (
	deviceLife     = 15 * time.Minute
	deviceInterval = 5 * time.Second
)

// deviceCode is the device authorization endpoint, RFC 8628 §3.2.
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	form, ref := s.readForm(w, r)
	if s.httpFault(w, r, "devicecode", decoded(form)) {
		return
	}
	if ref == nil {
		_, ref = s.delegated(form.Get("scope"))
	}
	if ref != nil {
		s.refuseToken(w, r, ref)
		return
	}
	code, d := randomText(100), &device{userCode: userCode(), scope: form.Get("scope"), expires: time.Now().Add(deviceLife)}
	s.entra.mu.Lock()
	s.entra.devices[code] = d
	s.entra.secrets = append(s.entra.secrets, Secret{"device code", code})
	s.entra.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_uri": base(r) + "/devicelogin",
		"expires_in": int(deviceLife / time.Second), "interval": int(s.opt.DeviceInterval / time.Second),
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s/devicelogin and enter the code %s to authenticate.", base(r), d.userCode),
	})
}

// userCode returns nine letters, without those that read like digits.
func userCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	b := randomBytes(9)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

// Approve is the person who enters the user code and consents; it says whether the code was waiting for that.
func (s *Server) Approve(userCode string) bool { return s.entra.decide(userCode, approved) }

// Decline is the person who enters the user code and does not consent.
func (s *Server) Decline(userCode string) bool { return s.entra.decide(userCode, declined) }

func (d *directory) decide(userCode string, what decision) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dev := range d.devices {
		if dev.userCode == userCode && dev.decision == pending {
			dev.decision = what
			return true
		}
	}
	return false
}

// grantDevice answers a poll, RFC 8628 §3.5.
func (s *Server) grantDevice(r *http.Request, form url.Values) (map[string]any, *refusal) {
	if ref := s.checkClient(r, form); ref != nil {
		return nil, ref
	}
	scope, ref := s.entra.poll(form.Get("device_code"), time.Now())
	if ref != nil {
		return nil, ref
	}
	return s.issueDelegated(r, form, scope)
}

// poll returns the scopes of a sign-in that was approved, and forgets it.
func (d *directory) poll(code string, now time.Time) (scope string, ref *refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dev, ok := d.devices[code]
	switch {
	case !ok:
		return "", refuse("bad_verification_code", 70018, "Invalid verification code due to User typing in wrong user code for device code flow.")
	case now.After(dev.expires):
		return "", refuse("expired_token", 70020, "The provided value for the input parameter 'device_code' is not valid. This device code has expired.")
	case dev.decision == pending:
		return "", refuse(errPending, 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(d.devices, code)
	if dev.decision == declined {
		return "", refuse("authorization_declined", 70017, "The end user denied the authorization request.")
	}
	return dev.scope, nil
}

// pkceGrant is an authorization code that waits to be redeemed, RFC 7636 §4.4.
type pkceGrant struct {
	scope, redirect, challenge string
}

// authorize is the authorization endpoint, RFC 6749 §4.1.1. The person consents at once: what is under test is the
// client, and a demo has nobody to ask.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if s.httpFault(w, r, "authorize", decoded(q)) {
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Host == "" || s.checkTenant(r.PathValue("tenant")) != nil || q.Get("client_id") != s.opt.ClientID {
		http.Error(w, "AADSTS50011: the tenant, the application or the redirect URI of the request is not known.", http.StatusBadRequest)
		return
	}
	answer := back.Query()
	answer.Set("state", q.Get("state"))
	if _, ref := s.delegated(q.Get("scope")); ref != nil {
		answer.Set("error", ref.code)
		answer.Set("error_description", fmt.Sprintf("AADSTS%d: %s", ref.aadsts, ref.text))
	} else {
		answer.Set("code", s.entra.newCode(q))
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (d *directory) newCode(q url.Values) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	code := "1." + randomText(60)
	d.secrets = append(d.secrets, Secret{"authorization code", code})
	d.codes[code] = pkceGrant{scope: q.Get("scope"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge")}
	return code
}

// grantCode redeems an authorization code, once.
func (s *Server) grantCode(r *http.Request, form url.Values) (map[string]any, *refusal) {
	if ref := s.checkClient(r, form); ref != nil {
		return nil, ref
	}
	s.entra.mu.Lock()
	g, ok := s.entra.codes[form.Get("code")]
	delete(s.entra.codes, form.Get("code"))
	s.entra.mu.Unlock()
	switch {
	case !ok:
		return nil, refuse(errInvalidGrant, 70000, "The provided authorization code is not valid or was redeemed before.")
	case form.Get("redirect_uri") != g.redirect:
		return nil, refuse(errInvalidClient, 500112, "The reply address does not match the reply address provided when requesting Authorization code.")
	case !g.proves(form.Get("code_verifier")):
		return nil, refuse(errInvalidGrant, 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return s.issueDelegated(r, form, g.scope)
}

// proves compares the verifier with the challenge, method S256, RFC 7636 §4.6.
func (g pkceGrant) proves(verifier string) bool {
	if g.challenge == "" {
		return true
	}
	digest := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(digest[:])), []byte(g.challenge)) == 1
}
