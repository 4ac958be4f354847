package tokens

import (
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

const (
	// fetchTimeout bounds one fetch, all its requests included.
	fetchTimeout = 30 * time.Second
	// enoughLife is the life a token must have left to be given out without a look for a newer one. The server
	// checks it once, when the connection signs in, so this covers a slow network.
	enoughLife = time.Minute
	// shortest is the least time between two fetches that succeed: a provider whose tokens live for a second must
	// not be asked without pause.
	shortest = 500 * time.Millisecond

	backoffFirst = time.Second
	backoffYoung = 4 * time.Second // while nothing answers, for as long as
	youngOutage  = 5 * time.Minute // an outage counts as young: mail must flow within seconds of its end
	backoffMost  = time.Minute
	// retryAfterMost bounds what a provider may ask for; beyond it, asking again once an hour harms nobody.
	retryAfterMost = time.Hour
)

// enough is the life a token of this whole life must have left: a minute, or a tenth of a short life.
func enough(life time.Duration) time.Duration { return min(enoughLife, life/10) }

// renewAfter is when, after it was fetched, a token of this life is renewed: at half the life or when the provider
// says, whichever is earlier (refresh is 0 when it does not say). jitter in [0,1) moves it up to a tenth earlier, so
// that accounts do not fetch in step.
func renewAfter(life, refresh time.Duration, jitter float64) time.Duration {
	at := life / 2
	if refresh > 0 {
		at = min(at, refresh)
	}
	return max(at-time.Duration(jitter*float64(at)/10), shortest)
}

// backoff is how long after the failures-th failure in a row the next fetch waits: 1s, 2s, 4s … 60s, at most 4s
// while nothing has answered for less than five minutes, and never less than the provider asked for. jitter in [0,1)
// takes up to a quarter off our own waiting, and adds up to a tenth to the provider's.
func backoff(failures int, outage time.Duration, p *diagnose.Problem, jitter float64) time.Duration {
	if p.RetryAfter > 0 {
		asked := min(p.RetryAfter, retryAfterMost)
		return asked + time.Duration(jitter*float64(asked)/10)
	}
	most := backoffMost
	if p.Unreachable && p.Class != diagnose.ClassThrottled && outage < youngOutage {
		most = backoffYoung
	}
	wait := min(backoffFirst<<min(max(failures-1, 0), 10), most)
	return wait - time.Duration(jitter*float64(wait)/4)
}
