package mail

import "time"

// Event is one row of a message's trace: what happened, when, and in whose words.
type Event struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"` // accepted, delivered, deferred, failed, held, released, attempt, in doubt, …
	Attempt    int       `json:"attempt,omitempty"`
	Recipient  string    `json:"recipient,omitempty"`
	Connection string    `json:"connection,omitempty"`
	Reply      string    `json:"reply,omitempty"`
	Class      Class     `json:"class,omitempty"`
	Cause      string    `json:"cause,omitempty"`
	Fix        string    `json:"fix,omitempty"`
	DurationMS int64     `json:"duration_ms,omitempty"`
	Client     *Client   `json:"client,omitempty"` // of the accepted event only
	Detail     string    `json:"detail,omitempty"`
	Reports    bool      `json:"reports,omitempty"` // the provider took the DSN parameters over
	Expired    bool      `json:"expired,omitempty"` // failed because it was too old, not because it was refused
}

// The words for what happens to a message, in the log and in its trace; they stand for nothing else.
const (
	EventAccepted  = "accepted"
	EventDelivered = "delivered"
	EventDeferred  = "deferred"
	EventFailed    = "failed"
	EventHeld      = "held"
)
