package main

import (
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// benchMessages is how many messages one run sends; a run is a few seconds.
const benchMessages = 3000

// BenchmarkRelay measures the real binary from old clients to the fake provider, 4 KiB a message, connections kept:
// accept/s until the last client has its 250, end-to-end/s until the last message has arrived, and the relay's peak
// memory. Clients, relay and provider share the machine.
func BenchmarkRelay(b *testing.B) {
	for _, senders := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			for b.Loop() {
				benchRelay(b, senders, benchMessages, fake365.Options{})
			}
		})
	}
}

// BenchmarkRoundTrips counts what one message costs upstream when the provider is 30 ms away, on one kept connection.
func BenchmarkRoundTrips(b *testing.B) {
	for b.Loop() {
		benchRelay(b, 1, 100, fake365.Options{Latency: 30 * time.Millisecond})
	}
}

func benchRelay(b *testing.B, senders, messages int, o fake365.Options) {
	b.Helper()
	w := newWorld(b, o)
	w.configure(map[string]string{
		"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nmax_connections_per_address = 100",
		"limits":   "{ connections = 16, messages_per_minute = 0 }",
		"log":      "level = \"info\"\nformat = \"json\"",
	})
	w.start()
	defer w.relay.kill()
	begin := time.Now()
	pour(b, w.relay.address, senders, messages)
	accepted := time.Since(begin)
	w.arrived(messages, time.Minute)
	arrived := time.Since(begin)
	c := w.fake.Counters()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(messages)/accepted.Seconds(), "accept/s")
	b.ReportMetric(float64(messages)/arrived.Seconds(), "end-to-end/s")
	b.ReportMetric(float64(c.Flights)/float64(messages), "roundtrips/msg")
	b.ReportMetric(peakMiB(w.relay.cmd.Process.Pid), "MiB-peak")
}

// pour sends messages from many clients at once, each over one connection.
func pour(b *testing.B, address string, senders, messages int) {
	var wg sync.WaitGroup
	for c := range senders {
		wg.Go(func() {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer nc.Close()
			s := &sender{textproto.NewConn(nc)}
			if err := s.hello(); err != nil {
				b.Error(err)
				return
			}
			for i := c; i < messages; i += senders {
				if _, err := s.send(message(strconv.Itoa(i), 4096)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// peakMiB is a process's largest resident size so far, where the system tells.
func peakMiB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib float64
	fmt.Sscanf(rest, "%f", &kib)
	return kib / 1024
}
