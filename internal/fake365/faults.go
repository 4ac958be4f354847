package fake365

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is one thing that goes wrong, by script. Faults are asked in the order they were added, and the first that
// fits fires alone. A step that the protocol
// does not allow at all (RCPT after a refused MAIL) is no occasion. Delay without any of Answer, Status, Hang and Drop only slows the step down.
//
// At names the step, Match is looked for in:
//
//	connect    the client's address
//	ehlo       the command's argument (HELO too)
//	starttls   nothing
//	auth       the mechanism; the mailbox, once the client has named it
//	mail       the argument, "FROM:<a@b> SIZE=…"
//	rcpt       the argument, "TO:<a@b>"
//	data       the argument, the sender, each recipient (the DATA command, or a message's first BDAT)
//	end        the sender, each recipient, the text (the end of data)
//	token      the form, decoded: "grant_type=refresh_token" (devicecode and authorize likewise)
//	discovery  the path
//	graph      the path, and the message
type Fault struct {
	At     string
	Match  string            // substring; "" fits all
	Answer string            // SMTP: the whole reply, lines parted by \n, instead of the usual one; HTTP: the body
	Status int               // HTTP: the status; 0 with an Answer is 200
	Header map[string]string // HTTP: such as Retry-After
	Delay  time.Duration     // before the answer, the usual one or this fault's
	Hang   bool              // never answer, until the client leaves or the server closes
	Drop   bool              // cut the connection instead of answering
	Taken  bool              // at "end" or "graph", with Drop, Hang or Answer: the message has been taken all the same
	Times  int               // how often it fires; 0 = always, until ClearFaults
	After  int               // lets so many matching occasions pass first
}

// answers says whether the fault replaces the answer with its own.
func (f *Fault) answers() bool { return f.Answer != "" || f.Status != 0 }

// fits says whether the fault is about this step of this message.
func (f *Fault) fits(at string, subjects []string) bool {
	return f.At == at && (f.Match == "" ||
		slices.ContainsFunc(subjects, func(s string) bool { return strings.Contains(s, f.Match) }))
}

// script holds the faults that have not run out.
type script struct {
	mu     sync.Mutex
	faults []*scripted
}

type scripted struct {
	Fault
	seen, fired int
}

// due counts one matching occasion and says whether the fault fires at it.
func (f *scripted) due() bool {
	if f.Times > 0 && f.fired >= f.Times {
		return false
	}
	f.seen++
	if f.seen <= f.After {
		return false
	}
	f.fired++
	return true
}

// next returns the fault that fires now, or nil.
func (s *script) next(at string, subjects ...string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.fits(at, subjects) && f.due() {
			fault := f.Fault
			return &fault
		}
	}
	return nil
}

func (s *script) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults) == 0
}

// Fault adds a fault behind those there are.
func (s *Server) Fault(f Fault) {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.faults = append(s.script.faults, &scripted{Fault: f})
}

// ClearFaults ends all faults; one that hangs already goes on hanging.
func (s *Server) ClearFaults() {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.faults = nil
}

// fault returns the fault that fires at this step, or nil, and tells of it.
func (s *Server) fault(at string, subjects ...string) *Fault {
	f := s.script.next(at, subjects...)
	if f != nil {
		s.record.count(func(c *Counters) { c.Faults++ })
		s.tell(Event{Kind: EventFault, Detail: "scripted fault at " + at})
	}
	return f
}

// sleep waits for d, or until the context ends, whichever is first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
