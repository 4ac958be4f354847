package upstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/mail"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	phases := map[string]phase{
		"greeting": phaseGreeting, "ehlo": phaseEHLO, "starttls": phaseSTARTTLS, "auth": phaseAuth,
		"mail": phaseMail, "rcpt": phaseRcpt, "data": phaseData, "end": phaseEnd,
	}
	for _, c := range []struct {
		phase string
		code  int
		class mail.Class
		want  verdict
	}{
		{"greeting", 0, "", unreachable},
		{"greeting", 421, "", unreachable},
		{"greeting", 554, "", refused},
		{"ehlo", 451, "", unreachable},
		{"ehlo", 501, mail.ClassConfig, refused},
		{"starttls", 454, "", unreachable},
		{"starttls", 502, "", refused},
		{"auth", 0, "", unreachable},
		{"auth", 421, "", unreachable},
		{"auth", 432, mail.ClassThrottled, throttled},
		{"auth", 451, mail.ClassTransient, unreachable},
		{"auth", 454, "", unreachable},
		{"auth", 454, mail.ClassNeedsAdmin, refused},
		{"auth", 535, "", refused},
		{"auth", 535, mail.ClassPermanent, refused},
		{"auth", 535, mail.ClassNeedsSignIn, refused},
		{"auth", 535, mail.ClassTransient, unreachable},
		{"mail", 0, "", unreachable},
		{"mail", 421, "", unreachable},
		{"mail", 421, mail.ClassThrottled, throttled},
		{"mail", 451, "", deferred},
		{"mail", 550, "", failed},
		{"mail", 550, mail.ClassPermanent, failed},
		{"mail", 550, mail.ClassNeedsAdmin, refused},
		{"mail", 530, mail.ClassConfig, refused},
		{"rcpt", 0, "", unreachable},
		{"rcpt", 450, "", deferred},
		{"rcpt", 452, mail.ClassTransient, deferred},
		{"rcpt", 550, "", failed},
		{"rcpt", 550, mail.ClassTransient, failed},
		{"rcpt", 550, mail.ClassThrottled, throttled},
		{"data", 421, "", unreachable},
		{"data", 430, mail.ClassNeedsAdmin, refused},
		{"data", 552, mail.ClassPermanent, failed},
		{"end", 0, "", deferred},
		{"end", 250, "", deferred}, // never asked; a reply that means nothing is no verdict
		{"end", 421, "", deferred},
		{"end", 430, mail.ClassNeedsAdmin, refused},
		{"end", 451, "", deferred},
		{"end", 451, mail.ClassThrottled, throttled},
		{"end", 554, "", failed},
		{"end", 554, mail.ClassThrottled, throttled},
		{"end", 554, mail.ClassNeedsSignIn, refused},
	} {
		if got := decide(phases[c.phase], c.code, c.class); got != c.want {
			t.Errorf("%s %d %q: %s, want %s", c.phase, c.code, c.class, got, c.want)
		}
	}
}

// No reply of the catalogue, and no code, may end in a message lost that could have waited: a failure needs a 5yz that
// is not about the account.
func TestNothingFailsForTheAccount(t *testing.T) {
	t.Parallel()
	classes := []mail.Class{"", mail.ClassPermanent, mail.ClassTransient, mail.ClassThrottled, mail.ClassNeedsAdmin, mail.ClassNeedsSignIn, mail.ClassConfig}
	for p := phaseGreeting; p <= phaseEnd; p <<= 1 {
		for code := range 600 {
			for _, class := range classes {
				v := decide(p, code, class)
				if v == failed && (code < 500 || class.OfAccount() || p&connecting != 0) {
					t.Errorf("phase %d, %d %q: failed", p, code, class)
				}
				if class.OfAccount() && code >= 400 && !v.ofAccount() {
					t.Errorf("phase %d, %d %q: %s", p, code, class, v)
				}
			}
		}
	}
}

// A reply about one message, whatever words come with it, leaves the other messages of the account alone.
func TestMessageEntriesAreNotOfTheAccount(t *testing.T) {
	t.Parallel()
	classes := map[string]mail.Class{}
	for _, e := range diagnose.Entries() {
		classes[e.ID] = mail.Class(e.Class)
	}
	for _, id := range []string{
		"smtp-550-5.1.20-multiple-from", "smtp-550-5.7.512-no-from", "smtp-550-5.7.509-dmarc", "smtp-5.1.7-sender-address", // this sender
		"smtp-554-5.2.252-sendas", "smtp-554-5.2.0-sendas", "smtp-550-5.7.60-sendas", "smtp-553-sender-not-owned", "smtp-5.1.8-sender-domain",
		"smtp-550-5.7.703-tabl", "smtp-550-5.7.1-group", "smtp-550-5.2.121-122-hourly", "smtp-432-recipient-thread", // this recipient
		"smtp-5.2.2-recipient-full", "gmail-recipient-rate", "smtp-550-5.5.3-reciplimit", "smtp-452-4.5.3-recipients",
		"smtp-550-5.6.11-bare-lf", "smtp-550-5.4.6-loop", "smtp-552-5.3.4-size", "gmail-content-blocked", // this text
	} {
		if class, ok := classes[id]; !ok || class.OfAccount() {
			t.Errorf("%s: class %q", id, class)
		}
	}
}

