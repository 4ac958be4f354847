package tokens

import (
	"fmt"
	"time"
)

// refreshLife is how long a refresh token lives that nobody uses: Microsoft says 90 days, Google six months. Of others
// it is not known.
var refreshLife = map[Vendor]time.Duration{Microsoft: 90 * 24 * time.Hour, Google: 180 * 24 * time.Hour}

// The kinds of things that expire.
const (
	ExpiryCertificate = "certificate"
	ExpirySecret      = "client_secret"
	ExpirySignIn      = "sign-in"
)

// Expiry is one thing that will stop working.
type Expiry struct {
	Kind   string    // one of the Expiry constants
	At     time.Time // zero: unknown, nothing is forecast
	Vendor Vendor    // for advice only
}

// SignInExpiry is the expiry of a sign-in: what matters is when it was last used.
func SignInExpiry(a Account, by Vendor) Expiry {
	life := refreshLife[by]
	if a.Used.IsZero() || life == 0 {
		return Expiry{Kind: ExpirySignIn, Vendor: by}
	}
	return Expiry{ExpirySignIn, a.Used.Add(life), by}
}

// Told is what was said already of an Expiry. The zero Told is nothing. It is JSON, for whoever keeps it.
type Told struct {
	At     time.Time     `json:"at"`     // the expiry that it was about
	Before time.Duration `json:"before"` // the nearest threshold that was told; 0 is the end itself
}

// Warning is what is to be told now.
type Warning struct {
	Kind   string
	Before time.Duration // the threshold that was passed; 0 when it has expired
	Left   time.Duration // until the expiry; negative after it
	Text   string        // in one line
	Fix    string
}

// Forecast says whether a warning is due: one for each threshold, the nearest that has been passed, and none twice.
// It returns what has been told then, to be passed in the next time. A new expiry (a certificate was replaced, a
// sign-in was used) starts anew. thresholds are spans before the expiry, in any order; the end itself is one without saying.
func Forecast(e Expiry, told Told, thresholds []time.Duration, now time.Time) (*Warning, Told) {
	if e.At.IsZero() {
		return nil, Told{}
	}
	left := e.At.Sub(now)
	due := time.Duration(-1)
	for _, before := range append([]time.Duration{0}, thresholds...) {
		if left <= before && (due < 0 || before < due) {
			due = before
		}
	}
	switch {
	case due < 0:
		return nil, Told{}
	case told.At.Equal(e.At) && told.Before <= due:
		return nil, told
	}
	w := expiryText(e, left)
	w.Before = due
	return &w, Told{At: e.At.Round(0), Before: due}
}

// DaysLeft counts whole days; what ended an hour ago has -1 left. A minute is given: what was made for 730 days just now
// has 730 days left.
func DaysLeft(left time.Duration) int {
	left += time.Minute
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return days
}

func expiryText(e Expiry, left time.Duration) Warning {
	kind := expiryWords[e.Kind]
	w := Warning{Kind: e.Kind, Left: left, Fix: e.Vendor.fix(kind.fix)}
	day := e.At.UTC().Format("2006-01-02 15:04 MST")
	switch days := DaysLeft(left); {
	case left <= 0:
		w.Text = fmt.Sprintf("%s expired on %s", kind.name, day)
	case days == 0:
		w.Text = fmt.Sprintf("%s expires within a day, on %s", kind.name, day)
	case days == 1:
		w.Text = fmt.Sprintf("%s expires in 1 day, on %s", kind.name, day)
	default:
		w.Text = fmt.Sprintf("%s expires in %d days, on %s", kind.name, days, day)
	}
	return w
}

var expiryWords = map[string]struct {
	name string
	fix  topic
}{
	ExpiryCertificate: {"The app's certificate", onNewCertificate},
	ExpirySecret:      {"The client secret", onNewSecret},
	ExpirySignIn:      {"The sign-in", onIdleSignIn},
}
