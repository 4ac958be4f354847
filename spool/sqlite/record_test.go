package sqlite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// FuzzRecord: whatever stands in the JSON columns is read without a panic, and what was read once is written and
// read again as the same.
func FuzzRecord(f *testing.F) {
	f.Add(`[{"address":"a@example.com","state":"pending"}]`, `{"client":{"address":"10.0.0.1:25"},"eight_bit":true}`, `{"time":"2026-11-25T00:00:00Z","event":"delivered"}`)
	f.Add(`[{"address":"a@example.com","state":"failed","reply":"550 <no>","notify":["NEVER"],"original":"rfc822;a"}]`, `{"sender":"","recipients":null,"client":{}}`, `{}`)
	f.Add(`[]`, `null`, `[`)
	f.Add(`{`, `{"client":7}`, `{"class":1}`)
	f.Fuzz(func(t *testing.T, recipients, envelope, event string) {
		decodeEvent(event)
		decodeAccount("a", envelope)
		r := row{id: 1, recipients: recipients, envelope: envelope, sender: "s@example.com", account: "a"}
		if m := r.message(time.Now()); m.Envelope.ID != 1 || m.Envelope.Sender != "s@example.com" {
			t.Errorf("the columns were not kept: %+v", m)
		}
		env, err := decodeEnvelope(&r)
		if err != nil {
			return
		}
		r.recipients, r.envelope, err = encodeEnvelope(&env)
		if err != nil {
			return // what it would refuse to put
		}
		again, err := decodeEnvelope(&r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range env.Recipients {
			if env.Recipients[i].State == "" {
				env.Recipients[i].State = mail.Pending
			}
		}
		if r2, e2, err := encodeEnvelope(&again); err != nil || r2 != r.recipients || e2 != r.envelope {
			t.Errorf("%v: %s", err, cmp.Diff(env, again))
		}
	})
}

// A record that cannot be read does not stand in the way of the mail behind it, and is shown to the operator.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	bad, good := put(t, s, 10, false), put(t, s, 10, false)
	raw(t, dir, `UPDATE message SET recipients = '[{' WHERE id = $1`, int64(bad))
	claimed := claimAll(t, s, time.Now())
	if len(claimed) != 1 || claimed[0].Envelope.ID != good {
		t.Fatalf("claimed %+v", claimed)
	}
	m := get(t, s, bad)
	if m.State != mail.StateFailed || m.LastReply == "" {
		t.Errorf("got %+v", m)
	}
	list, err := s.List(t.Context(), spool.Filter{State: mail.StateFailed})
	check(t, err)
	events, err := s.Trace(t.Context(), bad)
	check(t, err)
	if len(list) != 1 || len(events) != 2 || events[1].Event != mail.EventFailed {
		t.Errorf("list %+v, trace %+v", list, events)
	}
}

func TestHeldIsShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	id := put(t, s, 10, false)
	raw(t, dir, `UPDATE message SET state = 2 WHERE id = $1`, int64(id))
	counts, err := s.Counts(t.Context())
	check(t, err)
	if m := get(t, s, id); m.State != mail.StateHeld || !m.NextAttempt.IsZero() || counts["a"].Held != 1 {
		t.Errorf("got %+v, counts %+v", m, counts)
	}
	if len(claimAll(t, s, time.Now())) != 0 {
		t.Error("claimed a held message")
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"a", "A", true}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "a-b-c", true}, {"a*b*c", "a-c-b", false}, {"**", "x", true}, {"*b*b*", "ab", false}, {"ab*ba", "aba", false},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}
