package diagnose

import "time"

// Problem is a provider's refusal with our explanation. It is an error, so that it can travel through a call that
// has nothing else to say.
type Problem struct {
	// Unreachable says that no verdict came: no connection, a time-out, an answer that makes no sense, a 5xx of
	// a token endpoint. Everything else is the provider's own refusal.
	Unreachable bool
	Class       string        // a class of the catalogue: permanent, transient, throttled, needs_admin, needs_signin, config
	Said        string        // the provider's own words, without secrets
	Cause       string        // what it means, in one line
	Fix         string        // what to do about it
	RetryAfter  time.Duration // not before so long from now, when the provider said so
}

// For is the problem with advice that names the account.
func (p *Problem) For(account string) *Problem {
	named := *p // it may be one that others hold
	named.Fix = ForAccount(p.Fix, account)
	return &named
}

func (p *Problem) Error() string {
	if p.Said == "" {
		return p.Cause
	}
	return p.Cause + " (" + p.Said + ")"
}
