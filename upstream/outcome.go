package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/mail"
)

// phase is the step of a conversation that a reply answers.
type phase int

const (
	phaseGreeting phase = 1 << iota
	phaseEHLO
	phaseSTARTTLS
	phaseAuth
	phaseMail
	phaseRcpt
	phaseData // the DATA command, and a body that is still on its way
	phaseEnd  // the end of data has been sent

	connecting = phaseGreeting | phaseEHLO | phaseSTARTTLS | phaseAuth
	message    = phaseMail | phaseRcpt | phaseData | phaseEnd
	anywhere   = connecting | message
)

// verdict is what a refusal comes to: for the recipients it is about, or for the account. The words are those of
// package mail.
type verdict string

const (
	deferred    = verdict(mail.Deferred)
	failed      = verdict(mail.Failed)
	unreachable = verdict(mail.Unreachable)
	throttled   = verdict(mail.Throttled)
	refused     = verdict(mail.Refused)
)

// ofAccount says whether the verdict is a trouble of the account: then nobody got the message, and it is not judged.
func (v verdict) ofAccount() bool { return v == unreachable || v == throttled || v == refused }

// codes is a set of reply codes.
type codes string

const (
	no   codes = "no reply, or none that can be read"
	c421 codes = "421"
	yz4  codes = "4yz"
	yz5  codes = "5yz"
	all  codes = "any refusal"
)

func (c codes) have(code int) bool {
	switch c {
	case no:
		return code < 400
	case c421:
		return code == 421
	case yz4:
		return code >= 400 && code < 500
	case yz5:
		return code >= 500
	}
	return code >= 400
}

// rules is the one table from (phase, reply code, class of the catalogue) to verdict; the first row that fits counts.
// Reply codes decide; classes can only keep mail longer. What the catalogue knows about this sender, recipient or text
// alone is classed permanent or transient there, and never chooses a row of the account.
var rules = []struct {
	phases phase
	codes  codes
	class  func(mail.Class) bool
	then   verdict
}{
	// phase, reply code, class, verdict
	{anywhere, all, is(mail.ClassThrottled), throttled},     // slow down: quota, rate, too many connections
	{anywhere, all, mail.Class.OfAccount, refused},          // a person has to do something: hold
	{anywhere &^ phaseEnd, c421, whatever, unreachable},     // RFC 5321 §3.8: the server shuts down
	{anywhere &^ phaseEnd, no, whatever, unreachable},       // cut, garbage, silence: nothing was handed over
	{connecting, yz5, is(mail.ClassTransient), unreachable}, // "federated STS service was unreachable"
	{connecting, yz5, whatever, refused},                    // no mail gets through until somebody looks
	{connecting, yz4, whatever, unreachable},                // 454, 451, …: try again soon
	{message, yz5, whatever, failed},                        // RFC 5321 §4.2.1
	{message, yz4, whatever, deferred},                      // 421 at the end included: it was not taken
	{phaseEnd, no, whatever, deferred},                      // in doubt: it may have been taken
}

func whatever(mail.Class) bool { return true }

func is(want mail.Class) func(mail.Class) bool { return func(c mail.Class) bool { return c == want } }

func decide(p phase, code int, class mail.Class) verdict {
	for _, r := range rules {
		if r.phases&p != 0 && r.codes.have(code) && r.class(class) {
			return r.then
		}
	}
	return deferred // not reached; and if it were, nothing would be lost
}

// finding is a verdict and its words.
type finding struct {
	verdict
	class mail.Class
	cause string
	fix   string
}

// explain decides what a refusal comes to and says why.
func explain(p phase, reply mail.Reply) finding {
	entry, known := diagnose.Lookup(diagnose.SourceSMTP, reply.String())
	if !known {
		return unknown(p, reply)
	}
	f := finding{class: mail.Class(entry.Class), cause: entry.Title, fix: entry.Fix}
	f.verdict = decide(p, reply.Code, f.class)
	if f.verdict == refused && f.class == mail.ClassPermanent {
		f.class = mail.ClassConfig // what is said of one message elsewhere is said of the whole conversation here
	}
	return f
}

