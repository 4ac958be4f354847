package sqlite

import (
	"bufio"
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// millionVar asks for the test with a million queued messages. It takes minutes and some 2 GB of disk, so it is not
// part of the suite; what it prints are the figures to look at.
const millionVar = "MAILBEARER_MILLION"

const million = 1_000_000

// seed queues n messages by SQL, half of them tried before: putting them one by one would say nothing more here.
const seed = `
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO message (id, account, state, due, due_before, lease_until, attempts, size, received, settled, watched, sender,
	recipients, envelope, last_reply, since)
SELECT (i << 12) + 1000000000000000000, 'a', 0, $2 - i, $2 - i, 0, i % 2, 300, $2 - i, 0, 0, 'scanner@example.com',
	'[{"address":"someone@example.com","state":"pending"}]', '{"sender":"","recipients":null,"client":{"address":"10.0.0.7:40112","name":"scanner"}}',
	'', $2 - i FROM n`

func TestMillion(t *testing.T) {
	if os.Getenv(millionVar) == "" {
		t.Skip("set " + millionVar + "=1 for the figures with a million queued messages")
	}
	dir := t.TempDir()
	check(t, owner(t, dir).Close())
	began := time.Now()
	raw(t, dir, seed, million, time.Now().UnixMilli())
	raw(t, dir, `INSERT INTO body (message, data) SELECT id, zeroblob(300) FROM message`)
	t.Logf("seeded in %v", time.Since(began).Round(time.Millisecond))

	s := measured(t, "open", func() *Spool { return owner(t, dir) })
	base := residentMB(t)
	claimLatency(t, s)
	ctx := t.Context()
	counts := measured(t, "Counts", func() map[string]spool.Counts {
		c, err := s.Counts(ctx)
		check(t, err)
		return c
	})
	if n := counts["a"].Queued(); n < million/2 {
		t.Errorf("%d are queued", n)
	}
	measured(t, "NextDue", func() bool {
		_, waits, err := s.NextDue(ctx, "a")
		check(t, err)
		return waits
	})
	measured(t, "List, a page of 100 from the middle", func() int {
		return len(page(t, s, spool.Filter{Limit: 100, After: mail.ID(million/2<<12 + 1000000000000000000)}))
	})
	measured(t, "Late, 100", func() int {
		list, err := s.Late(ctx, time.Now(), 100)
		check(t, err)
		return len(list)
	})
	walked := measured(t, "List, all of it in pages of 1000", func() int { return walk(t, s) })
	if walked < million/2 {
		t.Errorf("listed %d", walked)
	}
	other := openTest(t, Options{Dir: dir})
	put(t, other, 300, false)
	measured(t, "Put after another process has written", func() mail.ID { return put(t, s, 300, false) })
	measured(t, "Backup", func() error { check(t, s.Backup(ctx, t.TempDir()+"/copy")); return nil })
	debug.FreeOSMemory()
	t.Logf("RSS: %d MB after open, %d MB at the end, %d MB at its peak", base, residentMB(t), peakMB(t))
}

func measured[T any](t *testing.T, what string, do func() T) T {
	t.Helper()
	began := time.Now()
	v := do()
	t.Logf("%s: %v", what, time.Since(began).Round(10*time.Microsecond))
	return v
}

// claimLatency claims and settles as the courier does, 32 at a time.
func claimLatency(t *testing.T, s *Spool) {
	t.Helper()
	var worst, sum time.Duration
	const rounds = 300
	for range rounds {
		now := time.Now()
		claimed, _, err := s.Claim(context.Background(), spool.ClaimRequest{Account: "a", Limit: 32, Now: now, Lease: time.Hour,
			Next: func(int) time.Time { return now.Add(time.Hour) }})
		took := time.Since(now)
		check(t, err)
		if len(claimed) != 32 {
			t.Fatalf("claimed %d", len(claimed))
		}
		worst, sum = max(worst, took), sum+took
		for _, c := range claimed[:4] {
			settleAs(t, s, c.Envelope.ID, mail.Delivered)
		}
	}
	t.Logf("Claim of 32: %v on average, %v at worst", (sum / rounds).Round(10*time.Microsecond), worst.Round(10*time.Microsecond))
}

func page(t *testing.T, s *Spool, f spool.Filter) []spool.Message {
	t.Helper()
	list, err := s.List(context.Background(), f)
	check(t, err)
	return list
}

func walk(t *testing.T, s *Spool) (n int) {
	t.Helper()
	f := spool.Filter{Limit: 1000}
	for {
		list := page(t, s, f)
		if len(list) == 0 {
			return n
		}
		n += len(list)
		f.After = list[len(list)-1].Envelope.ID
	}
}

func residentMB(t *testing.T) int { return statusMB(t, "VmRSS:") }

func peakMB(t *testing.T) int { return statusMB(t, "VmHWM:") }

// statusMB reads a line of /proc/self/status; 0 where there is none.
func statusMB(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			check(t, err)
			return kb >> 10
		}
	}
	return 0
}
