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
var verdicts = map[string]diagnose.Problem{
	"invalid_client":          {Class: diagnose.ClassConfig, Cause: "The sign-in service does not accept this app's secret or certificate", Fix: fixCredential},
	"unauthorized_client":     {Class: diagnose.ClassConfig, Cause: "The sign-in service does not know this app in this tenant, or does not let it sign in this way", Fix: fixApp},
	"invalid_scope":           {Class: diagnose.ClassConfig, Cause: "The requested permission (oauth.scopes) is not valid", Fix: fixScope},
	"invalid_resource":        {Class: diagnose.ClassConfig, Cause: "The API the token is requested for is not known in this tenant", Fix: fixScope},
	"invalid_target":          {Class: diagnose.ClassConfig, Cause: "The API the token is requested for is not known in this tenant", Fix: fixScope},
	"invalid_request":         {Class: diagnose.ClassConfig, Cause: "The sign-in service does not understand the request", Fix: fixApp},
	"invalid_tenant":          {Class: diagnose.ClassConfig, Cause: "The sign-in service does not know the tenant", Fix: fixApp},
	"unsupported_grant_type":  {Class: diagnose.ClassConfig, Cause: "The sign-in service does not offer this kind of sign-in", Fix: fixApp},
	"access_denied":           {Class: diagnose.ClassNeedsAdmin, Cause: "A policy of the organization refuses the sign-in", Fix: fixPolicy},
	"invalid_grant":           {Class: diagnose.ClassNeedsSignIn, Cause: "The sign-in is no longer valid", Fix: fixSignIn},
	"interaction_required":    {Class: diagnose.ClassNeedsSignIn, Cause: "A person has to sign in again", Fix: fixSignIn},
	"login_required":          {Class: diagnose.ClassNeedsSignIn, Cause: "A person has to sign in again", Fix: fixSignIn},
	"consent_required":        {Class: diagnose.ClassNeedsSignIn, Cause: "Consent to the app is missing", Fix: fixSignIn},
	"authorization_declined":  {Class: diagnose.ClassNeedsSignIn, Cause: "The person cancelled the sign-in", Fix: fixDecline},
	"expired_token":           {Class: diagnose.ClassNeedsSignIn, Cause: "The code has expired", Fix: fixDecline},
	"bad_verification_code":   {Class: diagnose.ClassNeedsSignIn, Cause: "The sign-in service does not know the code", Fix: fixDecline},
	"temporarily_unavailable": {Unreachable: true, Class: diagnose.ClassTransient, Cause: "The sign-in service is busy or down", Fix: fixWait},
	"server_error":            {Unreachable: true, Class: diagnose.ClassTransient, Cause: "The sign-in service has a fault of its own", Fix: fixWait},
	"slow_down":               {Unreachable: true, Class: diagnose.ClassThrottled, Cause: "Too many token requests", Fix: fixWait},
}

const (
	fixCredential = "1. Check oauth.client_id and the secret or certificate: the Value of the secret, not its ID; the certificate uploaded to this very app. " +
		"2. Entra admin center > App registrations > your app > Certificates & secrets shows what is valid and until when."
	fixApp = "1. Compare oauth.tenant and oauth.client_id with the Overview page of the app registration. " +
		"2. Check the cloud: worldwide, US Government and China have different sign-in addresses."
	fixScope = "1. Remove oauth.scopes; the right value follows from the provider. " +
		"2. For an app it must end in /.default and name one API only."
	fixPolicy = "1. Entra admin center > Monitoring > Sign-in logs > Service principal sign-ins shows which policy refused. " +
		"2. Have an administrator exclude this app or this machine's address."
	fixSignIn  = "1. Run `mailbearer authorize` for this account and sign in as the mailbox."
	fixDecline = "1. Run the command again, and finish the sign-in. 2. If a policy refuses the code, use --browser."
	fixWait    = "Nothing: it is tried again. If it lasts, see https://status.cloud.microsoft."
	fixReach   = "1. From this machine open the sign-in address (login.microsoftonline.com, port 443). " +
		"2. Check network.proxy, DNS and the firewall. It is tried again meanwhile."
	fixTrust = "1. Check this machine's date and time. 2. If a proxy or firewall inspects TLS, save its root certificate as PEM and name " +
		"the file in endpoints.ca_file, or exclude login.microsoftonline.com from inspection. 3. Never switch verification off."
	fixPortal = "1. Something between this machine and the sign-in service answers in its place: a proxy, a firewall or a captive portal. " +
		"2. Check endpoints.authority and network.proxy, and allow login.microsoftonline.com, port 443."
)