// What Microsoft says at the end of data, by its own examples.
func TestRepliesOfTheCatalogue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]verdict{
		"550 5.7.60 SMTP; Client does not have permissions to send as this sender":                failed,
		"554 5.5.6 Invalid message content":                                                       failed,
		"550 5.7.11 blocked by a rule":                                                            failed,
		"550 5.7.1 Delivery: blocked by 5.7.710 rule":                                             failed,
		"550 5.7.703 recipient on the block list":                                                 failed,
		"554 5.2.252 SendAsDenied; a@b.test not allowed to send as c@d.test":                      failed,
		"554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied": failed,
		"552 5.3.4 Message size exceeds fixed maximum message size":                               failed,
		"550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients":                                  failed,
		"550 5.7.509 Access denied, sending domain contoso.com does not pass DMARC verification":  failed,
		"550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required":        failed,
		"550 5.6.11 Invalid characters: bare line feed characters in the message":                 failed,
		"554 5.4.14 Hop count exceeded - possible mail loop":                                      failed,
		"432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded":                             deferred,
		"452 4.5.3 Too many recipients":                                                           deferred,
		"451 4.7.0 Temporary server error. Please try again later. PRX4":                          deferred,
		"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.":                          throttled,
		"451 4.7.500 Server busy. Please try again later from [203.0.113.25].":                    throttled,
		"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed":        throttled,
		"550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit":     throttled,
		"430 4.2.0 STOREDRV; mailbox logon failure; [BeginDiagnosticData]Cannot open mailbox.":    refused,
		"554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException":            refused,
		"550 5.1.8 Access denied, bad outbound sender.":                                           refused,
		"550 5.7.705 Service unavailable. Access denied, tenant has exceeded threshold":           refused,
		"550 5.9.9 nobody has ever seen this":                                                     failed,
		"450 4.9.9 nobody has ever seen this":                                                     deferred,
	} {
		code, line, _, _ := parseLine(text)
		f := explain(phaseEnd, newReply(code, []string{line}))
		if f.verdict != want || f.class == "" || f.cause == "" || f.fix == "" {
			t.Errorf("%s\n%+v, want %s with class, cause and fix", text, f, want)
		}
	}
}

func TestTokenTrouble(t *testing.T) {
	t.Parallel()
	long := "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.payload"
	for _, c := range []struct {
		name string
		err  error
		want mail.Trouble
	}{
		{"no verdict", &diagnose.Problem{Unreachable: true, Class: "transient", Cause: "c", Fix: "f"},
			mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassTransient, Cause: "c", Fix: "f"}},
		{"throttled", fmt.Errorf("x: %w", &diagnose.Problem{Class: "throttled", Cause: "c", RetryAfter: time.Minute}),
			mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassThrottled, Cause: "c", RetryAfter: time.Minute}},
		{"refused", &diagnose.Problem{Class: "needs_signin", Said: "AADSTS50173: gone", Cause: "c", Fix: "f"},
			mail.Trouble{Kind: mail.Refused, Class: mail.ClassNeedsSignIn, Reply: mail.Reply{Text: "AADSTS50173: gone"}, Cause: "c", Fix: "f"}},
		{"unknown", errors.New("invalid character in " + long),
			mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassTransient, Cause: "no access token could be had: invalid character in [redacted]", Fix: "Run `mailbearer check` to see each step of the sign-in."}},
	} {
		if got := *tokenTrouble(t.Context(), c.err); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := tokenTrouble(ctx, errors.New("whatever")); got.Kind != mail.Stopped {
		t.Errorf("stopped: %+v", *got)
	}
}

// A provider that cannot be reached is an outage, which ends by itself, whatever the catalogue blames.
func TestOutagesAreTransient(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"dial tcp 192.0.2.1:587: connect: connection refused", "dial tcp 192.0.2.1:587: i/o timeout", "lookup mail.example: no such host",
		"proxyconnect tcp: EOF", "read tcp 192.0.2.1:1->192.0.2.2:587: i/o timeout", "something nobody has seen",
	} {
		if got := networkTrouble(t.Context(), errors.New(words)); got.Kind != mail.Unreachable || got.Class != mail.ClassTransient {
			t.Errorf("%s: %s, class %s", words, got.Kind, got.Class)
		}
	}
	for _, reply := range []mail.Reply{{Code: 421, Text: "4.3.2 closing"}, {Code: 454, Enhanced: "4.7.0", Text: "temporary"}} {
		if got := explain(phaseGreeting, reply).trouble(reply); got.Kind != mail.Unreachable || got.Class != mail.ClassTransient {
			t.Errorf("%s: %s, class %s", reply, got.Kind, got.Class)
		}
	}
}
