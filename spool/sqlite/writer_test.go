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
		"get": sqlGet, "body": sqlBody, "trace": sqlTrace, "untold": sqlUntold, "late": sqlLate,
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
