package sqlite

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// Both benchmarks run 64 goroutines on any machine with two processors. On the machine where the design was measured the figures to
// hold are 15,000 puts and 5,000 whole cycles a second.
const benchParallelism = 32

func openBench(b *testing.B) *Spool {
	b.Helper()
	s, err := Open(context.Background(), Options{Dir: b.TempDir(), Owner: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func benchPut(b *testing.B, s *Spool, text []byte) {
	id := mail.NewID(time.Now())
	body := s.NewBody(id)
	if _, err := body.Write(text); err != nil {
		b.Error(err)
	}
	err := s.Put(context.Background(), &mail.Envelope{ID: id, Account: "a", Sender: "scanner@example.com",
		Received: time.Now(), Size: int64(len(text)), Client: mail.Client{Address: "10.0.0.7:40112", Name: "scanner"},
		Recipients: []mail.Recipient{{Address: "someone@example.com", State: mail.Pending}}}, body, false)
	if err != nil {
		b.Error(err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"4K", 4 << 10}, {"64K", 64 << 10}, {"1M", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			s, text := openBench(b), bytes.Repeat([]byte("0123456789abcdef"), c.size/16)
			b.SetParallelism(benchParallelism)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchPut(b, s, text)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkCycle is put, claim (32 at a time), open and settle.
func BenchmarkCycle(b *testing.B) {
	s, text := openBench(b), bytes.Repeat([]byte("0123456789abcdef"), 256)
	var mu sync.Mutex
	var claimed []spool.Claimed
	next := func() *spool.Claimed {
		mu.Lock()
		defer mu.Unlock()
		if len(claimed) == 0 {
			now := time.Now()
			var err error
			claimed, _, err = s.Claim(context.Background(), spool.ClaimRequest{Account: "a", Limit: 32, Now: now,
				Lease: time.Minute, Next: func(int) time.Time { return now.Add(time.Minute) }})
			if err != nil || len(claimed) == 0 {
				b.Error("nothing claimed", err)
				return nil
			}
		}
		c := claimed[0]
		claimed = claimed[1:]
		return &c
	}
	b.SetParallelism(benchParallelism)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchPut(b, s, text)
			if c := next(); c != nil {
				benchSettle(b, s, c)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func benchSettle(b *testing.B, s *Spool, c *spool.Claimed) {
	ctx, now := context.Background(), time.Now()
	r, err := s.Open(ctx, c.Envelope.ID)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, r)
	_ = r.Close()
	o := mail.Outcome{State: mail.Delivered, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}}
	err = s.Settle(ctx, spool.Settlement{ID: c.Envelope.ID, Now: now, Outcomes: map[int]mail.Outcome{0: o},
		Events: []mail.Event{{Time: now, Event: mail.EventDelivered, Attempt: 1, Recipient: "someone@example.com"}}})
	if err != nil {
		b.Error(err)
	}
}
