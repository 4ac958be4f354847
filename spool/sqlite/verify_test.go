package sqlite

import (
	"context"
	"io"
	"testing"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// verify opens the store as the next owner and compares it with what was said.
func verify(t *testing.T, dir string, said *said) {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, Owner: true})
	check(t, err)
	defer s.Close()
	found := map[mail.ID]spool.Message{}
	for _, state := range []mail.State{"", mail.StateDelivered} {
		list, err := s.List(context.Background(), spool.Filter{State: state})
		check(t, err)
		for _, m := range list {
			found[m.Envelope.ID] = m
		}
	}
	var used int64
	for id, m := range found {
		if m.State != mail.StateDelivered {
			used += m.Envelope.Size
			verifyText(t, s, m)
		}
		if m.Watched {
			t.Errorf("%s is watched by nobody", id)
		}
	}
	inWriter(t, s, func(w *writer) {
		if w.used != used {
			t.Errorf("%d octets are counted, %d are there", w.used, used)
		}
	})
	verifyReports(t, s, found)
	for id, word := range said.last {
		m, there := found[id]
		switch {
		case word == "dropped" && there:
			t.Errorf("%s was dropped and is back as %s", id, m.State)
		case word == "drop", word == "dropped":
		case !there:
			t.Errorf("%s is lost; its last word was %s", id, word)
		case word == "put" && m.State == mail.StateDelivered:
			t.Errorf("%s is delivered, and nobody tried", id)
		case word == "settled" && m.State != mail.StateDelivered:
			t.Errorf("%s was settled and is back as %s", id, m.State)
		}
	}
}

// verifyReports: whoever is marked as reported about was, and nobody was told twice of the same failure.
func verifyReports(t *testing.T, s *Spool, found map[mail.ID]spool.Message) {
	t.Helper()
	reports := map[mail.ID]int{}
	for _, m := range found {
		if m.Envelope.About != 0 {
			reports[m.Envelope.About]++
		}
	}
	for id, m := range found {
		if m.Envelope.Kind != "" {
			continue
		}
		failures := 1
		events, err := s.Trace(context.Background(), id)
		check(t, err)
		for _, e := range events {
			if e.Event == eventRetried {
				failures++
			}
		}
		if n := reports[id]; n > failures || m.Reported && n == 0 {
			t.Errorf("%s is %s, reported %v; %d reports for at most %d failures", id, m.State, m.Reported, n, failures)
		}
	}
}

func verifyText(t *testing.T, s *Spool, m spool.Message) {
	t.Helper()
	r, err := s.Open(context.Background(), m.Envelope.ID)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || checksum(text) != m.Envelope.EnvelopeID {
		t.Errorf("the text of %s is not what was put: %v", m.Envelope.ID, err)
	}
}
