package upstream

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

func TestResize(t *testing.T) {
	t.Parallel()
	b := newStation(t, fake365.Options{Mailboxes: []string{mailbox}, DataLatency: 20 * time.Millisecond}, func(o *Options) { o.Connections = 6 })
	deliver := func(n int) {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				r := b.Deliver(t.Context(), envelope(greeting, "office@contoso.test"), opener(greeting))
				if r.Trouble != nil || r.Outcomes[0].State != mail.Delivered {
					t.Errorf("%+v", r)
				}
			})
		}
		wg.Wait()
	}
	deliver(12)
	if n := b.Counters().OpenConnections; n != 6 {
		t.Fatalf("%d connections are kept, want 6", n)
	}
	b.Resize(2)
	for ctx, n := t.Context(), 0; b.Counters().OpenConnections != 2; n++ {
		if n > 500 || ctx.Err() != nil {
			t.Fatalf("%d connections are left, want 2", b.Counters().OpenConnections)
		}
		settle(ctx)
	}
	deliver(12)
	if n := b.Counters().OpenConnections; n > 2 {
		t.Errorf("%d connections after shrinking to 2", n)
	}
	b.Resize(6)
	deliver(12)
	if n := b.Counters().OpenConnections; n != 6 {
		t.Errorf("%d connections after growing to 6", n)
	}
}

// settle gives the fake a moment to notice.
func settle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}
