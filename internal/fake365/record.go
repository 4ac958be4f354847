package fake365

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Message is one message as it arrived.
type Message struct {
	Sender     string   // reverse-path of MAIL FROM; by Graph, the From header's address
	Recipients []string // RCPT TO, in order; by Graph, the addresses of To, Cc and Bcc
	RcptParams []string // parameters of each RCPT TO, as sent; nil by Graph
	Data       []byte   // the text, dot-stuffing undone, otherwise byte for byte (by Graph with its Bcc)
	Mailbox    string   // the mailbox it was submitted through
	Mechanism  string   // how the client authenticated: "XOAUTH2", "Bearer"
	Via        string   // "smtp" or "graph"
	Time       time.Time
	Chunked    bool   // it came by BDAT
	MailParams string // parameters of MAIL FROM, as sent
}

// Counters tells how often things happened since Start.
type Counters struct {
	Connections            int // SMTP connections taken
	OpenConnections        int // of these, open now
	PeakMailboxConnections int // the most authenticated connections any one mailbox had at a time
	Handshakes             int // TLS handshakes done on SMTP connections
	AuthOK                 int // AUTH answered 235
	AuthRefused            int // AUTH answered 535
	Limited                int // AUTH answered 432: too many connections of the mailbox
	TokenRequests          int // requests to the token endpoint
	TokensIssued           int
	TokensRefused          int
	RefreshRotations       int // refresh tokens used up and replaced
	Messages               int // messages taken, by SMTP and Graph
	GraphMessages          int // of these, by Graph
	GraphThrottled         int // sendMail answered 429 because of too many at once
	Chunks                 int // BDAT commands
	Flights                int // writes of replies after AUTH: the round trips a client waited for
	Faults                 int // scripted faults that fired
}

// Kind is what an Event tells of.
type Kind string

// The kinds of events.
const (
	EventConnection   Kind = "connection"    // a client connected by SMTP
	EventTLS          Kind = "tls"           // its connection is encrypted now
	EventAuth         Kind = "auth"          // it authenticated for a mailbox
	EventAuthRefused  Kind = "auth refused"  // it did not; Detail says why, the client is not told
	EventToken        Kind = "token"         // an access token was issued
	EventTokenRefused Kind = "token refused" // none was issued
	EventMessage      Kind = "message"       // a message was taken
	EventRefused      Kind = "refused"       // a message was refused at its end
	EventFault        Kind = "fault"         // a scripted fault fired
)

// Event is one notable thing, told to Options.Observe. It never holds a token or a secret.
type Event struct {
	Time    time.Time
	Kind    Kind
	Remote  string // the client's address, "" when there is none
	Mailbox string
	Detail  string   // in words
	Message *Message // with EventMessage; do not change it
}

// record is what the tenant remembers of its visitors.
type record struct {
	keep     int
	mu       sync.Mutex
	counters Counters
	mailbox  map[string]int // authenticated connections now, by mailbox in lower case
	graph    map[string]int // sendMail requests now, by mailbox in lower case
	messages []Message
	arrived  chan struct{} // closed and replaced with each message
}

func newRecord(keep int) *record {
	return &record{keep: keep, mailbox: map[string]int{}, graph: map[string]int{}, arrived: make(chan struct{})}
}

// count changes the counters under the lock.
func (r *record) count(change func(*Counters)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.counters)
}

// enter takes a place among the mailbox's connections, if one is free.
func (r *record) enter(mailbox string, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := strings.ToLower(mailbox)
	if limit > 0 && r.mailbox[key] >= limit {
		r.counters.Limited++
		return false
	}
	r.mailbox[key]++
	r.counters.AuthOK++
	r.counters.PeakMailboxConnections = max(r.counters.PeakMailboxConnections, r.mailbox[key])
	return true
}

// leave gives the place back.
func (r *record) leave(mailbox string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mailbox[strings.ToLower(mailbox)]--
}

// add keeps a message and wakes whoever waits for it.
func (r *record) add(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
	if r.keep > 0 && len(r.messages) > r.keep {
		r.messages = slices.Clone(r.messages[len(r.messages)-r.keep:])
	}
	r.counters.Messages++
	if m.Via == "graph" {
		r.counters.GraphMessages++
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
}

// snapshot returns the messages kept, how many there have been, and the channel that closes with the next.
func (r *record) snapshot() (kept []Message, all int, arrived <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages), r.counters.Messages, r.arrived
}

// Messages returns what has arrived so far and is kept, in order.
func (s *Server) Messages() []Message {
	messages, _, _ := s.record.snapshot()
	return messages
}

// Wait returns the messages as soon as n of them have arrived, or what there is with the context's error.
func (s *Server) Wait(ctx context.Context, n int) ([]Message, error) {
	for {
		messages, all, arrived := s.record.snapshot()
		if all >= n {
			return messages, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return messages, ctx.Err()
		}
	}
}

// Counters returns what has been counted so far.
func (s *Server) Counters() Counters {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return s.record.counters
}

// take keeps a message and tells the narrator. The message is readable before the client has its answer.
func (s *Server) take(m Message) {
	m.Time = time.Now()
	s.record.add(m)
	s.tell(Event{Kind: EventMessage, Mailbox: m.Mailbox, Message: &m})
}

// tell calls the narrator. No lock is held, so it may ask the server anything; to shut a door from here would be to
// wait for oneself.
func (s *Server) tell(e Event) {
	if s.opt.Observe == nil {
		return
	}
	e.Time = time.Now()
	s.opt.Observe(e)
}
