package courier

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody tells the courier that a certificate was replaced; within a minute status shows the new date all the same.
func TestPublishesANewCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ends atomic.Pointer[time.Time]
		first, second := time.Now().Add(24*time.Hour).UTC(), time.Now().Add(48*time.Hour).UTC()
		ends.Store(&first)
		b := newBench(t, &provider{answer: delivers}, func(o *Options) {
			o.Accounts[0].Expires = func() time.Time { return *ends.Load() }
		})
		defer b.stop()
		pass(time.Second)
		if at := b.account().CredentialExpires; !at.Equal(first) {
			t.Errorf("%v, want %v", at, first)
		}
		ends.Store(&second)
		pass(time.Minute)
		if at := b.account().CredentialExpires; !at.Equal(second) {
			t.Errorf("%v, want %v", at, second)
		}
	})
}
