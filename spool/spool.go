package spool

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// InlineLimit is the size up to which a text is kept in the database, and in memory while it arrives; a longer one
// goes to a place of its own as it arrives. Measured: above it a file is faster than a row.
const InlineLimit = 128 << 10

// Errors that callers act on.
var (
	ErrNotFound = errors.New("no message with this id is in the spool")
	ErrFull     = errors.New("the spool has reached its max_size")
	ErrLocked   = errors.New("another mailbearer is running on this data directory")
)

// Spool is a durable queue of messages. All methods may be called from many goroutines at once.
type Spool interface {
	// NewBody begins the text of message id. It touches the disk only once the text outgrows InlineLimit.
	NewBody(id mail.ID) Body

	// Put makes the message durable: when it returns nil, envelope and text survive a power cut. The message is
	// due at once. If watch is true the message is marked watched until Wait ends, and Wait must be called. Put
	// takes the body over, whether it succeeds or not. ErrFull says that max_size would be exceeded.
	Put(ctx context.Context, env *mail.Envelope, body Body, watch bool) error

	// Wait blocks until the watched message is settled for the first time, deferred included, and returns the
	// outcome for the message as a whole with true. If ctx ends first, or Dismiss is called for the message, it
	// takes the mark off and returns false, unless an outcome was settled just before, which it then returns.
	// A watched message all of whose recipients were refused is still in the spool, still watched, when Wait
	// returns: the caller must end that with Forget or Unwatch.
	Wait(ctx context.Context, id mail.ID) (mail.Outcome, bool)

	// Watched lists the watched messages of an account that are not settled, oldest first.
	Watched(account string) []mail.ID

	// Dismiss ends the waits for these messages: nothing will be known of them soon.
	Dismiss(ids ...mail.ID)

	// Forget removes a wholly refused message whose sender has been told so in the session.
	Forget(ctx context.Context, id mail.ID) error

	// Unwatch takes the mark off a message whose waiting client has gone, so that it is reported like any other.
	Unwatch(ctx context.Context, id mail.ID) error

	// Claim takes due messages of one account, oldest due time first, for an attempt. Before it returns, each
	// message's attempt count and next due time are durable.
	Claim(ctx context.Context, req ClaimRequest) ([]Claimed, error)

	// Open reads the text of a message from its beginning. The caller closes it.
	Open(ctx context.Context, id mail.ID) (io.ReadCloser, error)

	// Settle makes the outcomes of an attempt durable, per recipient, and releases the claim. When no recipient
	// is left to try the text is removed if all were delivered, and kept with the failed message otherwise.
	Settle(ctx context.Context, s Settlement) error

	// Return gives claims back as if they had not been made: the attempt does not count, the message is due when
	// it was due before.
	Return(ctx context.Context, ids ...mail.ID) error

	// NextDue says when the earliest waiting message of an account is due; false when none waits. A claimed message
	// is due when its lease ends, so that a lost attempt wakes somebody.
	NextDue(ctx context.Context, account string) (time.Time, bool, error)

	// Get returns one message; ErrNotFound when there is none.
	Get(ctx context.Context, id mail.ID) (Message, error)

	// List returns the messages that the filter lets through, oldest first.
	List(ctx context.Context, f Filter) ([]Message, error)

	// Trace returns everything that happened to a message, oldest first.
	Trace(ctx context.Context, id mail.ID) ([]mail.Event, error)

	// Counts says how many messages each account has in each state.
	Counts(ctx context.Context) (map[string]Counts, error)

	// SetAccount writes the state of an account, for status to read.
	SetAccount(ctx context.Context, a mail.Account) error

	// Accounts returns what SetAccount wrote, by name.
	Accounts(ctx context.Context) (map[string]mail.Account, error)

	// Changed delivers when mail may have become due: after a Put here, and within a second of a write by another
	// process. It has one slot, so a slow reader misses nothing but repetitions.
	Changed() <-chan struct{}

	// Close waits for what has been handed over and closes the spool.
	Close() error
}

// Body is the text of a message while it arrives.
type Body interface {
	io.Writer
	// Size is the number of octets written so far.
	Size() int64
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
}

// Filter chooses messages; its zero value chooses all that are not delivered.
type Filter struct {
	Account   string
	State     mail.State
	Sender    string        // pattern, `*` for any run of characters, case ignored
	OlderThan time.Duration // received longer ago than this
	Now       time.Time
	Limit     int // 0 is no limit
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
