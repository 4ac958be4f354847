package sqlite

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// crashDir tells a child process to be the one that is killed.
const crashDir = "MAILBEARER_CRASH_DIR"

// crashSync weakens the child's database, see powercut.sh.
const crashSync = "MAILBEARER_CRASH_SYNC"

// crashRounds is how often it is killed; MAILBEARER_CRASH_ROUNDS asks for more.
const crashRounds = 20

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println("child failed:", beKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beKilled puts, claims and settles from several goroutines, while operators, reporters and purges go on, and says on
// standard output what it was promised, until it is killed. Only trouble ends it.
func beKilled(dir string) error {
	s, err := Open(context.Background(), Options{Dir: dir, Owner: true})
	if err != nil {
		return err
	}
	if err := weaken(s, os.Getenv(crashSync)); err != nil {
		return err
	}
	return work(s)
}

// weaken sets PRAGMA synchronous to less than we use, to see that powercut.sh notices.
func weaken(s *Spool, mode string) (err error) {
	if mode == "" {
		return nil
	}
	return errors.Join(err, s.write(context.Background(), 0, func(t *tx) error {
		t.after(func() { _, err = t.w.exec("PRAGMA synchronous = " + mode) })
		return nil
	}))
}

func work(s *Spool) error {
	failed := make(chan error)
	for range 6 {
		go func() { failed <- produce(s) }()
	}
	for range 2 {
		go func() { failed <- consume(s) }()
	}
	go func() { failed <- operate(s) }()
	go func() { failed <- tell(s) }()
	go func() { failed <- purge(s) }()
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

// consume delivers five of eight, and gives back, puts off or refuses the others.
func consume(s *Spool) error {
	ctx := context.Background()
	for {
		now := time.Now()
		claimed, _, err := s.Claim(ctx, spool.ClaimRequest{Account: "a", Limit: 8, Now: now, Lease: time.Hour,
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
	case 2:
		state = mail.Failed
	}
	if state != mail.Deferred {
		fmt.Println("try", id)
	}
	err := s.Settle(ctx, spool.Settlement{ID: id, Now: time.Now(), Outcomes: map[int]mail.Outcome{0: {State: state}},
		Events: []mail.Event{{Event: string(state)}}})
	if err == nil && state == mail.Delivered {
		fmt.Println("settled", id)
	}
	return err
}

// operate does what operators do to whatever it finds. That it is refused is no trouble: the message may be busy.
func operate(s *Spool) error {
	ctx := context.Background()
	for {
		list, err := s.List(ctx, spool.Filter{Account: "a", State: anyState(), Limit: 5})
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
		for _, m := range list {
			id := m.Envelope.ID
			switch mrand.IntN(4) {
			case 0:
				_ = s.Hold(ctx, id)
			case 1:
				_ = s.Release(ctx, id)
			case 2:
				_ = s.Retry(ctx, id)
			case 3:
				fmt.Println("drop", id)
				if s.Drop(ctx, id) == nil {
					fmt.Println("dropped", id)
				}
			}
		}
	}
}

func anyState() mail.State {
	states := []mail.State{"", mail.StateReady, mail.StateHeld, mail.StateFailed}
	return states[mrand.IntN(len(states))]
}

// tell makes reports. They go to an account that nobody delivers for, so that they can be counted afterwards.
func tell(s *Spool) error {
	ctx := context.Background()
	for {
		list, err := s.Untold(ctx, 10)
		if err != nil {
			return err
		}
		for _, m := range list {
			env := &mail.Envelope{ID: mail.NewID(time.Now()), Account: "reports", Received: time.Now(),
				Kind: mail.KindFailure, About: m.Envelope.ID, Tells: m.Envelope.Untold(mail.Failed), EnvelopeID: checksum(nil),
				Recipients: []mail.Recipient{{Address: "b@example.com"}}}
			err := s.Put(ctx, env, s.NewBody(env.ID), false)
			if err != nil && !errors.Is(err, spool.ErrNotDue) && !errors.Is(err, spool.ErrNotFound) {
				return err // an operator may have been quicker, nobody else
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// purge says what it may remove before it does.
func purge(s *Spool) error {
	ctx := context.Background()
	for {
		old := time.Now().Add(-500 * time.Millisecond)
		for _, state := range []mail.State{mail.StateDelivered, mail.StateFailed} {
			list, err := s.List(ctx, spool.Filter{State: state})
			if err != nil {
				return err
			}
			for _, m := range list {
				if m.Settled.Before(old) {
					fmt.Println("drop", m.Envelope.ID)
				}
			}
		}
		if _, err := s.Purge(ctx, old, old, 1000); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestCrash kills a real process at a random moment, again and again on one store, and holds the store to what the
// process said. kill -9 keeps the page cache: this proves the logic, not the syncs.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	said := newSaid()
	rounds := crashRounds
	if n, err := strconv.Atoi(os.Getenv("MAILBEARER_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	for round := range rounds {
		killOne(t, dir, said)
		verify(t, dir, said)
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, rounds)
		}
	}
	if h := said.heard; h["put"] == 0 || h["settled"] == 0 || h["drop"] == 0 {
		t.Errorf("nothing was proved: %v", h)
	}
	t.Logf("%d messages in %d rounds; heard %v", len(said.last), rounds, said.heard)
}

// said is what the children said.
type said struct {
	last  map[mail.ID]string // the last word about each message
	heard map[string]int     // how often each word was heard
}

func newSaid() *said { return &said{last: map[mail.ID]string{}, heard: map[string]int{}} }

// killOne runs a child, kills it up to 400 ms after its first word, and notes all it said.
func killOne(t *testing.T, dir string, said *said) {
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
		said.note(t, line)
	}
	_ = child.Wait()
}

// note takes a line down. Goroutines speak in any order, so what was heard first does not always count less.
func (s *said) note(t *testing.T, line string) {
	t.Helper()
	word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	id, err := mail.ParseID(text)
	if err != nil {
		t.Fatal(line)
	}
	s.heard[word]++
	last := s.last[id]
	if word == "put" && last != "" {
		return // a consumer was quicker to speak than the producer
	}
	if (last == "drop" || last == "dropped") && word != "dropped" {
		return // it may be gone, whoever speaks of it later
	}
	if word == "try" && last == "settled" {
		t.Errorf("%s was delivered twice", id)
	}
	s.last[id] = word
}
