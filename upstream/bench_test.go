package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

// What a message costs when the provider is 30 ms away: the round trips of the protocol, and hardly anything else.
func BenchmarkRoundTrips(b *testing.B) {
	for _, c := range []struct {
		name string
		fake fake365.Options
		size int
	}{
		{"BDAT/1KiB", fake365.Options{}, 1 << 10},
		{"BDAT/100KiB", fake365.Options{}, 100 << 10},
		{"BDAT/1MiB", fake365.Options{}, 1 << 20},
		{"DATA/1KiB", fake365.Options{NoChunking: true}, 1 << 10},
		{"steps/1KiB", fake365.Options{NoChunking: true, NoPipelining: true}, 1 << 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.fake.Latency = 30 * time.Millisecond
			s := newStation(b, c.fake)
			text := strings.Repeat(strings.Repeat("x", 62)+"\r\n", c.size/64)
			wantStates(b, s.send(b, text, "a@example.test", "b@example.test"), mail.Delivered, mail.Delivered)
			before := s.Counters().Flights
			for b.Loop() {
				wantStates(b, s.send(b, text, "a@example.test", "b@example.test"), mail.Delivered, mail.Delivered)
			}
			b.ReportMetric(float64(s.Counters().Flights-before)/float64(b.N), "roundtrips/op")
		})
	}
}

// The first message of a connection: greeting, EHLO, STARTTLS, handshake, EHLO, AUTH in two steps, envelope, text.
func BenchmarkColdMessage(b *testing.B) {
	s := newStation(b, fake365.Options{Latency: 30 * time.Millisecond})
	for b.Loop() {
		fresh := NewSMTP(s.opts)
		wantStates(b, fresh.Deliver(b.Context(), envelope(greeting, "a@example.test"), opener(greeting)), mail.Delivered)
		b.StopTimer()
		fresh.Close()
		b.StartTimer()
	}
}
