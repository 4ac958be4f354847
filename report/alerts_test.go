package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// box is where e-mails go in these tests: one line each, with the time since the start.
type box struct {
	mu    sync.Mutex
	start time.Time
	lines []string
	full  bool // the spool refuses
	log   []string
}

func (b *box) put(_ context.Context, to []string, subject string, body []byte, about Alert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return errors.New("disk full")
	}
	b.lines = append(b.lines, fmt.Sprintf("%s %s", time.Since(b.start), strings.TrimPrefix(subject, "[mailbearer relay.example.com] ")))
	return nil
}

func (b *box) note(problem string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprint(problem, " ", err))
}

func (b *box) refuse(full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = full
}

// sent is what has been sent so far, after everybody has come to rest.
func (b *box) sent() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// logged is what has been logged so far.
func (b *box) logged() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log, "\n")
}

// want compares what has been sent so far.
func (b *box) want(t *testing.T, lines ...string) {
	t.Helper()
	same(t, "e-mails", strings.Join(b.sent(), "\n"), strings.Join(lines, "\n"))
}

func last(list []string) string { return list[len(list)-1] }

// operate runs f in virtual time with running Alerts and an empty box.
func operate(t *testing.T, f func(a *Alerts, b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &box{start: time.Now()}
		a := New(AlertOptions{Email: []string{"it@example.com"}, Put: b.put, Hostname: "relay.example.com", Log: b.note})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		f(a, b)
		stop()
		<-done
	})
}

var held = Alert{Kind: AlertHeld, Account: "default", Title: "the account default is held"}

func TestRepetitionsAreCollapsed(t *testing.T) {
	t.Parallel()
	operate(t, func(a *Alerts, b *box) {
		for range 10 * 60 { // ten hours of trouble, every minute
			a.Raise(held)
			time.Sleep(time.Minute)
		}
		b.want(t, "0s the account default is held", "15m0s the account default is held (14 times)", "45m0s the account default is held (30 times)",
			"1h45m0s the account default is held (60 times)", "3h45m0s the account default is held (120 times)",
			"7h45m0s the account default is held (240 times)")
		a.Raise(Alert{Kind: AlertWell, Account: "default", Title: "the account default sends again"})
		a.Raise(Alert{Kind: AlertWell, Account: "default", Title: "the account default sends again"})
		synctest.Wait()
		time.Sleep(time.Hour)
		a.Raise(held) // a new trouble: at once, and a new window
		synctest.Wait()
		time.Sleep(time.Minute)
		a.Raise(held)
		time.Sleep(time.Hour)
		synctest.Wait()
		same(t, "after the end", strings.Join(b.sent()[6:], "\n"),
			"10h0m0s the account default sends again\n11h0m0s the account default is held\n11h15m0s the account default is held")
	})
}

func TestDifferentTroubleIsToldApart(t *testing.T) {
	t.Parallel()
	operate(t, func(a *Alerts, b *box) {
		other, key, failed := held, held, held
		other.Account, key.Key, failed.Kind = "other", "throttled", AlertFailed
		for _, alert := range []Alert{held, other, key, failed} {
			a.Raise(alert)
		}
		b.want(t, strings.Split(strings.Repeat("0s the account default is held\n", 3)+"0s the account default is held", "\n")...)
		a.Raise(Alert{Kind: AlertWell, Account: "other", Title: "other is well"})
		a.Raise(Alert{Kind: AlertWell, Account: "third", Title: "third is well"}) // it was not in trouble
		a.Raise(failed)                                                           // "well" does not end it
		synctest.Wait()
		same(t, "last", last(b.sent()), "0s other is well")
	})
}

// TestQuietTrouble: what was quiet for a window is told at once when it comes again, and its end is told, however long
// it was quiet.
func TestQuietTrouble(t *testing.T) {
	t.Parallel()
	operate(t, func(a *Alerts, b *box) {
		a.Raise(held)
		time.Sleep(time.Hour)
		a.Raise(held)
		time.Sleep(100 * time.Hour)
		a.Raise(Alert{Kind: AlertWell, Account: "default", Title: "well"})
		b.want(t, "0s the account default is held", "1h0m0s the account default is held", "101h0m0s well")
		same(t, "remembered", len(a.open), 0)
		a.Raise(Alert{Kind: AlertFailed, Title: "failed"})
		time.Sleep(time.Hour)
		synctest.Wait()
		same(t, "remembered", len(a.open), 0)
	})
}

