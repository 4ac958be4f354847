package tokens

import (
	"fmt"
	"time"
)

// RefreshLife is how long an unused refresh token of Entra lives.
const RefreshLife = 90 * 24 * time.Hour

// The kinds of things that expire.
const (
	ExpiryCertificate = "certificate"
	ExpirySecret      = "client_secret"
	ExpirySignIn      = "sign-in"
)

// Expiry is one thing that will stop working.
type Expiry struct {
	Kind string    // one of the Expiry constants
	At   time.Time // zero: unknown, nothing is forecast
}

// SignInExpiry is the expiry of a sign-in at Entra: what matters is when it was last used.
func SignInExpiry(a Account) Expiry {
	if a.Used.IsZero() {
		return Expiry{Kind: ExpirySignIn}
	}
	return Expiry{ExpirySignIn, a.Used.Add(RefreshLife)}
}

// Told is what was said already of an Expiry. The zero Told is nothing. It is JSON, for whoever keeps it.
type Told struct {
	At   time.Time `json:"at"`   // the expiry that it was about
	Days int       `json:"days"` // the nearest threshold that was told; 0 is the end itself
}

// Warning is what is to be told now.
type Warning struct {
	Kind string
	Days int           // the threshold that was passed: 60, 30, 7 or 1; 0 when it has expired
	Left time.Duration // until the expiry; negative after it
	Text string        // in one line
	Fix  string
}

// thresholds in days before the expiry, nearest first.
var thresholds = []int{0, 1, 7, 30, 60}

// Forecast says whether a warning is due: one for each threshold, the nearest that has been passed, and none twice.
// It returns what has been told then, to be passed in the next time. A new expiry (a certificate was replaced, a
// sign-in was used) starts anew.
func Forecast(e Expiry, told Told, now time.Time) (*Warning, Told) {
	if e.At.IsZero() {
		return nil, Told{}
	}
	left := e.At.Sub(now)
	due := -1
	for _, days := range thresholds {
		if left <= time.Duration(days)*24*time.Hour {
			due = days
			break
		}
	}
	switch {
	case due < 0:
		return nil, Told{}
	case told.At.Equal(e.At) && told.Days <= due:
		return nil, told
	}
	w := expiryText(e, left)
	w.Days = due
	return &w, Told{At: e.At.Round(0), Days: due}
}

func expiryText(e Expiry, left time.Duration) Warning {
	kind := expiryWords[e.Kind]
	w := Warning{Kind: e.Kind, Left: left, Fix: kind.fix}
	day := e.At.UTC().Format("2006-01-02 15:04 MST")
	switch days := int(left / (24 * time.Hour)); {
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

var expiryWords = map[string]struct{ name, fix string }{
	ExpiryCertificate: {"The app's certificate", "1. `mailbearer certificate new` makes another; upload its .cer under App registrations > your app > " +
		"Certificates & secrets, beside the old one. 2. Put it in place; the relay picks it up. 3. Remove the old one in Entra."},
	ExpirySecret: {"The client secret", "1. App registrations > your app > Certificates & secrets > New client secret. " +
		"2. Put its Value where oauth.client_secret points, and its end into client_secret_expires; the relay picks it up."},
	ExpirySignIn: {"The sign-in", "1. The relay uses it at least weekly by itself, so something keeps it from doing so: `mailbearer status` says what. " +
		"2. Once it has expired, run `mailbearer authorize`."},
}
