package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// The inventory is bounded, and whoever only connects, with a new HELO each time, does not push out what sends.
func TestInventoryForgetsStrangersFirst(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	begin := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	printer := mail.Visit{Address: "192.0.2.7", Name: "printer", First: begin, Last: begin, LastSent: begin, Count: 1, Accepted: 1}
	check(t, s.Saw(t.Context(), []mail.Visit{printer}))
	for batch := range 11 {
		var junk []mail.Visit
		for i := range 1000 {
			at := begin.Add(time.Duration(batch*1000+i) * time.Millisecond)
			junk = append(junk, mail.Visit{Address: "192.0.2.66", Name: fmt.Sprint("junk", batch, "-", i), First: at, Last: at, Count: 1})
		}
		check(t, s.Saw(t.Context(), junk))
	}
	later := begin.Add(time.Minute)
	check(t, s.Saw(t.Context(), []mail.Visit{{Address: "192.0.2.7", Name: "printer", First: later, Last: later, Count: 1}}))
	list, err := s.Clients(t.Context())
	check(t, err)
	if len(list) != clientsKept {
		t.Errorf("%d clients are kept, want %d", len(list), clientsKept)
	}
	found := list[0]
	if found.Name != "printer" || found.Count != 2 || found.Accepted != 1 || !found.First.Equal(begin) || !found.LastSent.Equal(begin) || !found.Last.Equal(later) {
		t.Errorf("the printer is %+v", found)
	}
}
