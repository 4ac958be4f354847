package tokens

import (
	"context"
	"time"
)

// Token is one access token and the span in which it is good.
type Token struct {
	Access    string
	Expires   time.Time
	RefreshIn time.Time // when the provider wants it renewed; zero when it did not say
}

// String keeps a token out of whatever prints one.
func (t Token) String() string { return "[redacted]" }

// GoString keeps it out of %#v.
func (t Token) GoString() string { return "[redacted]" }

// MarshalJSON keeps it out of a log line.
func (t Token) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Flow fetches one new token from the provider, each time over the network. Its errors are *diagnose.Problem, or
// the context's. It is called by one goroutine at a time.
type Flow interface {
	Fetch(ctx context.Context) (Token, error)
}
