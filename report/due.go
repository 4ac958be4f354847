package report

import (
	"maps"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// Rules is what the courier knows about an attempt that its envelope and outcomes do not say.
type Rules struct {
	// MayReport says whether reports may go to this sender: never to strangers, whose address may be forged. nil
	// lets none through.
	MayReport func(sender string) bool
	// Late says that it is time to tell about recipients that are still deferred. The caller sees to it that this
	// is so once in a message's life.
	Late bool
	// ProviderReports says that the provider took NOTIFY (RFC 3461) over with the message, so that a report of
	// success is its to make.
	ProviderReports bool
}

// Notice is one report to be made: of what kind, about which recipients (indexes into the envelope, ascending).
type Notice struct {
	Kind       mail.Kind
	Recipients []int
}

// notices is the one table of what is reported:
//
//	recipient   asked for by                  when
//	failed      NOTIFY=FAILURE, or no NOTIFY  at once
//	deferred    NOTIFY=DELAY, or no NOTIFY    once, when it is late
//	delivered   NOTIFY=SUCCESS                at once, if the provider does not report it
//
// NOTIFY=NEVER asks for none of them.
var notices = []struct {
	kind  mail.Kind
	state mail.RecipientState
	asked string
	plain bool // also when the client gave no NOTIFY, RFC 3461 §4.1
	when  func(Rules) bool
}{
	{mail.KindFailure, mail.Failed, "FAILURE", true, func(Rules) bool { return true }},
	{mail.KindDelay, mail.Deferred, "DELAY", true, func(r Rules) bool { return r.Late }},
	{mail.KindSuccess, mail.Delivered, "SUCCESS", false, func(r Rules) bool { return !r.ProviderReports }},
}

// Due says which reports the outcomes of an attempt (by index into env.Recipients) call for; none, mostly. A wholly
// refused message whose sender was told so in the session needs none: that is the caller's to know.
func Due(env *mail.Envelope, outcomes map[int]mail.Outcome, r Rules) []Notice {
	if !mayReport(env, r) {
		return nil
	}
	var due []Notice
	for _, n := range notices {
		var about []int
		for _, i := range slices.Sorted(maps.Keys(outcomes)) {
			if outcomes[i].State == n.state && n.when(r) && asked(env.Recipients[i].Notify, n.asked, n.plain) {
				about = append(about, i)
			}
		}
		if about != nil {
			due = append(due, Notice{Kind: n.kind, Recipients: about})
		}
	}
	return due
}

// mayReport says whether anybody may be told about this message: nobody about what we wrote ourselves, and not the
// null sender, RFC 5321 §6.1 and RFC 3461 §6.1.
func mayReport(env *mail.Envelope, r Rules) bool {
	return env.Kind == "" && env.About == 0 && env.Sender != "" && r.MayReport != nil && r.MayReport(env.Sender)
}

// asked says whether a recipient's NOTIFY asks for a report.
func asked(notify []string, word string, plain bool) bool {
	if len(notify) == 0 {
		return plain
	}
	is := func(word string) func(string) bool {
		return func(s string) bool { return strings.EqualFold(s, word) }
	}
	return slices.ContainsFunc(notify, is(word)) && !slices.ContainsFunc(notify, is("NEVER"))
}
