package report

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// The kinds of alerts.
const (
	AlertHeld       = "held"       // an account cannot send
	AlertTokens     = "tokens"     // an account's tokens cannot be kept or renewed
	AlertSpool      = "spool"      // mail cannot be kept safe
	AlertFailed     = "failed"     // mail failed
	AlertCredential = "credential" // a secret or certificate ends soon
	AlertLost       = "lost"       // alerts came faster than they could be told; ours alone
	AlertWell       = "well"       // the end of held, tokens or spool
)

// Alert is one thing that the operators of this relay should know. Same Kind, Account and Key: the same trouble.
type Alert struct {
	Kind    string
	Account string // "" when it is about none
	Key     string // what makes it different from other trouble of its kind and account; may be ""
	Title   string // one line
	Text    string // what happened, the provider's words included
	Fix     string // what to do
	Time    time.Time
	IDs     []mail.ID // messages it is about
}

// AlertOptions is what Alerts works with.
type AlertOptions struct {
	Email []string // who gets e-mails
	// Put puts an e-mail into the spool: to whom, subject and body as FormatAlertMail takes them. about is the
	// newest alert in it; its account may be unable to send.
	Put           func(ctx context.Context, to []string, subject string, body []byte, about Alert) error
	MailsPerHour  int    // 0 is DefaultMailsPerHour
	Webhook       string // a URL; it usually contains a key, so that only its host is ever shown
	WebhookSecret string // "" leaves the signature out
	HTTP          *http.Client
	Hostname      string // of this relay
	// Log tells of alerts that cannot be told otherwise; nil drops them. Several goroutines call it.
	Log func(problem string, err error)
}

// DefaultMailsPerHour is how many e-mails go out in any hour before they are put together.
const DefaultMailsPerHour = 20

// raisedLimit is how many alerts may wait for Run, which takes them at once; more than that is a fault somewhere.
const raisedLimit = 256

// Alerts tells the operators of what they should know, and not too often.
type Alerts struct {
	opts   AlertOptions
	raised chan Alert
	lost   atomic.Int64 // alerts that found no room
	open   collapser
	mails  *mailer  // nil: none are sent
	hook   *webhook // nil: none is called
}

// New makes Alerts; nothing is told before Run.
func New(o AlertOptions) *Alerts {
	if o.Log == nil {
		o.Log = func(string, error) {}
	}
	a := &Alerts{opts: o, raised: make(chan Alert, raisedLimit), open: collapser{}}
	if len(o.Email) > 0 && o.Put != nil {
		a.mails = newMailer(o)
	}
	if o.Webhook != "" {
		a.hook = newWebhook(o)
	}
	return a
}

// Raise takes an alert and never blocks. An alert that finds no room is counted, and the count is told.
func (a *Alerts) Raise(alert Alert) {
	if alert.Time.IsZero() {
		alert.Time = time.Now()
	}
	select {
	case a.raised <- alert:
	default:
		a.lost.Add(1)
	}
}

// Run tells what is raised until ctx ends; then what was raised before is put into the spool, and webhooks that are
// still to be called are given up.
func (a *Alerts) Run(ctx context.Context) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.hook.run(ctx)
	}()
	defer func() { <-stopped }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			a.finish(ctx)
			return
		case alert := <-a.raised:
			a.take(ctx, alert)
		case <-timer.C:
		}
		timer.Reset(a.turn(ctx, time.Now()))
	}
}

// idle is how long Run sleeps when nothing is to be told: what is raised wakes it before.
const idle = time.Hour

// take tells an alert unless it is one of those that are collapsed.
func (a *Alerts) take(ctx context.Context, alert Alert) {
	if t, ok := a.open.take(alert, time.Now()); ok {
		a.tell(ctx, t)
	}
}

// turn tells what has become due and says how long nothing else will be.
func (a *Alerts) turn(ctx context.Context, now time.Time) time.Duration {
	a.tellLost(ctx, now)
	for _, t := range a.open.due(now) {
		a.tell(ctx, t)
	}
	wait := idle
	if next := a.open.next(); !next.IsZero() {
		wait = min(wait, next.Sub(now))
	}
	if a.mails != nil {
		a.mails.flush(ctx, now)
		if next := a.mails.next(); !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	return max(wait, 0)
}

// tellLost makes an alert of its own of those that found no room. It is collapsed like all others.
func (a *Alerts) tellLost(ctx context.Context, now time.Time) {
	n := a.lost.Swap(0)
	if a.hook != nil {
		n += a.hook.lost.Swap(0)
	}
	if n == 0 {
		return
	}
	a.opts.Log(fmt.Sprintf("%d alerts came faster than they could be told, and were lost; the log has what they were about", n), nil)
	a.take(ctx, Alert{
		Kind: AlertLost, Time: now, Title: "alerts were lost",
		Text: fmt.Sprintf("%d alerts came faster than they could be told.", n),
		Fix:  "Look at \"mailbearer status\" and at the log, which have everything.",
	})
}

func (a *Alerts) tell(ctx context.Context, t telling) {
	if a.mails != nil {
		a.mails.tell(ctx, t, time.Now())
	}
	if a.hook != nil {
		a.hook.tell(t)
	}
}

// finishFor bounds the end: the spool is on this machine.
const finishFor = 5 * time.Second

// finish puts into the spool what was raised before the end, and what waited for a digest.
func (a *Alerts) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishFor)
	defer cancel()
	for {
		select {
		case alert := <-a.raised:
			a.take(ctx, alert)
			continue
		default:
		}
		break
	}
	a.tellLost(ctx, time.Now())
	if a.mails != nil {
		a.mails.last(ctx, time.Now())
	}
}
