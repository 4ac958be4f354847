package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// faultyFile fails at a chosen call, as a full disk does.
type faultyFile struct {
	file
	room   int
	onSync error
}

// errNoSpace is what a full disk says.
var errNoSpace error = syscall.ENOSPC

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errNoSpace
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error { return f.onSync }

func TestWriteErrorsSurface(t *testing.T) {
	t.Parallel()
	const size = spool.InlineLimit + 2*fileBuffer
	for name, fault := range map[string]faultyFile{
		"at the first write": {room: 0},
		"in the middle":      {room: spool.InlineLimit + fileBuffer/2},
		"at the last write":  {room: size - 1},
		"at the sync":        {room: size, onSync: errNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := openTest(t, Options{Dir: dir, Owner: true, create: func(path string) (file, error) {
				f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
				broken := fault
				broken.file = f
				return &broken, err
			}})
			env, b, err := begin(s, 0)
			check(t, err)
			for range size / 4096 {
				if _, err = b.Write(make([]byte, 4096)); err != nil {
					break
				}
			}
			if err == nil {
				err = s.Put(t.Context(), env, b, true)
			} else if again := s.Put(t.Context(), env, b, true); !errors.Is(again, errNoSpace) {
				t.Errorf("Put after a failed Write: %v", again)
			}
			if !errors.Is(err, errNoSpace) || !errors.Is(err, spool.ErrDiskFull) {
				t.Errorf("got %v", err)
			}
			b.Discard()
			wantNothing(t, s, env.ID)
		})
	}
}

// wantNothing fails if anything of a message is in the spool or on the disk.
func wantNothing(t *testing.T, s *Spool, id mail.ID) {
	t.Helper()
	if _, err := s.Get(context.Background(), id); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if _, err := os.Stat(bodyPath(s.opt.Dir, id)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
	if len(s.Watched("a")) != 0 {
		t.Error("it is watched")
	}
}

// A database that cannot grow refuses what does not fit and nothing else, and goes on when there is room.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	kept := put(t, s, 10, false)
	check(t, s.write(t.Context(), 0, func(tx *tx) error {
		return tx.queryRow([]any{new(int)}, `PRAGMA max_page_count = 30`)
	}))
	var full int
	for range 60 {
		env, b, err := begin(s, 4096)
		check(t, err)
		if err := s.Put(t.Context(), env, b, false); err != nil {
			full++
			wantNothing(t, s, env.ID)
			if !errors.Is(err, spool.ErrDiskFull) {
				t.Errorf("got %v", err)
			}
		}
	}
	if full == 0 || full == 60 {
		t.Fatalf("%d of 60 did not fit", full)
	}
	env, b, err := begin(s, spool.InlineLimit+1)
	check(t, err)
	_ = s.Put(t.Context(), env, b, false) // its file must not outlive its row
	if _, err := s.Get(t.Context(), env.ID); errors.Is(err, spool.ErrNotFound) {
		wantNothing(t, s, env.ID)
	}
	check(t, s.write(t.Context(), 0, func(tx *tx) error {
		return tx.queryRow([]any{new(int)}, `PRAGMA max_page_count = 1000000`)
	}))
	put(t, s, 4096, false)
	get(t, s, kept)
}

// The file of a Put whose commit failed is kept until another commit has written over what a crash could find.
func TestDoubtfulCommitKeepsTheFile(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	_, b, err := begin(s, spool.InlineLimit+1)
	check(t, err)
	body := b.(*body)
	check(t, body.harden())
	s.settleFile(body, commitError{errNoSpace})
	if _, err := os.Stat(body.path()); err != nil {
		t.Fatal("the file is gone:", err)
	}
	put(t, s, 10, false)
	wantNothing(t, s, body.id)
}

// breaker makes statements fail, from any goroutine.
type breaker struct{ now atomic.Pointer[fault] }

type fault struct {
	at   string // how the statement begins
	with error
}

func (b *breaker) fail(query string) error {
	if f := b.now.Load(); f != nil && strings.HasPrefix(strings.TrimSpace(query), f.at) {
		return f.with
	}
	return nil
}

// Whatever statement the disk refuses, the caller is told, nothing is left of what was refused, nothing that was
// accepted is harmed, and it goes on by itself when the disk is well again.
func TestDiskRefusesAStatement(t *testing.T) {
	t.Parallel()
	for _, trouble := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, at := range []string{"BEGIN", "INSERT INTO message", "INSERT INTO body", "UPDATE ledger", "COMMIT"} {
			t.Run(trouble.Error()+" at "+at, func(t *testing.T) {
				t.Parallel()
				refuseStatement(t, trouble, at)
			})
		}
	}
}

func refuseStatement(t *testing.T, trouble error, at string) {
	dir := t.TempDir()
	var broken breaker
	s := openTest(t, Options{Dir: dir, Owner: true, fault: broken.fail})
	kept := put(t, s, 10, false)
	broken.now.Store(&fault{at, trouble})
	var refused []mail.ID
	for _, size := range []int{100, spool.InlineLimit + 1} {
		if size > spool.InlineLimit && at == "INSERT INTO body" {
			continue // it has no such row
		}
		env, b, err := begin(s, size)
		check(t, err)
		err = s.Put(t.Context(), env, b, true)
		if !errors.Is(err, trouble) || errors.Is(err, spool.ErrDiskFull) != (trouble == syscall.ENOSPC) {
			t.Errorf("Put: %v", err)
		}
		refused = append(refused, env.ID)
	}
	broken.now.Store(nil)
	after := put(t, s, 10, false)
	for _, id := range refused {
		wantNothing(t, s, id)
	}
	if got := claimAll(t, s, time.Now()); len(got) != 2 {
		t.Errorf("claimed %d, want %s and %s", len(got), kept, after)
	}
	broken.now.Store(&fault{at, trouble})
	err := s.Settle(t.Context(), spool.Settlement{ID: kept, Outcomes: map[int]mail.Outcome{0: {State: mail.Delivered}}})
	if written := at != "INSERT INTO message" && at != "INSERT INTO body"; (err != nil) != written {
		t.Errorf("Settle: %v", err)
	}
	broken.now.Store(nil)
	if err != nil {
		settleAs(t, s, kept, mail.Delivered) // the courier tries again
	}
	check(t, s.Close())
	if m := get(t, owner(t, dir), kept); m.State != mail.StateDelivered {
		t.Errorf("got %+v", m)
	}
}

// New mail that is committed together is held against the disk's room together.
func TestReserveHoldsForABatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, Options{Dir: dir, Owner: true, Reserve: 30 << 10,
			freeSpace: func(string) (int64, int64, bool) { return 100 << 10, 1 << 30, true }})
		release := make(chan struct{})
		go func() { _ = s.write(context.Background(), 0, func(*tx) error { <-release; return nil }) }()
		synctest.Wait()
		errs := make(chan error)
		for range 2 {
			go func() {
				_, err := tryPut(s, 40<<10)
				errs <- err
			}()
		}
		synctest.Wait() // both wait for the writer, and will be one batch
		close(release)
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), spool.ErrDiskFull) {
			t.Errorf("got %v and %v, want one refused", first, second)
		}
	})
}
