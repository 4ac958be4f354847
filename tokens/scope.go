package tokens

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// signInScopes are about a person who signs in (OpenID Connect Core §5.4, §11). MSAL asks for them even where the app
// signs in for itself and there is no person.
var signInScopes = []string{"openid", "offline_access", "profile"}

// maxForm is far above any token request.
const maxForm = 1 << 20

// plainScope takes the scopes of a person's sign-in off a client_credentials request (RFC 6749 §4.4): Entra passes
// over them, stricter servers refuse the request.
func plainScope(req *http.Request) (*http.Request, error) {
	if req.Method != http.MethodPost || req.Body == nil {
		return req, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxForm))
	req.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("the token request cannot be read: %w", err)
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("grant_type") == "client_credentials" {
		scopes := slices.DeleteFunc(strings.Fields(form.Get("scope")), func(s string) bool { return slices.Contains(signInScopes, s) })
		form.Del("scope")
		body = []byte(withScopes(form, scopes).Encode())
	}
	clean := req.Clone(req.Context()) // a RoundTripper may not change the request it is given
	clean.Body, clean.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	clean.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return clean, nil
}

// withScopes adds scopes to a form. None is another request than an empty one (RFC 6749 §3.3): the provider takes its
// default then, and refuses what is empty.
func withScopes(form url.Values, scopes []string) url.Values {
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return form
}
