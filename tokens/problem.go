package tokens

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"

	"github.com/mailbearer/mailbearer/diagnose"
)

// verdicts is the table from the OAuth `error` (RFC 6749 §5.2, RFC 8628 §3.5, OpenID Connect, Entra) to what it
// means for an account. Microsoft asks clients to follow this field and nothing else. What is not in it and comes
// with a 4xx is configuration.
var verdicts = map[string]verdict{
	"invalid_client":          {class: diagnose.ClassConfig, cause: "The sign-in service does not accept this app's secret or certificate", fix: onCredential},
	"unauthorized_client":     {class: diagnose.ClassConfig, cause: "The sign-in service does not know this app, or does not let it sign in this way", fix: onApp},
	"invalid_scope":           {class: diagnose.ClassConfig, cause: "The requested permission (oauth.scopes) is not valid", fix: onScope},
	"invalid_resource":        {class: diagnose.ClassConfig, cause: "The API the token is requested for is not known", fix: onScope},
	"invalid_target":          {class: diagnose.ClassConfig, cause: "The API the token is requested for is not known", fix: onScope},
	"invalid_request":         {class: diagnose.ClassConfig, cause: "The sign-in service does not understand the request", fix: onApp},
	"invalid_tenant":          {class: diagnose.ClassConfig, cause: "The sign-in service does not know the tenant", fix: onApp},
	"unsupported_grant_type":  {class: diagnose.ClassConfig, cause: "The sign-in service does not offer this kind of sign-in", fix: onApp},
	"access_denied":           {class: diagnose.ClassNeedsAdmin, cause: "A policy of the organization refuses the sign-in", fix: onPolicy},
	"invalid_grant":           {class: diagnose.ClassNeedsSignIn, cause: "The sign-in is no longer valid", fix: onSignIn},
	"interaction_required":    {class: diagnose.ClassNeedsSignIn, cause: "A person has to sign in again", fix: onSignIn},
	"login_required":          {class: diagnose.ClassNeedsSignIn, cause: "A person has to sign in again", fix: onSignIn},
	"consent_required":        {class: diagnose.ClassNeedsSignIn, cause: "Consent to the app is missing", fix: onSignIn},
	"authorization_declined":  {class: diagnose.ClassNeedsSignIn, cause: "The person cancelled the sign-in", fix: onDecline},
	"expired_token":           {class: diagnose.ClassNeedsSignIn, cause: "The code has expired", fix: onDecline},
	"bad_verification_code":   {class: diagnose.ClassNeedsSignIn, cause: "The sign-in service does not know the code", fix: onDecline},
	"temporarily_unavailable": {unreachable: true, class: diagnose.ClassTransient, cause: "The sign-in service is busy or down", fix: onWait},
	"server_error":            {unreachable: true, class: diagnose.ClassTransient, cause: "The sign-in service has a fault of its own", fix: onWait},
	"slow_down":               {unreachable: true, class: diagnose.ClassThrottled, cause: "Too many token requests", fix: onWait},
}

// verdict is a row of the table.
type verdict struct {
	unreachable bool
	class       string
	cause       string
	fix         topic
}

func (v verdict) problem(by Vendor) diagnose.Problem {
	return diagnose.Problem{Unreachable: v.unreachable, Class: v.class, Cause: v.cause, Fix: by.fix(v.fix)}
}

// What the HTTP status means where the table has no row.
var (
	verdictThrottled = verdict{true, diagnose.ClassThrottled, "Too many token requests", onWait}
	verdictFault     = verdict{true, diagnose.ClassTransient, "The sign-in service has a fault of its own", onWait}
	verdictRefused   = verdict{false, diagnose.ClassConfig, "The sign-in service refuses the request", onApp}
	verdictNonsense  = verdict{true, diagnose.ClassTransient, "The sign-in service's answer makes no sense", onPortal}
)

// explain turns what a fetch failed with into a Problem. x has what really happened on the wire; err is looked at
// for its type only, since some of MSAL's errors contain the whole answer, tokens included. secrets are those that
// were sent.
func explain(err error, x *exchange, secrets ...string) *diagnose.Problem {
	switch {
	case x.broken != nil:
		return unreachable(x.broken, x.vendor, secrets)
	case x.last != nil:
		return refused(err, x.last, x.vendor, secrets)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unreachable(err, x.vendor, secrets)
	}
	return &diagnose.Problem{
		Class: diagnose.ClassConfig,
		Said:  clean(err.Error(), secrets...),
		Cause: "The sign-in cannot be tried with these settings",
		Fix:   x.vendor.fix(onSettings),
	}
}

