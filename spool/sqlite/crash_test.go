package sqlite

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// crashDir tells a child process to be the one that is killed.
const crashDir = "MAILBEARER_CRASH_DIR"

const crashRounds = 20

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println("child failed:", beKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beKilled puts, claims and settles from several goroutines and says on standard output what it was promised, until
// it is killed. Only trouble ends it.
func beKilled(dir string) error {
	s, err := Open(context.Background(), Options{Dir: dir, Owner: true})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 6 {
		go func() { failed <- produce(s) }()
	}
	for range 2 {
		go func() { failed <- consume(s) }()
	}
	return <-failed
}

func produce(s *Spool) error {
	for {
		size := mrand.IntN(8 << 10)
		if mrand.IntN(20) == 0 {
			size = spool.InlineLimit + mrand.IntN(100<<10)
		}
		text := make([]byte, size)
		_, _ = rand.Read(text)
		env := &mail.Envelope{ID: mail.NewID(time.Now()), Account: "a", Received: time.Now(),
			EnvelopeID: checksum(text), Recipients: []mail.Recipient{{Address: "b@example.com"}}}
		b := s.NewBody(env.ID)
		if _, err := b.Write(text); err != nil {
			return err
		}
		if err := s.Put(context.Background(), env, b, mrand.IntN(4) == 0); err != nil {
			return err
		}
		fmt.Println("put", env.ID)
	}
}

func checksum(text []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)) }

// consume delivers three of four, and gives back or puts off the others.
func consume(s *Spool) error {
	ctx := context.Background()
	for {
		now := time.Now()
		claimed, err := s.Claim(ctx, spool.ClaimRequest{Account: "a", Limit: 8, Now: now, Lease: time.Hour,
			Next: func(int) time.Time { return now.Add(50 * time.Millisecond) }})
		if err != nil {
			return err
		}
		for _, c := range claimed {
			if err := finish(ctx, s, c.Envelope.ID); err != nil {
				return err
			}
		}
	}
}

func finish(ctx context.Context, s *Spool, id mail.ID) error {
	state := mail.Delivered
	switch mrand.IntN(8) {
	case 0:
		return s.Return(ctx, id)
	case 1:
		state = mail.Deferred
	}
	if state == mail.Delivered {
		fmt.Println("try", id)
	}
	err := s.Settle(ctx, spool.Settlement{ID: id, Now: time.Now(), Outcomes: map[int]mail.Outcome{0: {State: state}},
		Events: []mail.Event{{Event: string(state)}}})
	if err == nil && state == mail.Delivered {
		fmt.Println("settled", id)
	}
	return err
}

// TestKill kills a real process at a random moment, again and again on one store, and holds the store to what the
// process said. kill -9 keeps the page cache: this proves the logic, not the syncs (SPOOL.md, section 7).
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	said := map[mail.ID]string{} // the last word about each message
	for round := range crashRounds {
		killOne(t, dir, said)
		verify(t, dir, said)
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, crashRounds)
		}
	}
	if len(said) < crashRounds {
		t.Errorf("only %d messages: nothing was proved", len(said))
	}
	t.Logf("%d messages in %d rounds", len(said), crashRounds)
}

// killOne runs a child, kills it up to 400 ms after its first word, and notes all it said.
func killOne(t *testing.T, dir string, said map[mail.ID]string) {
	t.Helper()
	exe, err := os.Executable()
	check(t, err)
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.StdoutPipe()
	check(t, err)
	check(t, child.Start())
	lines := bufio.NewReader(out)
	for first := true; ; first = false {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what has no end of line was not said
		}
		if first {
			after := time.Duration(mrand.IntN(400)) * time.Millisecond
			time.AfterFunc(after, func() { _ = child.Process.Kill() })
		}
		note(t, said, line)
	}
	_ = child.Wait()
}

func note(t *testing.T, said map[mail.ID]string, line string) {
	t.Helper()
	word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	id, err := mail.ParseID(text)
	if err != nil {
		t.Fatal(line)
	}
	if word == "put" && said[id] != "" {
		return // a consumer was quicker to speak than the producer
	}
	if word == "try" && said[id] == "settled" {
		t.Errorf("%s was delivered twice", id)
	}
	said[id] = word
}

// verify opens the store as the next owner and compares it with what was said.
func verify(t *testing.T, dir string, said map[mail.ID]string) {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, Owner: true})
	check(t, err)
	defer s.Close()
	found := map[mail.ID]spool.Message{}
	for _, state := range []mail.State{"", mail.StateDelivered} {
		list, err := s.List(context.Background(), spool.Filter{State: state})
		check(t, err)
		for _, m := range list {
			found[m.Envelope.ID] = m
		}
	}
	var used int64
	for id, m := range found {
		if m.State != mail.StateDelivered {
			used += m.Envelope.Size
			verifyText(t, s, m)
		}
		if m.Watched {
			t.Errorf("%s is watched by nobody", id)
		}
	}
	inWriter(t, s, func(w *writer) {
		if w.used != used {
			t.Errorf("%d octets are counted, %d are there", w.used, used)
		}
	})
	for id, word := range said {
		m, there := found[id]
		switch {
		case !there:
			t.Errorf("%s is lost; its last word was %s", id, word)
		case word == "put" && m.State == mail.StateDelivered:
			t.Errorf("%s is delivered, and nobody tried", id)
		case word == "settled" && m.State != mail.StateDelivered:
			t.Errorf("%s was settled and is back as %s", id, m.State)
		}
	}
}

func verifyText(t *testing.T, s *Spool, m spool.Message) {
	t.Helper()
	r, err := s.Open(context.Background(), m.Envelope.ID)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || checksum(text) != m.Envelope.EnvelopeID {
		t.Errorf("the text of %s is not what was put: %v", m.Envelope.ID, err)
	}
}
