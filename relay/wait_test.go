package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// hand plays a client up to the end of data.
func (f *front) hand() *dialog {
	f.t.Helper()
	d := &dialog{t: f.t.(*testing.T)}
	d.connect(f.address, false)
	f.t.Cleanup(func() { d.conn.Close() })
	d.expect("banner", "220")
	for _, step := range []struct{ say, want string }{
		{"EHLO x", "250"}, {"MAIL FROM:<a@example.test>", "250"}, {"RCPT TO:<b@example.test>", "250"}, {"DATA", "354"},
	} {
		d.send(step.say, step.say+"\r\n")
		d.expect(step.say, step.want)
	}
	d.send("text", "Subject: x\r\n\r\nhello\r\n.\r\n")
	return d
}

func waiting() Listener {
	l := policy()
	l.WaitFor = WaitUpstream
	return l
}

func TestWaitingClientGetsTheVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		outcome mail.Outcome
		want    string
		stays   bool
	}{
		{"delivered", mail.Outcome{State: mail.Delivered, Reply: mail.Reply{Code: 250, Enhanced: "2.6.0", Text: "OK <x@y> Queued mail for delivery"}},
			"250 2.6.0 OK <x@y> Queued mail for delivery", false},
		{"refused", mail.Outcome{State: mail.Failed, Reply: mail.Reply{Code: 550, Enhanced: "5.1.10", Text: "Recipient not found"}, Cause: "nobody has this address"},
			"550 5.1.10 Recipient not found (nobody has this address)", false},
		{"deferred", mail.Outcome{State: mail.Deferred, Reply: mail.Reply{Code: 451, Text: "later"}}, "250 2.0.0 queued as ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, waiting())
			f.courier(c.outcome)
			d := f.hand()
			d.expect("verdict", c.want)
			d.send("QUIT", "QUIT\r\n")
			d.expect("QUIT", "221")
			f.eventually(func(list []spool.Message) bool { return (len(list) == 1) == c.stays }, "the spool holds %v", c.stays)
		})
	}
}

// eventually waits for the spool to look right.
func (f *front) eventually(right func([]spool.Message) bool, what string, args ...any) {
	f.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		list, _ := f.spooled()
		if right(list) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("not within 5s: "+what+"; the spool holds %+v", append(args, list)...)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestWaitEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	l := waiting()
	l.WaitTimeout = 100 * time.Millisecond
	f := newFront(t, l)
	f.hand().expect("verdict", "250 2.0.0 queued as ")
	f.eventually(func(list []spool.Message) bool { return len(list) == 1 && !list[0].Watched }, "the mark is off")
}

func TestClientLeavesWhileItWaits(t *testing.T) {
	t.Parallel()
	l := waiting()
	l.WaitTimeout = time.Minute
	f := newFront(t, l)
	d := f.hand()
	f.eventually(func(list []spool.Message) bool { return len(list) == 1 }, "the message is there")
	d.conn.Close()
	f.eventually(func(list []spool.Message) bool { return len(list) == 1 && !list[0].Watched }, "the mark is off")
	f.courier(mail.Outcome{State: mail.Failed, Reply: mail.Reply{Code: 550, Text: "no"}})
	f.eventually(func(list []spool.Message) bool { return len(list) == 1 && list[0].State == mail.StateFailed },
		"the refused message stays as failed, since nobody was told")
}

func TestStopGivesAWaitingClientIts250(t *testing.T) {
	t.Parallel()
	l := waiting()
	l.WaitTimeout = time.Minute
	f := newFront(t, l)
	d := f.hand()
	f.eventually(func(list []spool.Message) bool { return len(list) == 1 }, "the message is there")
	idle := &dialog{t: t}
	idle.connect(f.address, false)
	defer idle.conn.Close()
	idle.expect("banner", "220")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	begin := time.Now()
	f.relay.Close(ctx)
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("closing took %v", d)
	}
	d.expect("the waiting client", "250 2.0.0 queued as ")
	d.expect("then", "421")
	idle.expect("the idle client", "421 4.3.2")
	idle.expect("then", "closed")
}

func TestStopLetsATextFinish(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	d.send("", "EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
	for _, want := range []string{"250", "250", "250", "354"} {
		d.expect("dialog", want)
	}
	d.send("half", "Subject: x\r\n\r\nha")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.relay.Close(ctx)
	}()
	d.send("half", "lf\r\n.\r\n")
	d.expect("end of data", "250")
	d.expect("then", "421")
	<-closed
	if list, _ := f.spooled(); len(list) != 1 {
		t.Errorf("%d messages", len(list))
	}
}

