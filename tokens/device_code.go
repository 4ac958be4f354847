package tokens

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

const (
	grantDeviceCode  = "urn:ietf:params:oauth:grant-type:device_code"
	pollInterval     = 5 * time.Second // RFC 8628 §3.2: when the provider does not say
	pollSlower       = 5 * time.Second // RFC 8628 §3.5: what slow_down adds
	pollMost         = time.Minute
	pollMostSlower   = 15 * time.Second // while nobody answers
	deviceCodeMost   = time.Hour        // bounds what a provider may say
	deviceCodeNotSay = 15 * time.Minute
)

// DeviceSignIn lets a person sign in on any device with a browser: show is told once what to type where, and until
// when. It asks as often as the provider allows, goes on over its failures and broken connections, and ends when the
// person is done or the code has expired. Errors are Problems, or the context's.
//
// With a SignedIn beside the error the person did sign in, but not as needed (another tenant, a missing permission).
func DeviceSignIn(ctx context.Context, o SignInOptions, show func(code, url string, expires time.Time)) (SignedIn, error) {
	o = o.tellOnce()
	d, err := o.deviceCode(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	life := min(time.Duration(d.ExpiresIn), deviceCodeMost)
	if life <= 0 {
		life = deviceCodeNotSay
	}
	expires := time.Now().Add(life)
	show(d.UserCode, first(d.VerifyURI, d.VerifyURL), expires)
	polling, cancel := context.WithDeadline(ctx, expires)
	defer cancel()
	a, err := o.poll(polling, d)
	switch {
	case ctx.Err() != nil && err != nil:
		return SignedIn{}, context.Cause(ctx)
	case polling.Err() != nil && err != nil:
		return SignedIn{}, codeExpired(err)
	case err != nil:
		return SignedIn{}, err
	}
	return o.signedIn(ctx, a)
}

// deviceCode asks for a code, RFC 8628 §3.1.
func (o SignInOptions) deviceCode(ctx context.Context) (oauthAnswer, error) {
	if o.Provider.DeviceURL == "" {
		return oauthAnswer{}, misconfigured("The provider has no sign-in by device code", "1. Use flow = \"browser\", or set endpoints.device.", nil)
	}
	return o.persist(ctx, func(ctx context.Context, x *exchange) (oauthAnswer, error) {
		d, err := o.Provider.call(ctx, x, o.Provider.DeviceURL, withScopes(url.Values{}, o.Scopes))
		if err == nil && (d.DeviceCode == "" || d.UserCode == "" || first(d.VerifyURI, d.VerifyURL) == "") {
			err = explain(errNoToken, x)
		}
		return d, err
	})
}

// poll asks until there is an answer or ctx ends, and then returns the last reason why there was none.
func (o SignInOptions) poll(ctx context.Context, d oauthAnswer) (oauthAnswer, error) {
	pace := poller{interval: min(max(time.Duration(d.Interval), time.Second), pollMost)}
	if d.Interval <= 0 {
		pace.interval = pollInterval
	}
	wait := pace.interval
	var last error
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return oauthAnswer{}, last
		}
		var x exchange
		form := url.Values{"grant_type": {grantDeviceCode}, "device_code": {d.DeviceCode}}
		a, err := askOnce(ctx, &x, o.question(form, d.DeviceCode))
		if err == nil {
			return a, nil
		}
		var again bool
		problem := asProblem(err, o.Provider.Vendor)
		if wait, again = pace.next(problem, &x); !again {
			if x.last != nil {
				declined(problem, x.last.oauth.Code)
			}
			return oauthAnswer{}, err
		}
		if problem.Unreachable && (x.last == nil || x.last.oauth.Code != "slow_down") {
			o.troubled(problem)
		}
		last = err
	}
}

// question asks whether the person is done.
func (o SignInOptions) question(form url.Values, code string) func(context.Context, *exchange) (oauthAnswer, error) {
	return func(ctx context.Context, x *exchange) (oauthAnswer, error) {
		a, err := o.Provider.call(ctx, x, o.Provider.TokenURL, form, code)
		if err == nil && a.Access == "" {
			err = explain(errNoToken, x, code)
		}
		return a, err
	}
}

// poller is the pace of asking, RFC 8628 §3.5.
type poller struct {
	interval time.Duration
	failures int // in a row: nobody answered
}

// next says how long to wait before the next question, or that there is none to ask. Who is told to slow down does so
// for good; where nobody answers the pace is doubled, within bounds, since a person waits for the end; an answer that
// is none, a fault of the service, changes nothing.
func (p *poller) next(problem *diagnose.Problem, x *exchange) (time.Duration, bool) {
	code, status := "", 0
	if x.last != nil {
		code, status = x.last.oauth.Code, x.last.status
	}
	switch {
	case code == "slow_down" || status == http.StatusTooManyRequests:
		p.failures = 0
		p.interval = min(p.interval+pollSlower, pollMost)
	case code == "authorization_pending", problem.Unreachable && x.last != nil:
		p.failures = 0
	case problem.Unreachable:
		p.failures++
	default:
		return 0, false
	}
	slower := min(p.interval<<min(p.failures, 3)-p.interval, pollMostSlower)
	return max(p.interval+slower, min(problem.RetryAfter, pollMost)), true
}

// codeExpired is the end of a sign-in that nobody finished; last is why the last question brought nothing.
func codeExpired(last error) *diagnose.Problem {
	p := &diagnose.Problem{
		Class: diagnose.ClassNeedsSignIn, Cause: "The code has expired before anybody finished the sign-in",
		Fix: "1. Run the command again; type the new code within a quarter of an hour. " +
			"2. If the page refuses the code, a policy may forbid it: use --browser.",
	}
	var q *diagnose.Problem
	if errors.As(last, &q) && q.Unreachable {
		p.Said = q.Said
	}
	return p
}
