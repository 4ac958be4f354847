package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

// Every kind of fault on a fresh connection: what it comes to, and whether the next message passes.
func TestFaults(t *testing.T) {
	t.Parallel()
	const logon = "430 4.2.0 STOREDRV; mailbox logon failure; Cannot open mailbox."
	for _, c := range []struct {
		name    string
		fault   fake365.Fault
		trouble mail.TroubleKind
		state   mail.RecipientState
		doubt   bool
		arrived int // after this message and the next
	}{
		{"greeting cut", fake365.Fault{At: "connect", Drop: true}, mail.Unreachable, "", false, 1},
		{"greeting 421", fake365.Fault{At: "connect", Answer: "421 4.3.2 Service not active"}, mail.Unreachable, "", false, 1},
		{"ehlo cut", fake365.Fault{At: "ehlo", Drop: true}, mail.Unreachable, "", false, 1},
		{"ehlo refused", fake365.Fault{At: "ehlo", Answer: "501 5.5.4 Invalid domain name"}, mail.Refused, "", false, 1},
		{"starttls 454", fake365.Fault{At: "starttls", Answer: "454 4.7.0 TLS not available"}, mail.Unreachable, "", false, 1},
		{"starttls cut", fake365.Fault{At: "starttls", Drop: true}, mail.Unreachable, "", false, 1},
		{"auth cut", fake365.Fault{At: "auth", Drop: true}, mail.Unreachable, "", false, 1},
		{"auth 454", fake365.Fault{At: "auth", Answer: "454 4.7.0 Temporary authentication failure"}, mail.Unreachable, "", false, 1},
		{"auth 432", fake365.Fault{At: "auth", Answer: "432 4.3.2 Concurrent connections limit exceeded."}, mail.Throttled, "", false, 1},
		{"auth off", fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."}, mail.Refused, "", false, 1},
		{"mail cut", fake365.Fault{At: "mail", Drop: true}, mail.Unreachable, "", false, 1},
		{"mail 421", fake365.Fault{At: "mail", Answer: "421 4.3.2 Service not active"}, mail.Unreachable, "", false, 1},
		{"mail 451", fake365.Fault{At: "mail", Answer: "451 4.7.0 Temporary server error. Please try again later. PRX1"}, "", mail.Deferred, false, 1},
		{"mail 550", fake365.Fault{At: "mail", Answer: "550 5.7.60 SMTP; Client does not have permissions to send as this sender"}, "", mail.Failed, false, 1},
		{"rcpt 550", fake365.Fault{At: "rcpt", Answer: "550 5.1.10 RESOLVER.ADR.RecipientNotFound"}, "", mail.Failed, false, 1},
		{"rcpt 450", fake365.Fault{At: "rcpt", Answer: "450 4.2.1 busy"}, "", mail.Deferred, false, 1},
		{"rcpt cut", fake365.Fault{At: "rcpt", Drop: true}, mail.Unreachable, "", false, 1},
		{"data refused", fake365.Fault{At: "data", Answer: "554 5.6.0 no"}, "", mail.Failed, false, 1},
		{"data logon failure", fake365.Fault{At: "data", Answer: logon}, mail.Refused, "", false, 1},
		{"end 550", fake365.Fault{At: "end", Answer: "550 5.7.1 content"}, "", mail.Failed, false, 1},
		{"end 451", fake365.Fault{At: "end", Answer: "451 4.3.0 later"}, "", mail.Deferred, false, 1},
		{"end quota", fake365.Fault{At: "end", Answer: "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed"}, mail.Throttled, "", false, 1},
		{"end 421", fake365.Fault{At: "end", Answer: "421 4.3.2 Service not active"}, "", mail.Deferred, false, 1},
		{"end cut, not taken", fake365.Fault{At: "end", Drop: true}, "", mail.Deferred, true, 1},
		{"end cut, taken", fake365.Fault{At: "end", Drop: true, Taken: true}, "", mail.Deferred, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, fake365.Options{})
			c.fault.Times = 1
			s.Fault(c.fault)
			r := s.send(t, greeting, "a@example.test")
			if c.trouble != "" {
				wantTrouble(t, r, c.trouble)
			} else {
				wantStates(t, r, c.state)
			}
			if r.InDoubt != c.doubt {
				t.Errorf("in doubt: %v, want %v", r.InDoubt, c.doubt)
			}
			wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
			if n := len(s.Messages()); n != c.arrived {
				t.Errorf("%d messages arrived, want %d", n, c.arrived)
			}
		})
	}
}

