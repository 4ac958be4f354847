package relay

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTenThousandConnections: each is served or told 421, none hangs, and afterwards the door is open as before.
func TestTenThousandConnections(t *testing.T) {
	t.Parallel()
	l := policy()
	l.MaxConnections, l.MaxConnectionsPerAddress = 20, 20
	f := newFront(t, l)
	var served, refused atomic.Int64
	var work sync.WaitGroup
	for range 50 { // more at once than have a place
		work.Go(func() {
			for range 200 {
				switch answer := quickVisit(t, f.address); {
				case strings.HasPrefix(answer, "220 ") && strings.Contains(answer, "\r\n221 "):
					served.Add(1)
				case strings.HasPrefix(answer, "421 4.3.2 "):
					refused.Add(1)
				default:
					t.Errorf("%q", answer)
				}
			}
		})
	}
	work.Wait()
	if served.Load() == 0 || served.Load()+refused.Load() != 10_000 {
		t.Errorf("%d served, %d refused", served.Load(), refused.Load())
	}
	f.relay.servers[0].listener.wait() // nobody is left, or this hangs
	if answer := quickVisit(t, f.address); !strings.HasPrefix(answer, "220 ") {
		t.Errorf("afterwards: %q", answer)
	}
}

// quickVisit connects, says QUIT if it is welcome, and returns what was said to it.
func quickVisit(t *testing.T, address string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	banner, err := r.ReadString('\n')
	if strings.HasPrefix(banner, "220 ") {
		io.WriteString(c, "QUIT\r\n")
	}
	rest, restErr := io.ReadAll(r)
	if err != nil || restErr != nil {
		t.Errorf("after %q: %v, %v", banner+string(rest), err, restErr)
	}
	return banner + string(rest)
}

// TestDrippedCommand: an octet now and then does not prolong a command line.
func TestDrippedCommand(t *testing.T) {
	t.Parallel()
	l := policy()
	l.IdleTimeout = 300 * time.Millisecond
	d := &dialog{t: t}
	d.connect(newFront(t, l).address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	over := make(chan struct{})
	defer close(over)
	go func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-over:
				tick.Stop()
				return
			case <-tick.C:
				d.conn.Write([]byte("N"))
			}
		}
	}()
	d.expect("a dripping client", "421 idle_timeout")
}

// TestResetBeforeTheReplies: a client that resets its connection while the replies to a whole conversation are written
// meets no fault in us, whichever reply it is that finds nobody there.
func TestResetBeforeTheReplies(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	const dialog = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nNOOP\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
	for i := range 300 {
		c, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "EHLO x\r\n"+strings.Repeat("NOOP\r\n", i%40)+dialog)
		for range i * 37 % 300 { // a moment, a different one each time
			runtime.Gosched()
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	f.relay.Close(t.Context())
	if log := f.logged(); strings.Contains(log, "panic") {
		t.Error(log[strings.Index(log, "panic"):])
	}
}