// explain turns what a fetch failed with into a Problem. x has what really happened on the wire; err is looked at
// for its type only, since some of MSAL's errors contain the whole answer, tokens included. secrets are those that
// were sent.
func explain(err error, x *exchange, secrets ...string) *diagnose.Problem {
	switch {
	case x.broken != nil:
		return unreachable(x.broken, secrets)
	case x.last != nil:
		return refused(err, x.last, secrets)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unreachable(err, secrets)
	}
	return &diagnose.Problem{
		Class: diagnose.ClassConfig,
		Said:  clean(err.Error(), secrets...),
		Cause: "The sign-in cannot be tried with these settings",
		Fix: "1. endpoints.authority must be a https address such as https://login.microsoftonline.com. " +
			"2. oauth.tenant and oauth.client_id must be those of the app registration's Overview page.",
	}
}

// unreachable explains a request that got no answer.
func unreachable(err error, secrets []string) *diagnose.Problem {
	p := &diagnose.Problem{
		Unreachable: true, Class: diagnose.ClassTransient, Said: clean(err.Error(), secrets...),
		Cause: "The sign-in service cannot be reached", Fix: fixReach,
	}
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		p.Class, p.Cause, p.Fix = diagnose.ClassConfig, "The sign-in service's certificate is not trusted", fixTrust
		if e, ok := diagnose.Lookup(diagnose.SourceTLS, p.Said); ok {
			p.Cause = e.Title
		}
	case errors.Is(err, errAnswerTooLarge), errors.Is(err, errNoTLS):
		p.Cause, p.Fix = "The sign-in service's answer makes no sense", fixPortal
	default:
		borrow(p, diagnose.SourceNetwork, p.Said)
	}
	return p
}

// refused explains an answer that brought no token. The behaviour follows the HTTP status and the OAuth error; the
// catalogue gives the words, and says which of the classes that hold an account alike fits best.
func refused(err error, a *answer, secrets []string) *diagnose.Problem {
	var p diagnose.Problem
	verdict, known := verdicts[a.oauth.Code]
	switch {
	case a.status == http.StatusTooManyRequests:
		p = diagnose.Problem{Unreachable: true, Class: diagnose.ClassThrottled, Cause: "Too many token requests", Fix: fixWait}
	case a.status >= 500 || a.status == http.StatusRequestTimeout:
		p = diagnose.Problem{Unreachable: true, Class: diagnose.ClassTransient, Cause: "The sign-in service has a fault of its own", Fix: fixWait}
	case known:
		p = verdict
	case a.oauth.Code != "" && a.status >= 400:
		p = diagnose.Problem{Class: diagnose.ClassConfig, Cause: "The sign-in service refuses the request", Fix: fixApp}
	default:
		p = diagnose.Problem{Unreachable: true, Class: diagnose.ClassTransient, Cause: "The sign-in service's answer makes no sense", Fix: fixPortal}
	}
	p.RetryAfter = a.retryAfter
	p.Said = said(err, a, secrets)
	borrow(&p, diagnose.SourceEntra, p.Said)
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
func borrow(p *diagnose.Problem, source, text string) {
	e, ok := diagnose.Lookup(source, text)
	if !ok {
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
func asProblem(err error) *diagnose.Problem {
	var p *diagnose.Problem
	if errors.As(err, &p) {
		return p
	}
	return unreachable(err, nil)
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
func refusedFresh() *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassNeedsAdmin,
		Cause: "The server refuses access tokens that were fetched a moment ago",
		Fix: "1. The token is new, so it is not the sign-in: the app lacks a permission, or the mailbox is not open to it. " +
			"2. Run `mailbearer check` for this account; it goes through each step of the set-up. " +
			"3. After a change in Exchange allow up to an hour.",
	}
}