// The same cuts where the server takes other ways: never in doubt.
func TestCutsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"mail", "rcpt", "data"} {
		for _, fake := range []fake365.Options{{}, {NoPipelining: true}, {NoChunking: true}, {NoPipelining: true, NoChunking: true}} {
			t.Run(fmt.Sprintf("%s %v %v", at, fake.NoPipelining, fake.NoChunking), func(t *testing.T) {
				t.Parallel()
				s := newStation(t, fake)
				s.Fault(fake365.Fault{At: at, Drop: true, Times: 1})
				if at == "data" && !fake.NoChunking {
					t.Skip("BDAT carries the end of data with it")
				}
				if r := s.send(t, greeting, "a@example.test"); r.InDoubt {
					t.Error("in doubt")
				} else {
					wantTrouble(t, r, mail.Unreachable)
				}
				wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
			})
		}
	}
}

// A kept connection that is cut at MAIL costs nothing but another connection.
func TestKeptConnectionDies(t *testing.T) {
	t.Parallel()
	for _, f := range []fake365.Fault{{Drop: true}, {Answer: "421 4.4.2 Connection dropped due to timeout"}} {
		s := newStation(t, fake365.Options{})
		wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
		f.At, f.Times = "mail", 1
		s.Fault(f)
		wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
		if n := len(s.Messages()); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	}
}

func TestServerGoesAndComes(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	if err := s.Down(); err != nil {
		t.Fatal(err)
	}
	wantTrouble(t, s.send(t, greeting, "a@example.test"), mail.Unreachable)
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if r := s.send(t, greeting, "a@example.test"); r.InDoubt {
		t.Error("in doubt")
	} else {
		wantStates(t, r, mail.Delivered)
	}
}

func TestTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	s.ExpireTokens()
	s.Fault(fake365.Fault{At: "mail", Drop: true, Times: 1}) // away with the kept connection
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	if n := s.tokens.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{NoConsent: true})
	tr := wantTrouble(t, s.send(t, greeting, "a@example.test"), mail.Refused)
	if tr.Reply.Code != 535 || tr.Class != mail.ClassConfig || tr.Fix == "" {
		t.Errorf("%+v", *tr)
	}
	if n := s.tokens.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
}