// unreachable explains a request that got no answer.
func unreachable(err error, by Vendor, secrets []string) *diagnose.Problem {
	p := &diagnose.Problem{
		Unreachable: true, Class: diagnose.ClassTransient, Said: clean(err.Error(), secrets...),
		Cause: "The sign-in service cannot be reached", Fix: by.fix(onReach),
	}
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		p.Class, p.Cause, p.Fix = diagnose.ClassConfig, "The sign-in service's certificate is not trusted", by.fix(onTrust)
		if e, ok := diagnose.Lookup(diagnose.SourceTLS, p.Said); ok {
			p.Cause = e.Title
		}
	case errors.Is(err, errAnswerTooLarge), errors.Is(err, errNoTLS):
		p.Cause, p.Fix = verdictNonsense.cause, by.fix(onPortal)
	default:
		borrow(p, diagnose.SourceNetwork, p.Said, by)
	}
	return p
}

// refused explains an answer that brought no token. The behaviour follows the HTTP status and the OAuth error; the
// catalogue gives the words, and says which of the classes that hold an account alike fits best.
func refused(err error, a *answer, by Vendor, secrets []string) *diagnose.Problem {
	v, known := verdicts[a.oauth.Code]
	switch {
	case a.status == http.StatusTooManyRequests:
		v = verdictThrottled
	case a.status >= 500 || a.status == http.StatusRequestTimeout:
		v = verdictFault
	case known:
	case a.oauth.Code != "" && a.status >= 400:
		v = verdictRefused
	default:
		v = verdictNonsense
	}
	p := v.problem(by)
	p.RetryAfter = a.retryAfter
	p.Said = said(err, a, secrets)
	borrow(&p, diagnose.SourceEntra, p.Said, by)
	return &p
}

// said is the provider's words on one line: the OAuth error as it came, or what can be told of an answer that has
// none without showing it.
func said(err error, a *answer, secrets []string) string {
	if a.oauth.Code != "" {
		words := a.oauth.Code + ": " + a.oauth.Description
		if a.oauth.SubError != "" {
			words += " (" + a.oauth.SubError + ")"
		}
		return clean(strings.TrimSuffix(words, ": "), secrets...)
	}
	words := strings.TrimSpace(fmt.Sprintf("%s: %d %s", a.to, a.status, http.StatusText(a.status)))
	var call msal.CallErr
	var garbage msal.InvalidJsonErr
	switch {
	case errors.As(err, &garbage):
		return clean(words+", but the answer is not the JSON of a sign-in service", secrets...)
	case errors.As(err, &call):
		return clean(words, secrets...)
	}
	return clean(words+": "+err.Error(), secrets...)
}

// borrow takes the catalogue's words for what was said. Its class is taken only from among those that hold an
// account, and only when the verdict is one of them too: texts change, and no text may turn a refusal into
// something that passes by itself, or the other way round.
//
// Advice is taken from an entry that is about this vendor: the catalogue speaks of Entra's and of Google's pages, and of
// Microsoft's hosts where it is about the network.
func borrow(p *diagnose.Problem, source, text string, by Vendor) {
	e, ok := diagnose.Lookup(source, text)
	google := strings.HasPrefix(e.ID, "google-")
	switch {
	case !ok:
		return
	case source == diagnose.SourceNetwork && by != Microsoft:
		p.Cause = e.Title
		return
	case by == Other, google != (by == Google):
		return
	}
	p.Cause, p.Fix = e.Title, e.Fix
	switch e.Class {
	case diagnose.ClassConfig, diagnose.ClassNeedsAdmin, diagnose.ClassNeedsSignIn, diagnose.ClassThrottled:
		if !p.Unreachable {
			p.Class = e.Class
		}
	}
}

// asProblem makes sure that callers get a Problem, whatever a flow returned.
func asProblem(err error, by Vendor) *diagnose.Problem {
	var p *diagnose.Problem
	if errors.As(err, &p) {
		return p
	}
	return unreachable(err, by, nil)
}

// misconfigured is trouble with what was configured, found before the network was touched.
func misconfigured(cause, fix string, err error) *diagnose.Problem {
	p := &diagnose.Problem{Class: diagnose.ClassConfig, Cause: cause, Fix: fix}
	if err != nil {
		p.Said = clean(err.Error())
	}
	return p
}

// uselessToken is an answer that says it succeeded and gives nothing to work with.
func uselessToken(life time.Duration) *diagnose.Problem {
	return &diagnose.Problem{
		Unreachable: true, Class: diagnose.ClassTransient,
		Cause: "The sign-in service gave a token that is already out of date",
		Fix:   "1. Check this machine's date and time. It is tried again meanwhile.",
		Said:  fmt.Sprintf("it is valid for %v", life.Round(time.Second)),
	}
}

// refusedFresh is what a caller gets who has a token refused that replaced a refused one a moment ago.
func refusedFresh(by Vendor) *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassNeedsAdmin,
		Cause: "The server refuses access tokens that were fetched a moment ago",
		Fix:   by.fix(onRefusedFresh),
	}
}
