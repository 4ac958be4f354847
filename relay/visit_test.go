package relay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestVisits: each connection that said something is told of once, with what an administrator has to know about it.
func TestVisits(t *testing.T) {
	t.Parallel()
	visits := make(chan Visit, 10)
	l := withTLS(policy(), SecurityStartTLS)
	f := newFront(t, l, func(o *Options) {
		o.Seen = func(v Visit) { visits <- v }
		o.Accounts = map[string]AccountInfo{"default": {Mailbox: "noreply@example.test"}}
	})
	scan := &dialog{t: t}
	scan.connect(f.address, false) // a port scan is no visit
	scan.expect("banner", "220")
	scan.conn.Close()

	d := f.greet(t)
	d.send("", "STARTTLS\r\n")
	d.expect("STARTTLS", "220")
	d.startTLS("TLS")
	for _, line := range []string{"EHLO HP(8C1E)", "AUTH PLAIN AHNjYW5uZXIAd3Jvbmc=", "AUTH PLAIN AHNjYW5uZXIAZ2VoZWlt", "MAIL FROM:<>", "RCPT TO:<a@@b>", "RCPT TO:<b@example.test>", "DATA"} {
		d.send(line, line+"\r\n")
		d.reply()
	}
	d.send("text", "Subject: x\r\n\r\nbare\n.\r\n.\r\nQUIT\r\n")
	d.expect("end of data", "250")
	d.expect("QUIT", "221")
	want := Visit{
		Address: netip.MustParseAddr("127.0.0.1"), Listener: "127.0.0.1:0", User: "scanner", HELO: "HP8C1E", TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256", Mechanism: "PLAIN",
		Accepted: 1, Refused: 1, Failures: 1,
		Repairs: map[string]int{"MAIL FROM replaced": 1, "Date added": 1, "Message-ID added": 1, "From added": 1, "line ends": 1},
	}
	select {
	case got := <-visits:
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Visit{}, "Began", "Ended", "LastSent"), cmpopts.EquateComparable(want.Address)); diff != "" {
			t.Error(diff)
		}
		if got.Began.IsZero() || got.LastSent.Before(got.Began) || got.Ended.Before(got.LastSent) {
			t.Errorf("from %v, last message %v, to %v", got.Began, got.LastSent, got.Ended)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nobody was told")
	}
	select {
	case v := <-visits:
		t.Errorf("a second visit: %+v", v)
	default:
	}
}