// After the account was refused in the middle of a transaction, nothing old is used again.
func TestRefusalStartsAnew(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	s.Fault(fake365.Fault{At: "data", Answer: "430 4.2.0 STOREDRV; mailbox logon failure; Cannot open mailbox.", Times: 1})
	wantTrouble(t, s.send(t, greeting, "a@example.test"), mail.Refused)
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	if n, m := s.Counters().Connections, s.tokens.renewals(); n != 2 || m != 1 {
		t.Errorf("%d connections and %d renewals, want 2 and 1", n, m)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	other := newStation(t, fake365.Options{})
	s := newStation(t, fake365.Options{}, func(o *Options) { o.RootCAs = other.opts.RootCAs })
	tr := wantTrouble(t, s.send(t, greeting, "a@example.test"), mail.Refused)
	if tr.Class != mail.ClassConfig || !strings.Contains(tr.Cause, "intercept") || !strings.Contains(tr.Fix, "ca_file") {
		t.Errorf("%+v", *tr)
	}
	if n := s.Counters().AuthRefused; n != 0 {
		t.Error("AUTH was sent")
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{MaxConnections: 3, DataLatency: 5 * time.Millisecond})
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if r := s.send(t, greeting, "a@example.test"); r.Trouble != nil || r.Outcomes[0].State != mail.Delivered {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	if c := s.Counters(); c.PeakMailboxConnections > 3 || c.Connections > 3 || c.Limited > 0 || c.Messages != 60 {
		t.Errorf("%+v", c)
	}
}

func TestWaitingForAConnectionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{}, func(o *Options) { o.Connections = 1 })
	s.Fault(fake365.Fault{At: "end", Hang: true, Times: 1})
	first := make(chan mail.Result)
	go func() {
		first <- s.Deliver(context.Background(), envelope(greeting, "a@example.test"), opener(greeting))
	}()
	s.until(t, func(c fake365.Counters) bool { return c.Faults == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantTrouble(t, s.Deliver(ctx, envelope(greeting, "a@example.test"), opener(greeting)), mail.Stopped)
	s.Close()
	if r := <-first; !r.InDoubt {
		t.Errorf("%+v, want in doubt", r)
	}
}

// until looks at the counters until they are as wanted.
func (s *station) until(t *testing.T, ok func(fake365.Counters) bool) {
	t.Helper()
	for !ok(s.Counters()) {
		select {
		case <-t.Context().Done():
			t.Fatal("never happened")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestStopping(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at     string
		by     string
		fake   fake365.Options
		doubt  bool
		target mail.TroubleKind
	}{
		{at: "connect", by: "context", target: mail.Stopped},
		{at: "auth", by: "context", target: mail.Stopped},
		{at: "auth", by: "close", target: mail.Stopped},
		{at: "data", by: "context", fake: fake365.Options{NoChunking: true}, target: mail.Stopped},
		{at: "data", by: "close", fake: fake365.Options{NoChunking: true}, target: mail.Stopped},
		{at: "auth", by: "deadline", target: mail.Unreachable},
		{at: "end", by: "close", doubt: true},
		{at: "end", by: "close", fake: fake365.Options{NoChunking: true}, doubt: true},
	} {
		t.Run(fmt.Sprint(c.at, " ", c.by, " ", c.fake.NoChunking), func(t *testing.T) {
			t.Parallel()
			s := newStation(t, c.fake)
			s.Fault(fake365.Fault{At: c.at, Hang: true})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.by == "deadline" {
				ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
			}
			done := make(chan mail.Result)
			go func() { done <- s.Deliver(ctx, envelope(greeting, "a@example.test"), opener(greeting)) }()
			s.until(t, func(n fake365.Counters) bool { return n.Faults == 1 })
			switch c.by {
			case "context":
				cancel()
			case "close":
				s.Close()
			}
			r := <-done
			if c.doubt {
				if wantStates(t, r, mail.Deferred); !r.InDoubt {
					t.Error("not in doubt")
				}
				return
			}
			wantTrouble(t, r, c.target)
		})
	}
}

// Once the end of data is sent, the context no longer ends the wait for the reply.
func TestReplyIsAwaitedAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	s.Fault(fake365.Fault{At: "end", Delay: 200 * time.Millisecond, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan mail.Result)
	go func() { done <- s.Deliver(ctx, envelope(greeting, "a@example.test"), opener(greeting)) }()
	s.until(t, func(n fake365.Counters) bool { return n.Faults == 1 })
	cancel()
	wantStates(t, <-done, mail.Delivered)
	// The connection goes on being used.
	wantStates(t, s.send(t, greeting, "a@example.test"), mail.Delivered)
	if n := s.Counters().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestBrokenText(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 4000)
	disk := errors.New("input/output error")
	for _, text := range []string{greeting, big} {
		for _, fake := range []fake365.Options{{}, {NoChunking: true}, {NoPipelining: true}} {
			for name, open := range map[string]func() (io.ReadCloser, error){
				"cannot be opened": func() (io.ReadCloser, error) { return nil, disk },
				"fails half-way": func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader(text[:len(text)/2]), iotest.ErrReader(disk))), nil
				},
				"fails at its end": func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(disk))), nil
				},
				"is short": opener(text[:len(text)-1]),
				"is long":  opener(text + "x"),
			} {
				t.Run(fmt.Sprint(len(text), fake.NoChunking, fake.NoPipelining, " ", name), func(t *testing.T) {
					t.Parallel()
					s := newStation(t, fake)
					r := s.Deliver(t.Context(), envelope(text, "a@example.test"), open)
					wantStates(t, r, mail.Deferred)
					if o := r.Outcomes[0]; !strings.Contains(o.Cause, "spool") || o.Reply.Code != 0 || r.InDoubt {
						t.Errorf("%+v", r)
					}
					wantStates(t, s.send(t, text, "b@example.test"), mail.Delivered)
					if m := s.Messages(); len(m) != 1 || string(m[0].Data) != text {
						t.Errorf("%d messages arrived, want the whole one only", len(m))
					}
				})
			}
		}
	}
}

