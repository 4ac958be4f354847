package relay

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"
)

func TestGuessDelay(t *testing.T) {
	t.Parallel()
	for n, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 8, 8, 8, 8} {
		if got := guessDelay(n); got != want*time.Second {
			t.Errorf("failure %d waits %v, want %v", n, got, want*time.Second)
		}
	}
}

func TestThrottleWindow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	th := newThrottle()
	th.now = func() time.Time { return now }
	a, same, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
	for i := range 5 {
		if got := th.fail(a); got != i+1 {
			t.Errorf("failure %d counts as %d", i+1, got)
		}
		now = now.Add(time.Minute)
	}
	if got := th.count(same); got != 5 {
		t.Errorf("the same /64 has %d", got)
	}
	if got := th.count(other); got != 0 {
		t.Errorf("another address has %d", got)
	}
	now = now.Add(guessWindow - 3*time.Minute)
	if got := th.count(a); got != 2 {
		t.Errorf("%d are left, want 2", got)
	}
	now = now.Add(guessWindow)
	if th.count(a); len(th.failures) != 0 {
		t.Errorf("%v is still remembered", th.failures)
	}
	for i := range 2 * guessAddresses / 1000 {
		for j := range 1000 {
			if th.fail(netip.AddrFrom4([4]byte{10, byte(i), byte(j >> 8), byte(j)})); len(th.failures) > guessAddresses {
				t.Fatal("the memory is not bounded")
			}
		}
		now = now.Add(guessWindow)
	}
}

// TestGuessingIsRefused: the tenth failure of an address is refused, a right password after it too, and mail that needs
// no sign-in still flows. Forty guesses at once count as forty.
func TestGuessingIsRefused(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	for range 9 {
		f.relay.throttle.fail(netip.MustParseAddr("127.0.0.1"))
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			d := f.greet(t)
			d.send("AUTH", "AUTH PLAIN AHNjYW5uZXIAd3Jvbmc=\r\n")
			d.expect("a wrong password", "421 4.7.0")
			d.expect("then", "closed")
		})
	}
	wg.Wait()
	if n := f.relay.throttle.count(netip.MustParseAddr("127.0.0.1")); n != 10 {
		t.Errorf("%d guesses were checked, want one", n)
	}
	d := f.greet(t)
	d.send("AUTH", "AUTH PLAIN AHNjYW5uZXIAZ2VoZWlt\r\n")
	d.expect("the right password", "421 4.7.0")
	f.hand().expect("without AUTH", "250")
}

func (f *front) greet(t *testing.T) *dialog {
	d := &dialog{t: t}
	d.connect(f.address, false)
	t.Cleanup(func() { d.conn.Close() })
	d.expect("banner", "220")
	d.send("EHLO", "EHLO x\r\n")
	d.expect("EHLO", "250")
	return d
}

func TestGoodLoginsNeverCount(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	for range 30 {
		d := f.greet(t)
		d.send("AUTH", "AUTH PLAIN AHNjYW5uZXIAZ2VoZWlt\r\n")
		d.expect("AUTH", "235")
		d.conn.Close()
	}
}

func TestPasswordChangeEndsTheOldOne(t *testing.T) {
	t.Parallel()
	hash := func(p string) string {
		h, _ := bcrypt.GenerateFromPassword([]byte(p), bcrypt.MinCost)
		return string(h)
	}
	list := []User{{Name: "scanner", PasswordHash: hash("old")}}
	u := newUsers(list, zerolog.Nop())
	if u.check("Scanner", "old") == nil || u.known("SCANNER", "old") == nil {
		t.Fatal("the right password does not pass")
	}
	u.find("scanner").PasswordHash = hash("new")
	if u.known("scanner", "old") != nil || u.check("scanner", "old") != nil {
		t.Error("the old password passes")
	}
	if u.check("scanner", "new") == nil || u.known("scanner", "old") != nil {
		t.Error("the new one does not, or the old one does")
	}
	long := strings.Repeat("x", bcryptLimit)
	u.find("scanner").PasswordHash = hash(long)
	if u.check("scanner", long+"y") != nil || u.check("scanner", long) == nil {
		t.Error("a password longer than bcrypt looks at passes, or the right one does not")
	}
}

// TestCramMD5 uses RFC 2195's own user; others must learn nothing and lose nothing.
func TestCramMD5(t *testing.T) {
	t.Parallel()
	if got := hex.EncodeToString(cramDigest("tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>")); got != "b913a602c7eda7a495b4e6e7334d3890" {
		t.Errorf("the digest of RFC 2195 is %s", got)
	}
	f := newFront(t, policy())
	readable := User{Name: "tim", Password: func() (string, error) { return "tanstaaf", nil }, AnySender: true}
	broken := User{Name: "broken", Password: func() (string, error) { return "", errors.New("no such file") }}
	f.relay.users.byName["tim"], f.relay.users.byName["broken"] = &readable, &broken
	try := func(name, password string) string {
		d := f.greet(t)
		defer d.conn.Close()
		d.send("AUTH", "AUTH CRAM-MD5\r\n")
		got, _ := d.reply()
		challenge, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(got, "334 "))
		answer := fmt.Sprintf("%s %x", name, cramDigest(password, string(challenge)))
		d.send("answer", base64.StdEncoding.EncodeToString([]byte(answer))+"\r\n")
		got, _ = d.reply()
		return got
	}
	for _, c := range []struct{ name, password, want string }{
		{"tim", "tanstaaf", "235"}, {"TIM", "tanstaaf", "235"}, {"tim", "wrong", "535"}, {"scanner", "geheim", "535"}, {"nobody", "x", "535"}, {"broken", "", "535"},
	} {
		if got := try(c.name, c.password); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s with %q: %s, want %s", c.name, c.password, got, c.want)
		}
	}
	if n := f.relay.throttle.count(netip.MustParseAddr("127.0.0.1")); n != 1 {
		t.Errorf("%d failures count, want the one guess", n)
	}
}