func TestTooManyInAnHourMakeADigest(t *testing.T) {
	t.Parallel()
	operate(t, func(a *Alerts, b *box) {
		for i := range 2 * DefaultMailsPerHour {
			a.Raise(Alert{Kind: AlertFailed, Key: fmt.Sprint(i), Title: fmt.Sprint("message ", i)})
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		same(t, "e-mails", len(b.sent()), DefaultMailsPerHour)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		same(t, "e-mails", strings.Join(b.sent()[DefaultMailsPerHour:], "\n"), "1h0m0s 20 alerts")
		a.Raise(Alert{Kind: AlertFailed, Key: "later", Title: "later"})
		time.Sleep(time.Minute) // the second e-mail of the hour is one hour old
		synctest.Wait()
		same(t, "e-mails", last(b.sent()), "1h1m0s later")
	})
}

func TestSpoolThatRefusesIsTriedAgain(t *testing.T) {
	t.Parallel()
	operate(t, func(a *Alerts, b *box) {
		b.refuse(true)
		a.Raise(Alert{Kind: AlertSpool, Title: "the disk is full"})
		a.Raise(held)
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		b.refuse(false)
		time.Sleep(10 * time.Minute)
		b.want(t, "3m0s 2 alerts")
		same(t, "logged", strings.Count(b.logged(), "disk full"), 2)
	})
}

func TestRaiseNeverBlocksAndLossIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{start: time.Now()}
		a := New(AlertOptions{Email: []string{"it@example.com"}, Put: b.put, Hostname: "relay.example.com", Log: b.note})
		for range raisedLimit + 7 { // Run has not begun
			a.Raise(held)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		synctest.Wait()
		contains(t, strings.Join(b.sent(), "\n"), "0s alerts were lost", "0s the account default is held")
		contains(t, b.logged(), "7 alerts")
		stop()
		<-done
	})
}

// TestEnd: what was raised before the end is put into the spool, and what waited for a digest too.
func TestEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{start: time.Now()}
		a := New(AlertOptions{Email: []string{"it@example.com"}, Put: b.put, Hostname: "relay.example.com", MailsPerHour: 1})
		for i := range 3 {
			a.Raise(Alert{Kind: AlertFailed, Key: fmt.Sprint(i), Title: fmt.Sprint(i)})
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		a.Run(ctx)
		b.want(t, "0s 0", "0s 2 alerts")
	})
}

// TestManyTroubles: memory stays bounded, and what is beyond it is collapsed.
func TestManyTroubles(t *testing.T) {
	t.Parallel()
	c := collapser{}
	told := 0
	for i := range 10 * troubleLimit {
		if _, ok := c.take(Alert{Kind: AlertFailed, Key: fmt.Sprint(i), Time: noon, IDs: []mail.ID{mail.ID(i)}}, noon); ok {
			told++
		}
	}
	same(t, "remembered", len(c), troubleLimit+1)
	same(t, "told", told, troubleLimit+1)
	due := c.due(noon.Add(firstWindow))
	same(t, "due", len(due), 1)
	same(t, "count", due[0].Count, 9*troubleLimit-1)
	same(t, "messages named", len(due[0].IDs), idLimit)
}

func TestAlertMail(t *testing.T) {
	t.Parallel()
	failed := telling{Alert: Alert{
		Kind: AlertFailed, Account: "default", Title: "mail for bob@example.net failed",
		Text: "The provider said: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Postfach für bob@example.net not found by SMTP address lookup",
		Fix:  "Check the address.", IDs: []mail.ID{origID, ownID},
	}, Count: 3, First: noon, Last: noon.Add(5 * time.Minute)}
	h := telling{Alert: held, Count: 1, First: noon, Last: noon}
	h.Text, h.Fix = "invalid_client: AADSTS7000222: The provided client secret keys are expired.", "Make a new secret in Entra, then: mailbearer check"
	well := telling{Alert: Alert{Kind: AlertWell, Account: "default", Title: "the account default sends again"}, Count: 9, First: noon, Last: noon.Add(83 * time.Minute)}
	for name, c := range map[string]struct {
		list    []telling
		dropped int
		want    string
	}{
		"alert-held":   {[]telling{h}, 0, "[mailbearer relay.example.com] the account default is held"},
		"alert-failed": {[]telling{failed}, 0, "[mailbearer relay.example.com] mail for bob@example.net failed (3 times)"},
		"alert-well":   {[]telling{well}, 0, "[mailbearer relay.example.com] the account default sends again"},
		"alert-digest": {[]telling{h, failed, well}, 4, "[mailbearer relay.example.com] 7 alerts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject, body := alertText("relay.example.com", c.list, c.dropped)
			env, text, err := FormatAlertMail(AlertMail{
				ID: ownID, Now: noon, Hostname: "relay.example.com", Account: "other", Mailbox: "other@example.com",
				To: []string{"it@example.com", "büro@example.com"}, Subject: subject, Body: []byte(body),
			})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".eml", text)
			wellFormed(t, text)
			p := python(t, text)
			same(t, "Subject", get(p.Headers, "Subject"), c.want)
			same(t, "to", strings.Join(p.To, " "), "it@example.com büro@example.com")
			same(t, "Auto-Submitted", get(p.Headers, "Auto-Submitted"), "auto-generated")
			same(t, "text", strings.ReplaceAll(p.Parts[0].Text, "\r\n", "\n"), body)
			if env.Kind != mail.KindAlert || env.Account != "other" || len(env.Recipients) != 2 || !env.SMTPUTF8 || env.Size != int64(len(text)) {
				t.Errorf("envelope %+v", env)
			}
		})
	}
}

func TestAlertMailNeedsAddresses(t *testing.T) {
	t.Parallel()
	for _, m := range []AlertMail{
		{Mailbox: "a@b.example"},
		{Mailbox: "a", To: []string{"a@b.example"}},
		{Mailbox: "a@b.example", To: []string{"a@b.example\r\nBcc: c@d.example"}},
	} {
		if _, text, err := FormatAlertMail(m); err == nil {
			t.Errorf("%+v: %q", m, text)
		}
	}
}
