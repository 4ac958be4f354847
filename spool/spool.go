package spool

import (
	"context"
	"io"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// InlineLimit is the size up to which a text is kept in the database, and in memory while it arrives; a longer one
// goes to a place of its own as it arrives. Measured: above it a file is faster than a row.
const InlineLimit = 128 << 10

// Spool is a durable queue of messages. All methods may be called from many goroutines at once.
type Spool interface {
	// NewBody begins the text of message id. It touches the disk only once the text outgrows InlineLimit.
	NewBody(id mail.ID) Body

	// Put makes the message durable: when it returns nil, envelope and text survive a power cut. The message is
	// due at once. If watch is true the message is marked watched until Wait ends, and Wait must be called. Put
	// takes the body over, whether it succeeds or not. ErrFull says that max_size would be exceeded, ErrDiskFull
	// that the disk has no room; then nothing of the message is left.
	//
	// A report (About and Kind are set) marks the message it is about in the same transaction: a failure or success
	// report as Told does with the recipients in Tells, a delay warning as Warned does. So a report is made exactly
	// once, whatever crashes. If there is nothing to tell, or no longer, Put stores nothing: ErrAlreadyReported when
	// it was told before, ErrNotDue when one of Tells has not met that fate, or the message of a delay waits no
	// longer; ErrNotFound when there is no such message any more.
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
	// message's attempt count and next due time are durable. What was due and cannot be sent, because its text is
	// gone or its record cannot be read, becomes failed instead and is named in spoilt: nobody else would learn of
	// it at once. Claimed and spoilt together are at most req.Limit.
	Claim(ctx context.Context, req ClaimRequest) (claimed []Claimed, spoilt []Spoilt, err error)

	// Open reads the text of a message from its beginning. The caller closes it. ErrTextMissing when it is gone
	// though it is needed: such a message becomes failed by its next Claim, with the cause in its trace.
	Open(ctx context.Context, id mail.ID) (io.ReadCloser, error)

	// Settle makes the outcomes of an attempt durable, per recipient, and releases the claim. When no recipient
	// is left to try the text is removed if all were delivered, and kept with the failed message otherwise. A
	// message that is left to try although its text is gone is due at once, so that the next Claim finds it.
	// ErrNotFound and ErrUnfit say that it can never be written; after any other error it may be tried again.
	Settle(ctx context.Context, s Settlement) error

	// Return gives claims back as if they had not been made: the attempt does not count, the message is due when
	// it was due before.
	Return(ctx context.Context, ids ...mail.ID) error

	// NextDue says when the earliest waiting message of an account is due; false when none waits. A claimed message
	// is due when its lease ends, so that a lost attempt wakes somebody.
	NextDue(ctx context.Context, account string) (time.Time, bool, error)

	// Get returns one message; ErrNotFound when there is none.
	Get(ctx context.Context, id mail.ID) (Message, error)

	// Hold sets a message that waits aside until Release. ErrBusy while it is being sent. To hold what is held
	// does nothing; what is settled cannot be held. A client that waits for the message waits no longer.
	Hold(ctx context.Context, id mail.ID) error

	// Release makes a held message due at once. Its age for max_age starts anew. ErrTextMissing as with Retry.
	Release(ctx context.Context, id mail.ID) error

	// Retry makes a waiting or failed message due at once. Its failed recipients are pending again, its delivered
	// ones stay delivered; if some fail again, that is reported again. Attempts go on counting, so that its trace
	// stays unambiguous, but its age for max_age starts anew: Claimed.Since is now. ErrBusy while it is being sent,
	// or while the client that waits for it is told that it was refused; a held message must be released instead.
	// ErrTextMissing says that it cannot be sent because its text is gone.
	Retry(ctx context.Context, id mail.ID) error

	// Drop removes a message, its text and its trace, whatever its state; nobody is told. ErrBusy as with Retry.
	Drop(ctx context.Context, id mail.ID) error

	// Untold lists messages with a recipient whose fate somebody still has to be told (mail.Recipient.Untold), oldest
	// first, whether others are still tried or not: none that is watched, and none that is a report or an alert itself.
	// A message that was wholly delivered has no text any more.
	Untold(ctx context.Context, limit int) ([]Message, error)

	// Told says that the telling of what became of these recipients, by index, is done, or not wanted. ErrNotDue when
	// one of them is not settled.
	Told(ctx context.Context, id mail.ID, recipients ...int) error

	// Late lists messages that wait, were received before t, and about which no delay warning was made yet, oldest
	// first; no reports, and nothing that an operator holds.
	Late(ctx context.Context, before time.Time, limit int) ([]Message, error)

	// Warned says that the delay warning about a message is done, or not wanted. There is one in a message's life.
	Warned(ctx context.Context, id mail.ID) error

	// Purge removes delivered messages settled before `delivered` and failed ones settled before `failed`, with
	// texts and traces, at most limit of them, and says how many: call it again until it says 0. Failed messages
	// nobody has been told about stay (see Told). Nothing goes sooner because the wall clock was set forward.
	Purge(ctx context.Context, delivered, failed time.Time, limit int) (int, error)

	// Backup writes a consistent copy of the spool, relay running or not, into a directory that is empty or not
	// there. The copy is a data directory as far as the spool is concerned.
	Backup(ctx context.Context, dir string) error

	// List returns the messages that the filter lets through, oldest first.
	List(ctx context.Context, f Filter) ([]Message, error)

	// Trace returns everything that happened to a message, oldest first.
	Trace(ctx context.Context, id mail.ID) ([]mail.Event, error)

	// Counts says how many messages each account has in each state.
	Counts(ctx context.Context) (map[string]Counts, error)

	// SetAccount writes the state of an account, for status to read, and keeps the times in which it is held: from
	// Account.Since (or now, if that is not set) when it becomes AccountHeld, until it becomes AccountReady.
	SetAccount(ctx context.Context, a mail.Account) error

	// Accounts returns what SetAccount wrote, by name.
	Accounts(ctx context.Context) (map[string]mail.Account, error)

	// HeldSince says for how long an account was held between since and now: what does not count towards max_age. A
	// hold that a crash left open lasts until the account is written as ready. Time by which the wall clock was set
	// forward, or slept, while an owner ran is no time in which mail was tried, so it counts as held, for every account.
	HeldSince(ctx context.Context, account string, since time.Time) (time.Duration, error)

	// Saw adds to the inventory of clients: visits that look the same become one.
	Saw(ctx context.Context, visits []mail.Visit) error

	// Clients returns the inventory, who was here last first. It is bounded: the oldest are forgotten.
	Clients(ctx context.Context) ([]mail.Visit, error)

	// AskProbe asks the running relay to try an account at once, should it be held: a person has changed something.
	AskProbe(ctx context.Context, account string) error

	// ProbesAsked says how often AskProbe was called for each account. A number that has grown is a request.
	ProbesAsked(ctx context.Context) (map[string]int64, error)

	// Changed delivers when mail may have become due: after a Put here, and within a second of a write by another
	// process. It has one slot, so a slow reader misses nothing but repetitions.
	Changed() <-chan struct{}

	// Close waits for what has been handed over and closes the spool.
	Close() error
}
