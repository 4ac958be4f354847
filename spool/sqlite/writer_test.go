package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// inWriter runs f in the writer's goroutine, outside a transaction.
func inWriter(t *testing.T, s *Spool, f func(*writer)) {
	t.Helper()
	check(t, s.write(context.Background(), 0, func(tx *tx) error {
		tx.after(func() { f(tx.w) })
		return nil
	}))
}

// One op's fault is only its own, whatever stands beside it in the batch.
func TestBatchIsolation(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	runs, hooks := 0, 0
	newOp := func(do func(*tx) error) *op { return &op{do: do, done: make(chan error, 1)} }
	good := newOp(func(t *tx) error {
		runs++
		t.after(func() { hooks++ })
		_, err := t.exec(sqlSetAccount, "good", "", "{}")
		return err
	})
	refused := newOp(func(*tx) error { return refusal{spool.ErrFull} })
	broken := newOp(func(t *tx) error {
		if _, err := t.exec(sqlSetAccount, "broken", "", "{}"); err != nil {
			return err
		}
		_, err := t.exec(sqlSetAccount, nil, nil, nil)
		return err
	})
	inWriter(t, s, func(w *writer) { w.run([]*op{good, refused, broken}) })
	if err := <-good.done; err != nil {
		t.Error("good:", err)
	}
	if err := <-refused.done; err != spool.ErrFull {
		t.Error("refused:", err)
	}
	if err := <-broken.done; err == nil {
		t.Error("broken: no error")
	}
	if runs != 2 || hooks != 1 {
		t.Errorf("the good op ran %d times and its hook %d times, want 2 and 1", runs, hooks)
	}
	accounts, err := s.Accounts(t.Context())
	check(t, err)
	if len(accounts) != 1 || accounts["good"].LastError != "" {
		t.Errorf("the accounts are %v", accounts)
	}
}

// What was handed over is awaited, whatever becomes of the caller's context; before that, the context ends it.
func TestHandedOverIsAwaited(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, 0, func(t *tx) error {
		cancel()
		_, err := t.exec(sqlSetAccount, "a", "", "{}")
		return err
	})
	check(t, err)
	if err := s.write(ctx, 0, func(*tx) error { panic("ran") }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	accounts, err := s.Accounts(t.Context())
	check(t, err)
	if len(accounts) != 1 {
		t.Errorf("the accounts are %v", accounts)
	}
}

// faultyFile fails at a chosen call, as a full disk does.
type faultyFile struct {
	file
	room   int
	onSync error
}

var errNoSpace = errors.New("no space left on device")

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
			if !errors.Is(err, errNoSpace) {
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

func TestOpenFailureLeavesTheOthersFile(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	id := put(t, s, spool.InlineLimit+1, false)
	b := s.NewBody(id)
	if _, err := b.Write(make([]byte, spool.InlineLimit+1)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	b.Discard()
	r, err := s.Open(t.Context(), id)
	check(t, err)
	check(t, r.Close())
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

func TestTidy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	for range 30 {
		put(t, s, 100<<10, false)
	}
	for _, c := range claimAll(t, s, time.Now()) {
		settleAs(t, s, c.Envelope.ID, mail.Delivered)
	}
	inWriter(t, s, func(w *writer) {
		for free := 1; free > 0; {
			w.tidy()
			check(t, w.queryRow([]any{&free}, sqlFreePages))
		}
		w.tidy()
	})
	db, err := os.Stat(filepath.Join(dir, dbName))
	check(t, err)
	wal, err := os.Stat(filepath.Join(dir, dbName+"-wal"))
	check(t, err)
	if db.Size() > 1<<20 || wal.Size() != 0 {
		t.Errorf("the database has %d octets and its log %d", db.Size(), wal.Size())
	}
}

// The queue is read by its indexes: a long history must not be.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	list, _ := listQuery(listStates[""], spool.Filter{}, false)
	for name, query := range map[string]string{
		"due": sqlDue, "next due": sqlNextDue, "counts": sqlCounts, "used": sqlUsed, "list": list,
		"interrupted": sqlInterrupted, "release": sqlRelease, "unwatch": sqlUnwatchFailed, "clamp": sqlClampDue,
		"get": sqlGet, "body": sqlBody, "trace": sqlTrace,
	} {
		plan := explain(t, s, query)
		for _, line := range plan {
			if (strings.Contains(line, "SCAN message") || strings.Contains(line, "SCAN trace")) && !strings.Contains(line, "USING") {
				t.Errorf("%s reads all of a table:\n%s", name, strings.Join(plan, "\n"))
			}
		}
	}
}

func explain(t *testing.T, s *Spool, query string) (plan []string) {
	t.Helper()
	rows, err := s.reading.Query("EXPLAIN QUERY PLAN "+query, []any{1, 1, 1, 1}[:params(query)]...)
	check(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		check(t, rows.Scan(&id, &parent, &unused, &detail))
		plan = append(plan, detail)
	}
	check(t, rows.Err())
	return plan
}

// params counts the parameters of a query.
func params(query string) (n int) {
	for _, p := range []string{"$1", "$2", "$3", "$4"} {
		if strings.Contains(query, p) {
			n++
		}
	}
	return n
}
