package spool

import (
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// Body is the text of a message while it arrives.
type Body interface {
	io.Writer
	// Size is the number of octets written so far.
	Size() int64
	// Reader reads what has been written so far, from its beginning. Nothing is written while it is open.
	Reader() (io.ReadCloser, error)
	// Discard gives the text up. It does nothing after Put.
	Discard()
}

// ClaimRequest says what to claim.
type ClaimRequest struct {
	Account string
	Limit   int           // at most so many; 0 is none
	Now     time.Time     // what is due by then
	Lease   time.Duration // after so long without Settle or Return the message is due again
	// Next gives the due time after an attempt, counted from 1, so that it is on disk before the network is
	// touched.
	Next func(attempt int) time.Time
	// Except is passed over while another message is due: a probe takes a different message each time.
	Except mail.ID
	// DueOrNot claims whatever waits, due or not: a probe does not depend on a message's own schedule.
	DueOrNot bool
}

// Claimed is one message taken for an attempt.
type Claimed struct {
	Envelope *mail.Envelope
	Attempt  int       // 1 for the first
	Next     time.Time // when it is due again if this attempt defers it
	Since    time.Time // what its age for max_age counts from: received, or the operator's last Retry or Release
	First    bool      // nobody has claimed it before, not even a claim that was returned
}

// Spoilt is one message that was due and cannot be sent. It has become failed.
type Spoilt struct {
	Envelope *mail.Envelope // as full as it can be read
	Attempts int            // made before
	Cause    error          // ErrTextMissing, or why the record cannot be read
	Fix      string         // what can be done about it
}

// Settlement is what one attempt did.
type Settlement struct {
	ID       mail.ID
	Now      time.Time
	Outcomes map[int]mail.Outcome // by index into Envelope.Recipients; those not named are left as they are
	Due      time.Time            // when deferred recipients are due; zero keeps what Claim wrote
	Events   []mail.Event         // appended to the trace
}

// Message is one message as an operator sees it.
type Message struct {
	Envelope    mail.Envelope
	State       mail.State
	Attempts    int
	NextAttempt time.Time // zero when it will not be tried by itself
	LastReply   string
	Settled     time.Time // when the last recipient was settled; zero before
	Watched     bool
	Since       time.Time // what its age for max_age counts from, as in Claimed
	Reported    bool      // it is settled, and what is to be told about its outcome has been told, or is not wanted
	Warned      bool      // the same for its delay
}

// Filter chooses messages; its zero value chooses all that are not delivered.
type Filter struct {
	Account   string
	State     mail.State
	Sender    string        // pattern, `*` for any run of characters, case ignored
	OlderThan time.Duration // received longer ago than this
	Now       time.Time
	Limit     int     // 0 is no limit
	After     mail.ID // only later ids: the last of one page, to ask for the next; with Limit no page costs more than it holds
}

// Counts is the number of messages in each state.
type Counts struct {
	Ready    int `json:"ready"`
	Deferred int `json:"deferred"`
	Held     int `json:"held"`
	Failed   int `json:"failed"`
}

// Queued is the number of messages that still have to be sent.
func (c Counts) Queued() int { return c.Ready + c.Deferred + c.Held }
