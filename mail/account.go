package mail

import "time"

// Account is the state of one upstream account, as `status` shows it. The courier writes it to the spool; commands
// read it from there, whether the relay runs or not.
type Account struct {
	Name              string
	Mailbox           string
	State             AccountState
	Reason            string // why it is held
	Fix               string // what to do about it
	Since             time.Time
	TokenExpires      time.Time
	CredentialExpires time.Time
	LastDelivered     time.Time
	LastError         string
	LastErrorAt       time.Time
}

// AccountState is how an account stands.
type AccountState string

// The states of an account.
const (
	AccountReady      AccountState = "ready"
	AccountRefreshing AccountState = "refreshing"
	AccountHeld       AccountState = "held"
)
