package mail

import "time"

// Visit is what a client was seen to be and do, over all its connections that looked the same: the inventory that an
// administrator needs before a sign-in method is switched off.
type Visit struct {
	Address   string         `json:"address,omitempty"`   // without port; "" on a unix socket
	Listener  string         `json:"listener,omitempty"`  // the listener's address
	User      string         `json:"user,omitempty"`      // the local user that signed in
	Name      string         `json:"name,omitempty"`      // HELO
	TLS       string         `json:"tls,omitempty"`       // version and cipher suite; "" without
	Mechanism string         `json:"mechanism,omitempty"` // of AUTH
	First     time.Time      `json:"first"`
	Last      time.Time      `json:"last"`
	LastSent  time.Time      `json:"last_message,omitzero"` // when it last handed over a message that was taken
	Count     int            `json:"connections"`
	Accepted  int            `json:"accepted"`          // messages
	Refused   int            `json:"refused"`           // by policy
	Failures  int            `json:"failures"`          // passwords
	Repairs   map[string]int `json:"repairs,omitempty"` // what had to be mended, and how often
	Trouble   string         `json:"trouble,omitempty"` // why connections came to nothing, the last one's
}

// Key is the same for visits that look the same.
func (v Visit) Key() string {
	return v.Address + "\x00" + v.Listener + "\x00" + v.User + "\x00" + v.Name + "\x00" + v.TLS + "\x00" + v.Mechanism
}

// Served says whether the client ever got anything done here: what it is worth to remember it.
func (v Visit) Served() bool { return v.Accepted > 0 || v.User != "" }

// Add merges another visit with the same key.
func (v *Visit) Add(o Visit) {
	if v.Count == 0 {
		*v = o
		v.Repairs = nil
	} else {
		v.Count, v.Accepted = v.Count+o.Count, v.Accepted+o.Accepted
		v.Refused, v.Failures = v.Refused+o.Refused, v.Failures+o.Failures
		if o.First.Before(v.First) {
			v.First = o.First
		}
		if o.Last.After(v.Last) {
			v.Last = o.Last
		}
		if o.LastSent.After(v.LastSent) {
			v.LastSent = o.LastSent
		}
		if o.Trouble != "" {
			v.Trouble = o.Trouble
		}
	}
	for what, n := range o.Repairs {
		if v.Repairs == nil {
			v.Repairs = make(map[string]int)
		}
		v.Repairs[what] += n
	}
}
