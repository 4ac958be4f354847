package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// ManagedIdentity is the flow of a machine that Azure knows: a virtual machine (IMDS) or one connected by Azure Arc.
// There is no secret at all. MSAL has this flow too, but it keeps a cache that cannot be told to fetch again, for
// the whole process, and passes over Retry-After.
type ManagedIdentity struct {
	Scopes   []string // one, ending in /.default
	ClientID string   // of a user-assigned identity; "" for the machine's own

	transport http.RoundTripper // of tests
	env       func(string) string
	arc       arc
}

const (
	imdsURL     = "http://169.254.169.254/metadata/identity/oauth2/token"
	imdsVersion = "2018-02-01"
)

const (
	fixIdentity = "1. Azure portal > Virtual machines > this machine > Security > Identity: switch System assigned on, or assign the user-assigned " +
		"identity and set oauth.client_id to its client id. 2. The identity needs the same Exchange steps as an app; `mailbearer setup-script` prints them."
	fixMachine = "1. This flow works on a virtual machine in Azure or on a server connected by Azure Arc only. " +
		"2. http://169.254.169.254 must be reachable from it, without a proxy. It is tried again meanwhile."
)

// Fetch implements Flow.
func (f ManagedIdentity) Fetch(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	x := exchange{local: true, vendor: Microsoft}
	client := x.client(&http.Client{Transport: f.roundTripper()})
	a, err := f.ask(ctx, client, &x)
	if err == nil && a.Access == "" {
		err = errNoToken
	}
	if err == nil {
		return a.token(time.Now()), nil
	}
	return Token{}, identityProblem(err, &x)
}

// roundTripper goes by no proxy: the address is this machine's own.
func (f ManagedIdentity) roundTripper() http.RoundTripper {
	if f.transport != nil {
		return f.transport
	}
	return &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
}

func (f ManagedIdentity) ask(ctx context.Context, client *http.Client, x *exchange) (oauthAnswer, error) {
	if endpoint := f.arcEndpoint(); endpoint != "" {
		return f.askArc(ctx, client, x, endpoint)
	}
	query := f.query(imdsVersion)
	if f.ClientID != "" {
		query.Set("client_id", f.ClientID)
	}
	req, err := metadataRequest(ctx, imdsURL, query)
	if err != nil {
		return oauthAnswer{}, err
	}
	return ask(client, req)
}

// query names the API by its address alone; a scope is that with /.default.
func (f ManagedIdentity) query(version string) url.Values {
	resource := strings.TrimSuffix(strings.Join(f.Scopes, " "), "/.default")
	return url.Values{"api-version": {version}, "resource": {resource}}
}

func metadataRequest(ctx context.Context, to string, query url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to+"?"+query.Encode(), nil)
	if err == nil {
		req.Header.Set("Metadata", "true")
	}
	return req, err
}

// identityProblem is explain with what is different here: nobody's secret is wrong, and 404 and 410 mean that the
// service is being updated.
func identityProblem(err error, x *exchange) *diagnose.Problem {
	var p *diagnose.Problem
	if errors.As(err, &p) {
		return p
	}
	p = explain(err, x)
	switch {
	case x.last == nil && p.Unreachable:
		p.Cause, p.Fix = "The machine's identity service cannot be reached", fixMachine
	case x.last != nil && (x.last.status == http.StatusNotFound || x.last.status == http.StatusGone):
		p.Unreachable, p.Class, p.Cause, p.Fix = true, diagnose.ClassTransient, "The machine's identity service is busy or being updated", Microsoft.fix(onWait)
	case !p.Unreachable:
		p.Cause, p.Fix = "The machine has no identity, or not this one", fixIdentity
	}
	return p
}

func (f ManagedIdentity) getenv(name string) string {
	if f.env != nil {
		return f.env(name)
	}
	return os.Getenv(name)
}

var errNotLocal = fmt.Errorf("the address is not this machine's own: %w", errNoTLS)
