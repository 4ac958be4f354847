package courier

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
)

// An account without mail whose sign-in is withdrawn is told of at once, one whose sign-in service is down after a while,
// and the end of it too; mail that then meets the same is no second trouble.
func TestNoTokenIsToldWithoutMail(t *testing.T) {
	t.Parallel()
	revoked := &mail.Trouble{Kind: mail.Refused, Class: mail.ClassNeedsSignIn, Cause: "consent revoked", Fix: "sign in"}
	down := &mail.Trouble{Kind: mail.Unreachable, Class: mail.ClassTransient, Cause: "cannot be reached"}
	for _, test := range []struct {
		name    string
		trouble *mail.Trouble
		mail    bool
		after   time.Duration // it is told by then
		before  time.Duration // and not yet then
	}{
		{"revoked", revoked, false, time.Second, 0},
		{"revoked, and mail meets it", revoked, true, time.Second, 0},
		{"down", down, false, tellAfter + time.Second, tellAfter - 2*time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var alerts list[report.Alert]
				var sign atomic.Pointer[Sign]
				sign.Store(&Sign{State: mail.AccountReady})
				b := newBench(t, &provider{answer: func(_ int, env *mail.Envelope) mail.Result {
					if s := sign.Load(); s.State == mail.AccountHeld {
						return mail.Result{Trouble: s.Trouble}
					}
					return same(ok, env)
				}}, ours(&alerts), func(o *Options) {
					o.Accounts[0].Sign = func() Sign { return *sign.Load() }
				})
				defer b.stop()
				pass(time.Second)
				sign.Store(&Sign{State: mail.AccountHeld, Trouble: test.trouble, Since: time.Now()})
				b.courier.Touch("default")
				if test.before > 0 {
					pass(test.before)
					if got := alerts.all(); len(got) != 0 {
						t.Errorf("after %v: %+v", test.before, got)
					}
				}
				pass(test.after - test.before)
				if test.mail {
					b.put("a@example.net")
					pass(time.Second)
				}
				got := alerts.all()
				for _, a := range got {
					if a.Kind != report.AlertHeld || a.Key != got[0].Key || a.Fix != test.trouble.Fix {
						t.Errorf("told %+v", a)
					}
				}
				if len(got) == 0 {
					t.Fatal("nobody was told")
				}
				sign.Store(&Sign{State: mail.AccountReady})
				b.courier.Touch("default")
				pass(10 * time.Second)
				if got = alerts.all(); got[len(got)-1].Kind != report.AlertWell {
					t.Errorf("in the end: %+v", got)
				}
			})
		})
	}
}
