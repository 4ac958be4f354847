package fake365

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The values of "error" in RFC 6749 §5.2 that Entra uses; clients must go by these, not by the AADSTS numbers.
const (
	errInvalidRequest     = "invalid_request"
	errInvalidClient      = "invalid_client"
	errInvalidGrant       = "invalid_grant"
	errInvalidScope       = "invalid_scope"
	errInvalidResource    = "invalid_resource"
	errUnauthorizedClient = "unauthorized_client"
	errUnsupportedGrant   = "unsupported_grant_type"
	errPending            = "authorization_pending" // RFC 8628 §3.5
)

// refusal is an answer of Entra that is not a token.
type refusal struct {
	code   string // OAuth "error"
	aadsts int
	text   string
}

func refuse(code string, aadsts int, text string) *refusal { return &refusal{code, aadsts, text} }

// missing is Entra's refusal of a form without a field it needs.
func missing(field string) *refusal {
	return refuse(errInvalidRequest, 900144, fmt.Sprintf("The request body must contain the following parameter: '%s'.", field))
}

// status obeys RFC 6749 §5.2: 401 when the client could not be authenticated, else 400.
func (r *refusal) status() int {
	if r.code == errInvalidClient {
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// body is the JSON of a refusal, with the ids that Microsoft's support asks for.
func (r *refusal) body(correlation string, now time.Time) map[string]any {
	trace, stamp := newGUID(), now.UTC().Format("2006-01-02 15:04:05Z")
	return map[string]any{
		"error":             r.code,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", r.aadsts, r.text, trace, correlation, stamp),
		"error_codes":       []int{r.aadsts},
		"timestamp":         stamp,
		"trace_id":          trace,
		"correlation_id":    correlation,
		"error_uri":         fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", r.aadsts),
	}
}

// base is the server's URL as this client calls it, so that issuer and endpoints match the host it trusts.
func base(r *http.Request) string { return "https://" + r.Host }

// discovery answers OpenID Connect Discovery 1.0 §4.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	if s.httpFault(w, r, "discovery", r.URL.Path) {
		return
	}
	tenant := r.PathValue("tenant")
	if ref := s.checkTenant(tenant); ref != nil {
		s.refuseToken(w, r, ref)
		return
	}
	at := base(r) + "/" + tenant
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                base(r) + "/" + s.tenantID + "/v2.0",
		"authorization_endpoint":                at + "/oauth2/v2.0/authorize",
		"token_endpoint":                        at + "/oauth2/v2.0/token",
		"device_authorization_endpoint":         at + "/oauth2/v2.0/devicecode",
		"jwks_uri":                              at + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
	})
}

// keys publishes the key that tokens are signed with, RFC 7517 §5.
func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	key, err := s.entra.signer.jwk()
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []claims{key}})
}

// checkTenant knows the tenant by domain and by GUID, and the names that stand for the tenant of whoever signs in.
func (s *Server) checkTenant(tenant string) *refusal {
	known := []string{s.opt.Tenant, s.tenantID, "common", "organizations"}
	if slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, tenant) }) {
		return nil
	}
	return refuse(errInvalidRequest, 90002, fmt.Sprintf("Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", tenant))
}

// maxForm bounds the body of a token request; an assertion with a certificate chain has a few kilobytes.
const maxForm = 64 << 10

// token is the token endpoint, RFC 6749 §3.2.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	form, ref := s.readForm(w, r)
	s.record.count(func(c *Counters) { c.TokenRequests++ })
	if s.httpFault(w, r, "token", decoded(form)) {
		return
	}
	var answer map[string]any
	if ref == nil {
		answer, ref = s.grant(r, form)
	}
	if ref != nil {
		s.refuseToken(w, r, ref)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 §5.1
	writeJSON(w, http.StatusOK, answer)
}

// readForm reads the form of a POST, within bounds.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	if r.Method != http.MethodPost {
		return nil, refuse(errInvalidRequest, 900561, fmt.Sprintf("The endpoint only accepts POST requests. Received a %s request.", r.Method))
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, refuse(errInvalidRequest, 9002313, "Invalid request. Request is malformed or invalid.")
	}
	basicClient(r)
	return r.PostForm, s.checkTenant(r.PathValue("tenant"))
}

// basicClient moves client credentials from the header into the form, RFC 6749 §2.3.1.
func basicClient(r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return
	}
	for field, value := range map[string]string{"client_id": id, "client_secret": secret} {
		if plain, err := url.QueryUnescape(value); err == nil {
			r.PostForm.Set(field, plain)
		}
	}
}

// decoded writes the form the way a person would, for Fault.Match.
func decoded(form url.Values) string {
	var pairs []string
	for name, values := range form {
		pairs = append(pairs, name+"="+strings.Join(values, " "))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// refuseToken answers with a refusal. The client's own request id becomes the correlation id, as with Entra.
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, ref *refusal) {
	if ref.code != errPending { // which a client is told every few seconds, and nothing is wrong
		s.record.count(func(c *Counters) { c.TokensRefused++ })
		s.tell(Event{Kind: EventTokenRefused, Remote: r.RemoteAddr, Detail: fmt.Sprintf("%s, AADSTS%d", ref.code, ref.aadsts)})
	}
	correlation := orElse(r.Header.Get("client-request-id"), newGUID())
	writeJSON(w, ref.status(), ref.body(correlation, time.Now()))
}

// writeJSON answers a request; a client that has gone away is not told.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b)
}
