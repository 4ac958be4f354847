package relay

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// dialed plays a client that has read the banner.
type dialed struct{ *dialog }

func dialRaw(t *testing.T, address string) dialed {
	t.Helper()
	d := dialed{&dialog{t: t}}
	d.connect(address, false)
	t.Cleanup(func() { d.conn.Close() })
	d.expect("banner", "220")
	return d
}

// ask sends one line and holds the reply against what is wanted.
func (d dialed) ask(line, want string) {
	d.t.Helper()
	d.send(line, line+"\r\n")
	d.expect(line, want)
}

// exchange makes a relay with other options take over, and closes it with the test.
func (f *front) exchange(tweak func(*Options)) *Relay {
	f.t.Helper()
	o := f.relay.opts
	o.Listeners = append([]Listener(nil), o.Listeners...)
	tweak(&o)
	next, err := f.relay.Exchange(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { closeRelay(next) })
	return next
}

func closeRelay(r *Relay) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r.Close(ctx)
}

func TestExchangeKeepsOpenConnectionsAndTheirPolicy(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	old := dialRaw(t, f.address)
	old.ask("EHLO device", "250")
	old.ask("MAIL FROM:<a@example.test>", "250")
	f.exchange(func(o *Options) { o.Listeners[0].Recipients = glob{"*@allowed.test"} })

	fresh := dialRaw(t, f.address)
	fresh.ask("EHLO device", "250")
	fresh.ask("MAIL FROM:<a@example.test>", "250")
	fresh.ask("RCPT TO:<b@example.test>", "550")
	fresh.ask("RCPT TO:<b@allowed.test>", "250")

	old.ask("RCPT TO:<b@example.test>", "250")
	old.ask("DATA", "354")
	old.ask("Subject: begun before\r\n\r\nx\r\n.", "250")
	closeRelay(f.relay)
	old.expect("at the end of the old relay", "421")
	if list, _ := f.spooled(); len(list) != 1 {
		t.Fatalf("%d messages are in the spool, want the old connection's", len(list))
	}
	fresh.ask("NOOP", "250") // the old relay's end is not the new one's
}

func TestExchangeRefusesNobody(t *testing.T) {
	t.Parallel()
	l := policy()
	l.MaxConnections, l.MaxConnectionsPerAddress = 1000, 1000
	f := newFront(t, l)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				buf := make([]byte, 200)
				if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "220 ") {
					t.Errorf("greeted with %q, %v", buf[:n], err)
				}
				c.Close()
			}
		})
	}
	r := f.relay
	for range 20 {
		next, err := r.Exchange(r.opts)
		if err != nil {
			t.Fatal(err)
		}
		closeRelay(r)
		r = next
	}
	close(stop)
	clients.Wait()
	closeRelay(r)
	if _, err := net.DialTimeout("tcp", f.address, time.Second); err == nil {
		t.Error("the last relay left its socket open")
	}
}

func TestExchangeKeepsGuessesCounted(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	next := f.exchange(func(*Options) {})
	if next.throttle != f.relay.throttle {
		t.Error("a new configuration forgets who guesses passwords")
	}
}

func TestExchangeNeedsTheSameAddresses(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	o := f.relay.opts
	o.Listeners = append([]Listener{policy()}, o.Listeners...)
	if _, err := f.relay.Exchange(o); err == nil {
		t.Fatal("a listener without a socket was accepted")
	}
	dialRaw(t, f.address).ask("EHLO still-here", "250")
}
