package mail

import "time"

// Outcome is what one attempt did for one recipient, or, from Spool.Wait, for the message as a whole. It carries
// class, cause and fix in words, so that relay and courier need no catalogue of errors.
type Outcome struct {
	State RecipientState // Delivered, Deferred or Failed
	Reply Reply          // the provider's own words; Code 0 when it gave none
	Class Class          // "" when delivered
	Cause string         // what it means, in one line
	Fix   string         // what to do about it; may have several sentences
}

// Result is what one attempt came to. Exactly one of two things happened: the message was judged (Trouble is nil
// and Outcomes has one entry for each recipient that was tried, in their order), or the account was in trouble
// before it could be (Trouble says so, and nobody got the message).
type Result struct {
	Outcomes   []Outcome
	Trouble    *Trouble
	InDoubt    bool   // the end of data was sent and no answer came: it may arrive twice
	Reports    bool   // the provider took the DSN parameters over, so that reporting success is its to do
	Connection string // which connection carried it, for the trace
}

// Trouble is a condition of an account, not of the message that met it.
type Trouble struct {
	Kind       TroubleKind
	Reply      Reply // the provider's own words, if it gave any
	Class      Class
	Cause      string
	Fix        string
	RetryAfter time.Duration // not before so long from now, when the provider said so
}

// TroubleKind says how an account in trouble is treated.
type TroubleKind string

// The kinds of trouble.
const (
	Unreachable TroubleKind = "unreachable" // mail or token endpoint does not answer: probe within seconds
	Throttled   TroubleKind = "throttled"   // slow down, then go on
	Refused     TroubleKind = "refused"     // sign-in, consent, permission, switch or configuration: hold and probe
	Stopped     TroubleKind = "stopped"     // we are stopping; the message was not touched
)

// Error lets a Trouble travel as an error.
func (t *Trouble) Error() string {
	if t.Reply.Text != "" {
		return t.Cause + " (" + t.Reply.String() + ")"
	}
	return t.Cause
}