func TestManyRecipients(t *testing.T) {
	t.Parallel()
	var to []string
	var want []mail.RecipientState
	for i := range 600 {
		to = append(to, fmt.Sprintf("recipient-with-a-long-name-%d@example.test", i))
		want = append(want, mail.Delivered)
	}
	s := newStation(t, fake365.Options{})
	s.Fault(fake365.Fault{At: "rcpt", Match: "name-300@", Answer: "550 5.1.1 no"})
	want[300] = mail.Failed
	wantStates(t, s.send(t, greeting, to...), want...)
	if m := s.Messages(); len(m) != 1 || len(m[0].Recipients) != 599 {
		t.Error("not every recipient got it")
	}
}

func TestTextArrivesAsItIs(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"empty":                  "",
		"dots":                   ".\r\n..\r\n.a\r\n\r\n.\r\n",
		"piece end":              strings.Repeat("x", pieceSize-2) + "\r\n.\r\n" + strings.Repeat("y", pieceSize) + "\r\n",
		"dot at a piece's start": strings.Repeat("x", pieceSize-2) + "\r\n" + strings.Repeat(".\r\n", pieceSize) + "end\r\n",
		"a flight":               strings.Repeat("x", flightSize-2) + "\r\n",
		"no flight":              strings.Repeat("x", flightSize-1) + "\r\n",
		"8 bit":                  "Subject: \xff\xfe\r\n\r\n\x00\r\n",
	}
	for _, fake := range []fake365.Options{{}, {NoChunking: true}} {
		s := newStation(t, fake)
		for name, text := range texts {
			before := len(s.Messages())
			wantStates(t, s.send(t, text, "a@example.test"), mail.Delivered)
			if m := s.Messages(); string(m[before].Data) != text {
				t.Errorf("%s (no chunking: %v): %d octets arrived, not the %d that were sent", name, fake.NoChunking, len(m[before].Data), len(text))
			}
		}
	}
}

func TestSenderDeniedIsTheMessagesOwn(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	env := envelope(greeting, "a@example.test")
	env.Sender = "somebody@contoso.test"
	r := s.Deliver(t.Context(), env, opener(greeting))
	wantStates(t, r, mail.Failed)
	if o := r.Outcomes[0]; o.Class != mail.ClassPermanent || o.Reply.Enhanced != "5.2.252" || o.Fix == "" || r.Connection == "" {
		t.Errorf("%+v %s", o, r.Connection)
	}
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	env := envelope(greeting, "a@example.test")
	env.Recipients[0].State = mail.Delivered
	wantStates(t, s.Deliver(t.Context(), env, opener(greeting)))
	wantStates(t, s.send(t, greeting, "no address", "a\r\n@b"), mail.Failed, mail.Failed)
	if n := s.Counters().Connections; n != 0 {
		t.Errorf("%d connections, want none", n)
	}
	s.Close()
	wantTrouble(t, s.send(t, greeting, "a@example.test"), mail.Stopped)
}
