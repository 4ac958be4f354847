package fake365

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// The audiences of access tokens. Exchange Online takes both of its names; which one a token carries follows from
// the scope that was asked for.
const (
	outlook365 = "https://outlook.office365.com" // app-only
	outlookCom = "https://outlook.office.com"    // delegated
	graphHost  = "https://graph.microsoft.com"
)

// permissions are what the app was granted, by audience: the role (app-only) and the scope (delegated).
var permissions = map[string]struct{ role, scope string }{
	outlook365: {"SMTP.SendAsApp", "SMTP.Send"},
	outlookCom: {"SMTP.SendAsApp", "SMTP.Send"},
	graphHost:  {"Mail.Send", "Mail.Send"},
}

// access is what one access token allows.
type access struct {
	audience string
	user     string // "" when app-only
	grant    string // the role or the scope; "" without consent
	expires  time.Time
}

// allows says whether the token is for one of the audiences and carries the permission.
func (a *access) allows(permission string, audiences ...string) bool {
	return slices.Contains(audiences, a.audience) && a.grant == permission
}

// directory is what Entra knows: the app's credentials, and the tokens that are good.
type directory struct {
	certificates []registered
	signer       *signer
	userOID      string // object id of the person who signs in
	appOID       string // object id of the app's service principal

	mu      sync.Mutex
	access  map[string]access    // good access tokens
	refresh map[string]bool      // refresh tokens; false: used up
	seen    map[string]bool      // jti of assertions
	devices map[string]*device   // by device code
	codes   map[string]pkceGrant // by authorization code
	secrets []Secret             // whatever of it was handed out
}

// Secret is something that nobody but the app may see.
type Secret struct{ What, Value string }

// Secrets returns the app's secret and all tokens and codes that were handed out so far, good or not, for tests that
// look for them where they must not be.
func (s *Server) Secrets() []Secret {
	s.entra.mu.Lock()
	defer s.entra.mu.Unlock()
	return append([]Secret{{"client secret", s.opt.ClientSecret}}, s.entra.secrets...)
}

func newDirectory(o Options) (*directory, error) {
	d := &directory{
		userOID: newGUID(), appOID: newGUID(),
		access: map[string]access{}, refresh: map[string]bool{}, seen: map[string]bool{},
		devices: map[string]*device{}, codes: map[string]pkceGrant{},
	}
	if o.RefreshToken != "" {
		d.refresh[o.RefreshToken] = true
	}
	var err error
	if d.signer, err = newSigner(); err != nil {
		return nil, err
	}
	d.certificates, err = parseCertificates(o.ClientCertificate)
	return d, err
}

// lookup returns what an access token allows, or nil when it is unknown, revoked or expired.
func (d *directory) lookup(token string) *access {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.access[token]
	if !ok || time.Now().After(a.expires) {
		return nil
	}
	return &a
}

// newRefresh makes a refresh token.
func (d *directory) newRefresh() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	token := "1." + randomText(300) // about as long as a real one
	d.refresh[token] = true
	d.secrets = append(d.secrets, Secret{"refresh token", token})
	return token
}

// spend uses a refresh token up. Entra itself leaves the old one good; the fake revokes it unless told to keep it, so
// that a client that loses the new one is found out.
func (d *directory) spend(token string, keep bool) *refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	good, known := d.refresh[token]
	if !known {
		return refuse(errInvalidGrant, 70000, "The provided value for the input parameter 'refresh_token' or 'assertion' is not valid.")
	}
	if !good {
		return refuse(errInvalidGrant, 70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	}
	d.refresh[token] = keep
	return nil
}

// ExpireTokens makes every access token issued so far worthless; new ones are good.
func (s *Server) ExpireTokens() {
	s.entra.mu.Lock()
	defer s.entra.mu.Unlock()
	clear(s.entra.access)
}

// SignIn returns a new refresh token, as if the person had just signed in.
func (s *Server) SignIn() string { return s.entra.newRefresh() }

// RevokeSignIns makes every refresh token worthless, as an administrator's "revoke sessions" does.
func (s *Server) RevokeSignIns() {
	s.entra.mu.Lock()
	defer s.entra.mu.Unlock()
	for token := range s.entra.refresh {
		s.entra.refresh[token] = false
	}
}

// resourceOf returns the audience that a scope names, "" for the scopes of OpenID Connect, which name none.
func resourceOf(scope string) (audience, permission string) {
	if slices.Contains([]string{"openid", "offline_access", "profile", "email"}, scope) {
		return "", ""
	}
	i := strings.LastIndex(scope, "/")
	if i < 0 || !strings.Contains(scope, "://") {
		return graphHost, scope // a scope without a resource is Graph's
	}
	return strings.TrimRight(scope[:i], "/"), scope[i+1:]
}
