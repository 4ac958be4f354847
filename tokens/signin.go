package tokens

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// SignInOptions say what a person is asked to sign in for.
type SignInOptions struct {
	Provider Provider
	Scopes   []string // of one API, and offline_access, openid, profile
	API      API      // what they are for: a sign-in that gives a token for another API is refused
	Hint     string   // the mailbox, for the page that asks who one is
	Account  string   // its name, for advice

	// Redirect is the loopback address that the app has registered, for BrowserSignIn; "http://localhost" when empty.
	// Without a port any free one is used (RFC 8252 §7.3).
	Redirect string
	// Pasted gives what a person copies from the address bar of a browser on another machine, where the last page of
	// the sign-in cannot be shown. May be nil.
	Pasted <-chan string
	// Mispasted is told why something pasted is not that address; the sign-in goes on. May be nil.
	Mispasted func(why string)
	// Troubled is told once that the sign-in service does not answer as it should; it is asked again. May be nil.
	Troubled func(*diagnose.Problem)
}

// SignedIn is a sign-in that just happened. Store.SignIn keeps it.
type SignedIn struct {
	User   string   // as the provider names the user; "" when it does not: nothing is guessed
	Name   string   // as people write it
	Tenant string   // tid; "" outside Entra
	Scopes []string // granted

	client  string
	vendor  Vendor
	refresh func() string // behind a function, where nothing that prints a struct looks
}

// IsMailbox says whether the person who signed in is the mailbox's own user. Another one may be right: a person who
// may send as a shared mailbox.
func (s SignedIn) IsMailbox(mailbox string) bool {
	return s.User != "" && strings.EqualFold(s.User, mailbox)
}

// signedIn makes a SignedIn of the answer to a sign-in, or says what is wrong with it.
func (o SignInOptions) signedIn(ctx context.Context, a oauthAnswer) (SignedIn, error) {
	access, readable := ParseClaims(a.Access)
	id, _ := ParseClaims(a.ID)
	in := SignedIn{
		User: first(id.User, access.User), Name: first(id.Name, access.Name), Tenant: first(id.Tenant, access.Tenant),
		Scopes: strings.Fields(a.Scope), client: o.Provider.ClientID, vendor: o.Provider.Vendor, refresh: func() string { return a.Refresh },
	}
	if len(in.Scopes) == 0 && readable {
		in.Scopes = access.Scopes
	}
	if len(in.Scopes) == 0 {
		in.Scopes = o.Scopes // RFC 6749 §5.1: left out when it is what was asked for
	}
	if p := o.Provider.foreign(ctx, in); p != nil {
		return in, p
	}
	if p := wrongAPI(o.API, access, true); p != nil {
		return in, p
	}
	missing := missingScopes(o.Scopes, in.Scopes)
	if len(missing) == 0 && o.API != AnyAPI && len(access.Scopes) > 0 { // the mail server goes by the token, not by the answer around it
		missing = missingScopes(o.Scopes, access.Scopes)
	}
	if len(missing) > 0 {
		return in, scopeMissing(missing, o.Provider.Vendor)
	}
	if a.Refresh == "" {
		return in, noRefreshToken(o.Scopes, o.Provider.Vendor)
	}
	return in, nil
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// googleEmail is Google's long name of email, which it gives back for the short one too.
const googleEmail = "https://www.googleapis.com/auth/userinfo.email"

// missingScopes are those of asked that were not granted. Entra names a permission with or without its API's
// address; /.default stands for whatever the registration has.
func missingScopes(asked, granted []string) (missing []string) {
	short := func(s string) string {
		return strings.ToLower(s[strings.LastIndexByte(strings.TrimRight(s, "/"), '/')+1:])
	}
	for _, scope := range asked {
		known := slices.Contains(signInScopes, scope) || scope == "email" || scope == googleEmail || strings.HasSuffix(scope, "/.default")
		if !known && !slices.ContainsFunc(granted, func(g string) bool { return short(g) == short(scope) }) {
			missing = append(missing, scope)
		}
	}
	return missing
}

func scopeMissing(missing []string, by Vendor) *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassNeedsAdmin,
		Cause: "The sign-in was not given the permission " + strings.Join(missing, ", "),
		Fix:   by.fix(onMissingScope),
	}
}

func noRefreshToken(scopes []string, by Vendor) *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassConfig,
		Cause: "The sign-in would end with its first token: the provider gave no refresh token",
		Said:  clean("scopes asked for: " + strings.Join(scopes, " ")),
		Fix:   by.fix(onNoRefreshToken),
	}
}

// consumers is the tenant of personal accounts.
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// foreign refuses a sign-in in another tenant than the configured one.
func (p Provider) foreign(ctx context.Context, in SignedIn) *diagnose.Problem {
	if p.entra == nil || in.Tenant == "" {
		return nil
	}
	want := p.entra.tenantID(ctx)
	if want == "" || strings.EqualFold(want, in.Tenant) {
		return nil
	}
	return &diagnose.Problem{
		Class: diagnose.ClassConfig,
		Cause: "The sign-in was made in another tenant than oauth.tenant names",
		Said:  clean("signed in as " + in.User + " in tenant " + in.Tenant + ", wanted " + want),
		Fix: "1. Sign in as a user of " + p.entra.Tenant + ", in a private browser window if the browser picks another account by itself. " +
			"2. Or correct oauth.tenant: Entra admin center > Overview > Tenant ID.",
	}
}

// tenantID is the id of the configured tenant, asked of Entra when it is given as a domain. "" means any, or that
// Entra does not say: then it watches over its tenants itself.
func (e Entra) tenantID(ctx context.Context) string {
	switch strings.ToLower(e.Tenant) {
	case "common", "organizations":
		return ""
	case "consumers":
		return consumers
	}
	if looksLikeID(e.Tenant) {
		return e.Tenant
	}
	u, err := url.Parse(e.issuer(ctx))
	if err != nil {
		return ""
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if looksLikeID(part) {
			return part
		}
	}
	return ""
}

// issuer is what Entra calls the tenant, OpenID Connect Discovery 1.0 §4; "" when it does not say.
func (e Entra) issuer(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.authority()+"/v2.0/.well-known/openid-configuration", nil)
	if err != nil {
		return ""
	}
	var x exchange
	resp, err := x.client(e.HTTP).Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var found struct {
		Issuer string `json:"issuer"`
	}
	if json.NewDecoder(resp.Body).Decode(&found) != nil {
		return ""
	}
	return found.Issuer
}

// looksLikeID says whether s has the form of a GUID.
func looksLikeID(s string) bool {
	for i, c := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return len(s) == 36
}

// signInLimit ends a sign-in that nobody finishes.
const signInLimit = 15 * time.Minute
