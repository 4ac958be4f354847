package fake365

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The grant types that the token endpoint knows.
const (
	grantClientCredentials = "client_credentials"                           // RFC 6749 §4.4
	grantRefreshToken      = "refresh_token"                                // RFC 6749 §6
	grantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628 §3.4
	grantAuthorizationCode = "authorization_code"                           // RFC 6749 §4.1.3
	assertionType          = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// grant turns a form into an answer with tokens, or into a refusal.
func (s *Server) grant(r *http.Request, form url.Values) (map[string]any, *refusal) {
	for _, field := range []string{"client_id", "grant_type"} {
		if form.Get(field) == "" {
			return nil, missing(field)
		}
	}
	if !strings.EqualFold(form.Get("client_id"), s.opt.ClientID) {
		return nil, refuse(errUnauthorizedClient, 700016, fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", form.Get("client_id"), s.opt.Tenant))
	}
	switch form.Get("grant_type") {
	case grantClientCredentials:
		return s.grantApp(r, form)
	case grantRefreshToken:
		return s.grantRefresh(r, form)
	case grantDeviceCode:
		return s.grantDevice(r, form)
	case grantAuthorizationCode:
		return s.grantCode(r, form)
	}
	return nil, refuse(errUnsupportedGrant, 70003, fmt.Sprintf("The app requested an unsupported grant type '%s'.", form.Get("grant_type")))
}

// checkClient authenticates the app, RFC 6749 §2.3.1 and RFC 7523 §2.2. Without credentials it is a public client,
// which only app-only tokens need not be.
func (s *Server) checkClient(r *http.Request, form url.Values) *refusal {
	switch {
	case form.Get("client_assertion") != "":
		if form.Get("client_assertion_type") != assertionType {
			return missing("client_assertion_type")
		}
		return s.entra.checkAssertion(form.Get("client_assertion"), form.Get("client_id"), s.audiences(r))
	case form.Get("client_secret") != "":
		if subtle.ConstantTimeCompare([]byte(form.Get("client_secret")), []byte(s.opt.ClientSecret)) != 1 {
			return refuse(errInvalidClient, 7000215, fmt.Sprintf("Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", s.opt.ClientID))
		}
	case form.Get("grant_type") == grantClientCredentials:
		return refuse(errInvalidClient, 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	return nil
}

// audiences are the names of the token endpoint that an assertion may be addressed to.
func (s *Server) audiences(r *http.Request) []string {
	path := "/oauth2/v2.0/token"
	return []string{base(r) + "/" + r.PathValue("tenant") + path, base(r) + "/" + s.tenantID + path}
}

// grantApp issues an app-only token.
func (s *Server) grantApp(r *http.Request, form url.Values) (map[string]any, *refusal) {
	if t := r.PathValue("tenant"); t == "common" || t == "organizations" {
		return nil, refuse(errInvalidRequest, 50059, "No tenant-identifying information found in either the request or implied by any provided credentials.")
	}
	if ref := s.checkClient(r, form); ref != nil {
		return nil, ref
	}
	audience, _, ref := checkScope(form)
	if ref != nil {
		return nil, ref
	}
	if !strings.HasSuffix(appScope(form), "/.default") {
		return nil, refuse(errInvalidScope, 1002012, fmt.Sprintf("The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", form.Get("scope")))
	}
	a := access{audience: audience, grant: permissions[audience].role}
	if s.opt.NoConsent {
		a.grant = ""
	}
	return s.issue(r, a)
}

// appScope is the one scope of the form that names a resource.
func appScope(form url.Values) string {
	for _, scope := range strings.Fields(form.Get("scope")) {
		if audience, _ := resourceOf(scope); audience != "" {
			return scope
		}
	}
	return ""
}

// checkScope reads the scopes: exactly one resource, and one that the tenant has.
func checkScope(form url.Values) (audience, permission string, ref *refusal) {
	if form.Get("scope") == "" {
		return "", "", missing("scope")
	}
	for _, scope := range strings.Fields(form.Get("scope")) {
		a, p := resourceOf(scope)
		switch {
		case a == "":
			continue
		case audience != "" && a != audience:
			return "", "", refuse(errInvalidScope, 700022, "The provided value for the input parameter scope is not valid because it contains more than one resource.")
		}
		audience, permission = a, p
	}
	if _, ok := permissions[audience]; !ok {
		return "", "", refuse(errInvalidResource, 500011, fmt.Sprintf("The resource principal named %s was not found in the tenant named Contoso. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", audience))
	}
	return audience, permission, nil
}

// grantRefresh issues a delegated token and a new refresh token, and revokes the old one.
func (s *Server) grantRefresh(r *http.Request, form url.Values) (map[string]any, *refusal) {
	if form.Get("refresh_token") == "" {
		return nil, missing("refresh_token")
	}
	if ref := s.checkClient(r, form); ref != nil {
		return nil, ref
	}
	if _, ref := s.delegated(form.Get("scope")); ref != nil {
		return nil, ref // before the token is spent, so that a mistake in the scope costs nothing
	}
	if ref := s.entra.spend(form.Get("refresh_token"), s.opt.KeepRefreshTokens); ref != nil {
		return nil, ref
	}
	s.record.count(func(c *Counters) { c.RefreshRotations++ })
	return s.issueDelegated(r, form, form.Get("scope"))
}

// delegated returns what a person's token allows under these scopes.
func (s *Server) delegated(scopes string) (access, *refusal) {
	audience, permission, ref := checkScope(url.Values{"scope": {scopes}})
	if ref != nil {
		return access{}, ref
	}
	granted := permissions[audience].scope
	if permission != granted && permission != ".default" {
		return access{}, refuse(errInvalidGrant, 65001, fmt.Sprintf("The user or administrator has not consented to use the application with ID '%s' named 'SMTP relay'. Send an interactive authorization request for this user and resource.", s.opt.ClientID))
	}
	return access{audience: audience, grant: granted, user: s.opt.User}, nil
}

// issueDelegated answers with everything that a person's sign-in yields.
func (s *Server) issueDelegated(r *http.Request, form url.Values, scopes string) (map[string]any, *refusal) {
	a, ref := s.delegated(scopes)
	if ref != nil {
		return nil, ref
	}
	answer, ref := s.issue(r, a)
	if ref != nil {
		return nil, ref
	}
	answer["scope"] = a.audience + "/" + a.grant
	if form.Get("grant_type") == grantRefreshToken || strings.Contains(scopes, "offline_access") {
		answer["refresh_token"] = s.entra.newRefresh()
	}
	if strings.Contains(scopes, "openid") {
		answer["id_token"] = s.idToken(r)
	}
	if form.Get("client_info") != "" {
		info, _ := json.Marshal(map[string]string{"uid": s.entra.userOID, "utid": s.tenantID})
		answer["client_info"] = base64.RawURLEncoding.EncodeToString(info)
	}
	return answer, nil
}

// issue signs an access token, remembers it, and answers with it.
func (s *Server) issue(r *http.Request, a access) (map[string]any, *refusal) {
	now := time.Now()
	a.expires = now.Add(s.opt.TokenLifetime)
	token, err := s.entra.signer.sign(s.accessClaims(a, now))
	if err != nil {
		return nil, refuse("server_error", 90024, "RequestBudgetExceededError - A transient error has occurred. Please try again.")
	}
	s.entra.mu.Lock()
	s.entra.access[token] = a
	s.entra.secrets = append(s.entra.secrets, Secret{"access token", token})
	s.entra.mu.Unlock()
	s.record.count(func(c *Counters) { c.TokensIssued++ })
	s.tell(Event{Kind: EventToken, Remote: r.RemoteAddr, Mailbox: a.user, Detail: fmt.Sprintf("access token for %s, good for %v", a.audience, s.opt.TokenLifetime)})
	seconds := max(int(s.opt.TokenLifetime/time.Second), 1)
	answer := map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
	if s.opt.RefreshIn > 0 {
		answer["refresh_in"] = int(s.opt.RefreshIn / time.Second)
	}
	return answer, nil
}

// accessClaims are those of a version 1.0 access token, as Exchange and Graph get. The random ones make it as long
// as a real one: more than one command line of RFC 5321 §4.5.3.1.4 once it is base64.
func (s *Server) accessClaims(a access, now time.Time) claims {
	c := claims{
		"aud": a.audience, "iss": "https://sts.windows.net/" + s.tenantID + "/",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": a.expires.Unix(),
		"appid": s.opt.ClientID, "app_displayname": "SMTP relay", "tid": s.tenantID, "ver": "1.0",
		"idp": "https://sts.windows.net/" + s.tenantID + "/", "uti": randomText(16),
		"aio": randomText(60), "rh": "1." + randomText(80), "xms_ftd": randomText(60), "xms_idrel": "7 16",
		"wids": []string{newGUID()},
	}
	if a.user == "" {
		c["oid"], c["sub"], c["appidacr"], c["idtyp"] = s.entra.appOID, s.entra.appOID, "1", "app"
		if a.grant != "" {
			c["roles"] = []string{a.grant}
		}
		return c
	}
	c["oid"], c["sub"], c["appidacr"], c["idtyp"] = s.entra.userOID, s.entra.userOID, "0", "user"
	c["scp"], c["upn"], c["unique_name"], c["name"] = a.grant, a.user, a.user, a.user
	return c
}

// idToken names who signed in, OpenID Connect Core 1.0 §2.
func (s *Server) idToken(r *http.Request) string {
	now := time.Now()
	token, _ := s.entra.signer.sign(claims{
		"iss": base(r) + "/" + s.tenantID + "/v2.0", "aud": s.opt.ClientID, "sub": s.entra.userOID,
		"oid": s.entra.userOID, "tid": s.tenantID, "preferred_username": s.opt.User, "name": s.opt.User,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "ver": "2.0",
	})
	return token
}