func TestStopCutsAStalledText(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	d.send("", "EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
	for _, want := range []string{"250", "250", "250", "354"} {
		d.expect("dialog", want)
	}
	d.send("half", "Subject: x\r\n\r\nha")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	f.relay.Close(ctx)
	if list, _ := f.spooled(); len(list) != 0 {
		t.Errorf("half a message was taken: %+v", list)
	}
}

func TestStalledTextIsCutAndASlowOneIsNot(t *testing.T) {
	t.Parallel()
	l := policy()
	l.IdleTimeout = 300 * time.Millisecond
	f := newFront(t, l)
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	d.send("", "EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
	for _, want := range []string{"250", "250", "250", "354"} {
		d.expect("dialog", want)
	}
	for range 10 { // together longer than the idle time
		d.send("slow", "slow but steady\r\n")
		time.Sleep(60 * time.Millisecond)
	}
	d.send("end", ".\r\n")
	d.expect("a slow text", "250")
	d.send("", "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nstalled")
	for _, want := range []string{"250", "250", "354", "421"} {
		d.expect("a stalled text", want)
	}
	if list, _ := f.spooled(); len(list) != 1 {
		t.Errorf("%d messages, want the slow one", len(list))
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	l := policy()
	l.MaxConnections, l.MaxConnectionsPerAddress = 3, 2
	f := newFront(t, l)
	var open []*dialog
	for i := range 3 {
		d := &dialog{t: t}
		d.connect(f.address, false)
		defer d.conn.Close()
		if i < 2 {
			d.expect("banner", "220")
			open = append(open, d)
			continue
		}
		d.expect("banner", "421 4.3.2")
		d.expect("then", "closed")
	}
	open[0].send("QUIT", "QUIT\r\n")
	open[0].expect("QUIT", "221")
	open[0].expect("then", "closed")
	for range 100 { // the place is free a moment after the connection has ended
		d := &dialog{t: t}
		d.connect(f.address, false)
		got, _ := d.reply()
		d.conn.Close()
		if strings.HasPrefix(got, "220") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the place of a connection that ended was not given away")
}

func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	l := withTLS(policy(), SecurityTLS)
	l.Auth = AuthRequired
	f := newFront(t, l)
	d := &dialog{t: t}
	d.connect(f.address, true)
	defer d.conn.Close()
	d.expect("banner", "220")
	d.send("EHLO", "EHLO x\r\n")
	d.expect("EHLO", "250 AUTH PLAIN LOGIN")
	d.send("AUTH", "AUTH PLAIN AHNjYW5uZXIAZ2VoZWlt\r\n")
	d.expect("AUTH", "235")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f.relay.Close(ctx)
	d.expect("goodbye inside TLS", "421")
}

func TestFullSpool(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	f.relay.opts.Spool = full{f.spool}
	f.hand().expect("end of data", "452 4.3.1")
}

// full is a spool that has reached its limit.
type full struct{ spool.Spool }

func (full) Put(_ context.Context, _ *mail.Envelope, b spool.Body, _ bool) error {
	b.Discard()
	return spool.ErrFull
}

func TestBrokenDisk(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	f.relay.opts.Spool = broken{f.spool}
	f.hand().expect("end of data", "451 4.3.0 the message could not be stored")
}

// broken is a spool whose disk refuses.
type broken struct{ spool.Spool }

func (broken) Put(context.Context, *mail.Envelope, spool.Body, bool) error {
	return errors.New("input/output error")
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	for _, line := range []string{"EHLO x", "AUTH PLAIN AHNjYW5uZXIAZ2VoZWlt", "AUTH PLAIN AHNjYW5uZXIAb3RoZXJwYXNz"} {
		d.send(line, line+"\r\n")
		d.reply()
	}
	for _, secret := range []string{"geheim", "Z2VoZWlt", "otherpass", "b3RoZXJwYXNz"} {
		if strings.Contains(f.logged(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestConnectionLimitInsideTLS(t *testing.T) {
	t.Parallel()
	l := withTLS(policy(), SecurityTLS)
	l.MaxConnections = 1
	f := newFront(t, l)
	for i, want := range []string{"220", "421 4.3.2"} {
		d := &dialog{t: t}
		d.connect(f.address, true)
		defer d.conn.Close()
		d.expect("connection "+string(rune('1'+i)), want)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	f.relay.opts.Spool = fullDisk{f.spool}
	f.hand().expect("end of data", "452 4.3.1")
}

// fullDisk is a spool without room.
type fullDisk struct{ spool.Spool }

func (fullDisk) Put(_ context.Context, _ *mail.Envelope, b spool.Body, _ bool) error {
	b.Discard()
	return fmt.Errorf("write: %w", spool.ErrDiskFull)
}
