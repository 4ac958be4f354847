package courier

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// lease is how long a claim lasts. An attempt waits for its connection no longer than slotLimit, is cut after
// attemptLimit, and then awaits a last word for ten minutes (RFC 5321 §4.5.3.2.6): all that is less than a lease, so that
// no message is ever claimed twice at once.
const (
	lease        = 2 * time.Hour
	slotLimit    = 50 * time.Minute
	attemptLimit = 50 * time.Minute
)

// Deliverer hands one message to a provider and reports what it said. When ctx ends it gives up unless the end of
// data has been sent.
type Deliverer interface {
	Deliver(ctx context.Context, env *mail.Envelope, open func() (io.ReadCloser, error)) mail.Result
}

// Pace keeps an account within its provider's limits.
type Pace interface {
	// Room says how many messages may be started now, and when to ask again if none may.
	Room(now time.Time) (n int, next time.Time)
	// Start counts one message that is being started.
	Start(now time.Time)
	// Connections is how many messages may be under way at once.
	Connections(now time.Time) int
}

// Sign is what an account's token source shows of itself.
type Sign struct {
	State   mail.AccountState
	Trouble *mail.Trouble // why it is held, or will be when the token at hand ends; nil when all is well
	Since   time.Time     // since when it is held
	Expires time.Time     // of the current token; zero without one
}

// Account is one upstream account as the courier needs it.
type Account struct {
	Name      string
	Mailbox   string
	Remote    string // host name of the provider's mail server, for reports
	Deliverer Deliverer
	Pace      Pace
	Sign      func() Sign      // the state of its tokens; may be nil
	Renew     func()           // fetches a new token, unless the provider's Retry-After forbids it; may be nil
	Expires   func() time.Time // of what it signs in with, zero when not known; may be nil
}

// Options say what a courier works with.
type Options struct {
	Spool    spool.Spool
	Accounts []Account
	Retry    []time.Duration // delays after attempt 1, 2, …; the last repeats
	MaxAge   time.Duration   // older messages are given up at the next temporary refusal
	Log      zerolog.Logger

	HistoryRetention time.Duration // how long what was delivered stays in the history
	FailedRetention  time.Duration // how long what failed is kept

	Hostname  string                    // of this relay, in reports
	MayReport func(*mail.Envelope) bool // whether a message's sender is one of ours; reports never go to strangers
	Alert     func(report.Alert)        // tells the operators; may be nil, must not block
	Clock     func() time.Time          // the wall clock: time.Now unless a test says otherwise
}

// Courier carries messages for all accounts.
type Courier struct {
	opts     Options
	carriers map[string]*carrier
	teller   *teller

	asked map[string]int64 // how often probes were asked for, when last looked
}

// New returns a courier; Run starts it.
func New(o Options) *Courier {
	if o.Alert == nil {
		o.Alert = func(report.Alert) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := &Courier{opts: o, carriers: make(map[string]*carrier), teller: newTeller(o)}
	for _, a := range o.Accounts {
		c.carriers[a.Name] = newCarrier(a, o, func() { signal(c.teller.wake) })
	}
	return c
}

// Run carries mail until ctx ends and every attempt has come back. To cut attempts that wait for a provider's last
// word, close their Deliverers.
func (c *Courier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, k := range c.carriers {
		wg.Go(func() { k.run(ctx) })
	}
	wg.Go(func() { c.teller.run(ctx) })
	wg.Go(func() { c.tidy(ctx) })
	c.probesAsked(ctx) // what was asked before we ran is nothing to hurry for
	look := time.NewTimer(0)
	for looking := true; ; {
		select {
		case <-ctx.Done():
			look.Stop()
			wg.Wait()
			return
		case <-c.opts.Spool.Changed():
			c.wake()
			if !looking {
				looking = true
				look.Reset(lookAfter)
			}
		case <-look.C:
			looking = false
			for _, account := range c.probesAsked(ctx) {
				c.Probe(account)
			}
		}
	}
}

// lookAfter is how long after a change it is looked whether the change was a request to probe: not at every one, since
// every message that arrives is a change.
const lookAfter = 300 * time.Millisecond

// probesAsked returns the accounts that other processes ask to be tried at once, since it was last called.
func (c *Courier) probesAsked(ctx context.Context) (accounts []string) {
	asked, err := c.opts.Spool.ProbesAsked(ctx)
	if err != nil {
		return nil // seen with the next change
	}
	for account, n := range asked {
		if n > c.asked[account] {
			accounts = append(accounts, account)
		}
	}
	c.asked = asked
	return accounts
}

func (c *Courier) wake() {
	for _, k := range c.carriers {
		signal(k.changed)
	}
}

// Probe makes held accounts try again at once: all of them, or the one named.
func (c *Courier) Probe(account string) {
	for name, k := range c.carriers {
		if account == "" || account == name {
			signal(k.hurry)
		}
	}
}

// Retire says that another courier is about to take over: what this one has under way is settled still, but the
// accounts' states are its successor's to write. End Run's context after it.
func (c *Courier) Retire() {
	for _, k := range c.carriers {
		k.retired.Store(true)
	}
}

// Touch says that an account's Sign has changed.
func (c *Courier) Touch(account string) {
	if k := c.carriers[account]; k != nil {
		signal(k.touched)
	}
}

// signal puts a token into a one-slot channel.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