// unknown finds words for a reply that the catalogue does not know.
func unknown(p phase, reply mail.Reply) finding {
	f := finding{verdict: decide(p, reply.Code, "")}
	what := map[phase]string{
		phaseGreeting: "the connection", phaseEHLO: "our greeting", phaseSTARTTLS: "encryption", phaseAuth: "the sign-in",
		phaseMail: "the sender", phaseRcpt: "the recipient",
	}[p]
	if what == "" {
		what = "the message"
	}
	switch f.verdict {
	case failed:
		f.class, f.cause = mail.ClassPermanent, "the provider refused "+what+" for good"
		f.fix = "The provider's own words name the reason. Correct it, then send the message again (`mailbearer queue retry`)."
	case refused:
		f.class, f.cause = mail.ClassConfig, "the provider refused "+what
		f.fix = "The provider's own words name the reason. Run `mailbearer check` to see each step."
	default:
		f.class, f.cause = mail.ClassTransient, "the provider refused "+what+" for now"
		f.fix = "Nothing to do now: it is tried again."
	}
	return f
}

// trouble returns the account's trouble, or nil if the verdict is about the message.
func (f finding) trouble(reply mail.Reply) *mail.Trouble {
	if !f.ofAccount() {
		return nil
	}
	t := &mail.Trouble{Kind: mail.TroubleKind(f.verdict), Reply: reply, Class: f.class, Cause: f.cause, Fix: f.fix}
	if t.Kind == mail.Unreachable {
		t.Class = mail.ClassTransient
	}
	return t
}

// outcome returns what became of a recipient that the reply is about. Where the verdict is the account's and others
// have got the message, this one waits: whatever the code, it is not given up.
func (f finding) outcome(reply mail.Reply) mail.Outcome {
	o := mail.Outcome{State: mail.Deferred, Reply: reply, Class: f.class, Cause: f.cause, Fix: f.fix}
	if f.verdict == failed {
		o.State = mail.Failed
	}
	return o
}

// connectTrouble is what an error on the way to a signed-in connection means.
func (s *SMTP) connectTrouble(ctx context.Context, err error) *mail.Trouble {
	var said *refusal
	var known *mail.Trouble
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &said):
		return explain(said.phase, said.reply).trouble(said.reply)
	}
	return networkTrouble(ctx, err)
}

// networkTrouble is what an error of the network means: it passes by itself, unless the two sides cannot agree on
// encryption, which needs a person.
func networkTrouble(ctx context.Context, err error) *mail.Trouble {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) { // nobody closes our side but we
		return stopped(ctx)
	}
	if errors.Is(err, errTLS) {
		if t := tlsTrouble(err); t != nil {
			return t
		}
	}
	t := &mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassTransient, Cause: "the provider's mail server does not answer", Fix: "Nothing to do now: it is tried again."}
	if e, ok := diagnose.Lookup(diagnose.SourceNetwork, err.Error()); ok {
		t.Cause, t.Fix = e.Title, e.Fix // whatever the catalogue blames, an outage looks the same and ends by itself
	}
	t.Cause = fmt.Sprintf("%s (%s)", t.Cause, cutText(printable(err.Error())))
	return t
}

// tlsTrouble returns nil for what may be an accident: a connection that was cut, an alert without a known reason.
func tlsTrouble(err error) *mail.Trouble {
	var certificate *tls.CertificateVerificationError
	untrusted := errors.As(err, &certificate)
	e, ok := diagnose.Lookup(diagnose.SourceTLS, err.Error())
	if !untrusted && (!ok || mail.Class(e.Class) != mail.ClassConfig) {
		return nil
	}
	t := &mail.Trouble{Kind: mail.Refused, Class: mail.ClassConfig, Cause: e.Title, Fix: e.Fix}
	if untrusted {
		if !ok {
			t.Cause = "The server's certificate cannot be verified"
		}
		t.Cause += "; something on the way may intercept TLS"
		t.Fix += " If a proxy of your own intercepts TLS, name its root certificate in the account's endpoints.ca_file."
	}
	t.Cause = fmt.Sprintf("%s (%s)", t.Cause, cutText(printable(err.Error())))
	return t
}

// named names the account in all advice of a result.
func named(r mail.Result, account string) mail.Result {
	for i := range r.Outcomes {
		r.Outcomes[i].Fix = diagnose.ForAccount(r.Outcomes[i].Fix, account)
	}
	if r.Trouble != nil {
		t := *r.Trouble // others may hold it
		t.Fix = diagnose.ForAccount(t.Fix, account)
		r.Trouble = &t
	}
	return r
}
