package mail

import (
	"slices"
	"strings"
	"time"
)

// Envelope is what a message is carried by: everything about it but its text.
// It is kept in the spool as JSON, so fields are only ever added (an old record must stay readable).
type Envelope struct {
	ID         ID          `json:"-"`
	Account    string      `json:"-"`                     // the account it was routed to
	Sender     string      `json:"sender"`                // the reverse-path; "" is the null sender (RFC 5321 §4.5.5)
	Recipients []Recipient `json:"recipients"`            // in the order the client named them
	Size       int64       `json:"-"`                     // octets of the message as spooled, trace header included
	Received   time.Time   `json:"-"`                     // when the end of data arrived
	Client     Client      `json:"client"`                // who handed it to us
	EightBit   bool        `json:"eight_bit,omitempty"`   // the text has octets above 127 (RFC 6152)
	SMTPUTF8   bool        `json:"smtputf8,omitempty"`    // an address needs RFC 6531
	Return     string      `json:"return,omitempty"`      // DSN RET: FULL or HDRS (RFC 3461 §4.3)
	EnvelopeID string      `json:"envelope_id,omitempty"` // DSN ENVID, as the client wrote it in xtext (RFC 3461 §4.4)

	// About and Kind are set on what we write ourselves: a report about another message, or an alert. Nothing is
	// ever reported about those.
	About ID    `json:"about,omitzero"`
	Kind  Kind  `json:"kind,omitempty"`
	Tells []int `json:"tells,omitempty"` // a report of failure or success: the indexes of the recipients it tells of
}

// Kind says what a message is that we wrote ourselves.
type Kind string

// The kinds of messages. The zero value is mail that a client handed to us.
const (
	KindFailure Kind = "failure" // RFC 3464 report: a recipient failed
	KindDelay   Kind = "delay"   // RFC 3464 report: not delivered yet
	KindSuccess Kind = "success" // RFC 3464 report: handed on, as asked for
	KindAlert   Kind = "alert"   // for the operators of this relay
)

// LocalClient stands for the address of a client that came over no listener: a command of ours, or we ourselves.
const LocalClient = "local"

// Client says where a message came from.
type Client struct {
	Address  string `json:"address,omitempty"`  // host:port, or LocalClient
	Name     string `json:"name,omitempty"`     // its HELO or EHLO argument
	User     string `json:"user,omitempty"`     // the local user that signed in
	TLS      string `json:"tls,omitempty"`      // version and cipher suite
	Listener string `json:"listener,omitempty"` // the listener's address

	Sender  string   `json:"sender,omitempty"`  // what it gave as the sender, where the mailbox took its place
	Repairs []string `json:"repairs,omitempty"` // what had to be mended in its message
}

// Recipient is one forward-path of an envelope and what became of it so far.
type Recipient struct {
	Address  string         `json:"address"`
	State    RecipientState `json:"state"`
	Reply    string         `json:"reply,omitempty"`    // the provider's last words about it, verbatim
	Notify   []string       `json:"notify,omitempty"`   // DSN NOTIFY (RFC 3461 §4.1)
	Original string         `json:"original,omitempty"` // DSN ORCPT, as the client wrote it (RFC 3461 §4.2)
	Told     bool           `json:"told,omitempty"`     // what became of it has been told, or that is not wanted
}

// RecipientState is where one recipient stands.
type RecipientState string

// The states of a recipient. Delivered and Failed are final until an operator retries a failed message.
const (
	Pending   RecipientState = "pending"   // not tried yet
	Deferred  RecipientState = "deferred"  // tried, temporary trouble, due again
	Delivered RecipientState = "delivered" // the provider has it
	Failed    RecipientState = "failed"    // refused for good, or given up on
)

// Settled says whether nothing more is to be done for a recipient in this state.
func (s RecipientState) Settled() bool { return s == Delivered || s == Failed }

// Untold says whether somebody still has to be told what became of a recipient: that it failed, or that it was delivered
// if the sender asked for word of that (RFC 3461 §4.1).
func (r Recipient) Untold() bool {
	asked := func(n string) bool { return strings.EqualFold(n, "SUCCESS") }
	return !r.Told && (r.State == Failed || r.State == Delivered && slices.ContainsFunc(r.Notify, asked))
}

// Untold returns the indexes of the recipients in a state whose fate somebody still has to be told.
func (e *Envelope) Untold(state RecipientState) []int {
	var list []int
	for i, r := range e.Recipients {
		if r.State == state && r.Untold() {
			list = append(list, i)
		}
	}
	return list
}

// Unsettled returns the indexes of the recipients that still have to be delivered.
func (e *Envelope) Unsettled() []int {
	var open []int
	for i, r := range e.Recipients {
		if !r.State.Settled() {
			open = append(open, i)
		}
	}
	return open
}

// State is where a whole message stands, as `queue` shows it.
type State string

// The states of a message.
const (
	StateReady     State = "ready"     // waits for its turn; never tried, or due again
	StateDeferred  State = "deferred"  // tried, and not due yet
	StateHeld      State = "held"      // set aside by an operator, and by nobody else
	StateFailed    State = "failed"    // at least one recipient failed, none is left to try
	StateDelivered State = "delivered" // every recipient has it; kept as history
)
