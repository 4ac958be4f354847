package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mailbearer/mailbearer/mail"
)

func TestDue(t *testing.T) {
	t.Parallel()
	ours := func(s string) bool { return s == "scanner@example.com" }
	failed, deferred, delivered := mail.Outcome{State: mail.Failed}, mail.Outcome{State: mail.Deferred}, mail.Outcome{State: mail.Delivered}
	failure := []Notice{{mail.KindFailure, []int{0}}}
	delay := []Notice{{mail.KindDelay, []int{0}}}
	success := []Notice{{mail.KindSuccess, []int{0}}}
	for _, c := range []struct {
		name    string
		notify  []string
		outcome mail.Outcome
		rules   Rules
		change  func(*mail.Envelope)
		want    []Notice
	}{
		{"failed", nil, failed, Rules{MayReport: ours}, nil, failure},
		{"failed, asked", []string{"failure"}, failed, Rules{MayReport: ours}, nil, failure},
		{"failed, success only", []string{"SUCCESS"}, failed, Rules{MayReport: ours}, nil, nil},
		{"failed, delay only", []string{"DELAY"}, failed, Rules{MayReport: ours}, nil, nil},
		{"failed, never", []string{"NEVER"}, failed, Rules{MayReport: ours}, nil, nil},
		{"failed, never and failure", []string{"NEVER", "FAILURE"}, failed, Rules{MayReport: ours}, nil, nil},
		{"failed, the provider reports", nil, failed, Rules{MayReport: ours, ProviderReports: true}, nil, failure},
		{"failed, stranger", nil, failed, Rules{MayReport: func(string) bool { return false }}, nil, nil},
		{"failed, nobody", nil, failed, Rules{}, nil, nil},
		{"failed, null sender", nil, failed, Rules{MayReport: func(string) bool { return true }}, func(e *mail.Envelope) { e.Sender = "" }, nil},
		{"failed report", nil, failed, Rules{MayReport: ours}, func(e *mail.Envelope) { e.Kind = mail.KindFailure }, nil},
		{"failed alert", nil, failed, Rules{MayReport: ours}, func(e *mail.Envelope) { e.Kind = mail.KindAlert }, nil},
		{"failed, about another", nil, failed, Rules{MayReport: ours}, func(e *mail.Envelope) { e.About = 7 }, nil},
		{"deferred", nil, deferred, Rules{MayReport: ours}, nil, nil},
		{"deferred, late", nil, deferred, Rules{MayReport: ours, Late: true}, nil, delay},
		{"deferred, late, asked", []string{"FAILURE", "DELAY"}, deferred, Rules{MayReport: ours, Late: true}, nil, delay},
		{"deferred, late, not asked", []string{"FAILURE"}, deferred, Rules{MayReport: ours, Late: true}, nil, nil},
		{"delivered", nil, delivered, Rules{MayReport: ours}, nil, nil},
		{"delivered, asked", []string{"SUCCESS", "FAILURE"}, delivered, Rules{MayReport: ours}, nil, success},
		{"delivered, asked, the provider reports", []string{"SUCCESS"}, delivered, Rules{MayReport: ours, ProviderReports: true}, nil, nil},
	} {
		env := envelopeOf()
		env.Recipients[0].Notify = c.notify
		if c.change != nil {
			c.change(env)
		}
		got := Due(env, map[int]mail.Outcome{0: c.outcome}, c.rules)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestDueOfManyRecipients(t *testing.T) {
	t.Parallel()
	env := envelopeOf()
	env.Recipients = append(env.Recipients, mail.Recipient{Address: "d@example.net"}, mail.Recipient{Address: "e@example.net", Notify: []string{"SUCCESS"}})
	got := Due(env, map[int]mail.Outcome{
		4: {State: mail.Delivered}, 3: {State: mail.Failed}, 2: {State: mail.Deferred}, 1: {State: mail.Failed},
	}, Rules{MayReport: func(string) bool { return true }, Late: true})
	want := []Notice{{mail.KindFailure, []int{1, 3}}, {mail.KindDelay, []int{2}}, {mail.KindSuccess, []int{4}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
