package tokens

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

const (
	signInTries    = 5           // of one request of a sign-in: a person waits for it
	signInPatience = time.Minute // what Retry-After may ask of a person
)

// persist asks, and asks again when nobody answered or the service has a fault or too much to do: a few times, as far
// apart as the renewals of a token. When that does not help it is said in words for a person: nothing goes on by itself.
func (o SignInOptions) persist(ctx context.Context, ask func(context.Context, *exchange) (oauthAnswer, error)) (oauthAnswer, error) {
	for tries := 1; ; tries++ {
		var x exchange
		a, err := askOnce(ctx, &x, ask)
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return oauthAnswer{}, context.Cause(ctx)
		}
		p := asProblem(err, o.Provider.Vendor)
		passing := p.Unreachable && (p.Class == diagnose.ClassTransient || p.Class == diagnose.ClassThrottled)
		if !passing {
			return oauthAnswer{}, err
		}
		if tries == signInTries || p.RetryAfter > signInPatience {
			return oauthAnswer{}, givenUp(*p, &x, o.Provider.Vendor)
		}
		o.troubled(p)
		select {
		case <-time.After(backoff(tries, 0, p, 0)):
		case <-ctx.Done():
			return oauthAnswer{}, context.Cause(ctx)
		}
	}
}

func askOnce(ctx context.Context, x *exchange, ask func(context.Context, *exchange) (oauthAnswer, error)) (oauthAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return ask(ctx, x)
}

// givenUp is the end of a sign-in that got no answer. The relay's words for it promise another try.
func givenUp(p diagnose.Problem, x *exchange, by Vendor) *diagnose.Problem {
	switch {
	case p.RetryAfter > 0:
		p.Fix = fmt.Sprintf("1. The sign-in service wants nobody to ask again for %s. Run the command again after that.", p.RetryAfter.Round(time.Second))
	case x.last == nil:
		p.Fix = by.fix(onReachSignIn)
	case x.last.status >= 500, x.last.status == http.StatusTooManyRequests, x.last.oauth.Code != "":
		p.Fix = by.fix(onWaitSignIn)
	default:
		p.Fix += " 3. Run the command again."
	}
	return &p
}

// troubled tells the person that the sign-in takes longer, and why.
func (o SignInOptions) troubled(p *diagnose.Problem) {
	if o.Troubled != nil {
		o.Troubled(p)
	}
}

// tellOnce lets a sign-in be called troubled no more than once.
func (o SignInOptions) tellOnce() SignInOptions {
	if tell := o.Troubled; tell != nil {
		var once sync.Once
		o.Troubled = func(p *diagnose.Problem) { once.Do(func() { tell(p) }) }
	}
	return o
}
