package relay

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// What guessing passwords costs, per address: from the third failure within ten minutes each failing answer waits
// longer, and from the tenth on the address may not try. A good login never counts, neither for nor against.
const (
	guessWindow  = 10 * time.Minute
	guessFree    = 2
	guessLimit   = 10
	guessLongest = 8 * time.Second

	guessAddresses = 10_000 // remembered; beyond it, those who failed longest ago are forgotten
)

// guessDelay is how long the answer to an address's nth failure waits.
func guessDelay(n int) time.Duration {
	if n <= guessFree {
		return 0
	}
	return min(time.Second<<min(n-guessFree-1, 10), guessLongest)
}

// throttle remembers the failures of each address.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	failures map[netip.Addr][]time.Time

	// Passwords from one address are checked one after the other, so that a hundred guesses at once count as a hundred.
	seed  maphash.Seed
	turns [64]sync.Mutex
}

func newThrottle() *throttle {
	return &throttle{now: time.Now, failures: make(map[netip.Addr][]time.Time), seed: maphash.MakeSeed()}
}

// subscriber is what failures are counted by: an IPv6 client has a whole /64 to itself.
func subscriber(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// turn is held while a password from this address is checked.
func (t *throttle) turn(a netip.Addr) *sync.Mutex {
	return &t.turns[maphash.Comparable(t.seed, subscriber(a))%uint64(len(t.turns))]
}

// count is how often an address failed within the window.
func (t *throttle) count(a netip.Addr) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.recent(subscriber(a)))
}

// fail notes a failure and returns how many there are now.
func (t *throttle) fail(a netip.Addr) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := subscriber(a)
	if len(t.failures) >= guessAddresses {
		t.forget()
	}
	t.failures[key] = append(t.recent(key), t.now())
	return len(t.failures[key])
}

func (t *throttle) recent(key netip.Addr) []time.Time {
	list := t.failures[key]
	for len(list) > 0 && t.now().Sub(list[0]) >= guessWindow {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(t.failures, key)
	}
	return list
}

// forget makes room: whoever is out of the window goes, and if that is nobody, whoever failed longest ago.
func (t *throttle) forget() {
	var oldest netip.Addr
	var when time.Time
	for key := range t.failures {
		list := t.recent(key)
		if len(list) == 0 {
			continue
		}
		if last := list[len(list)-1]; when.IsZero() || last.Before(when) {
			oldest, when = key, last
		}
	}
	if len(t.failures) >= guessAddresses {
		delete(t.failures, oldest)
	}
}
