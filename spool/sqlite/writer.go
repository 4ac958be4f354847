package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Limits of one transaction. 4 MiB take some 12 ms to write here, which bounds how long anyone waits for the
// company he is in.
const (
	batchOps    = 512
	batchOctets = 4 << 20
)

// ErrClosed is the answer of a spool that has been closed.
var ErrClosed = errors.New("the spool is closed")

// op is one write. Its closure may be run more than once (see writer.run), so it starts each time from nothing:
// it sets what it hands back, and leaves what memory must learn to tx.after.
type op struct {
	cost    int // octets, about
	do      func(*tx) error
	refused error
	done    chan error
}

// refusal is how an op says no before it has written anything: the batch goes on without it.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// beginError is trouble before any op was run: no op is to blame, so none is tried alone.
type beginError struct{ error }

func (e beginError) Unwrap() error { return e.error }

// commitError leaves open what a crash at this moment would bring back: frames that could not be synced may yet
// be found in the log, until the next commit writes over them.
type commitError struct{ error }

func (e commitError) Unwrap() error { return e.error }

// writer owns the one connection that writes. All its fields belong to its goroutine.
type writer struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	ops     chan *op
	version int64                    // PRAGMA data_version: moves when another process has written
	used    int64                    // octets of the texts in the spool
	foreign func()                   // called when another process has written
	after   func()                   // called after each commit
	now     func() time.Time         // the wall clock
	time    timekeeper               // notices when it jumps
	noted   int64                    // the time in the ledger
	fault   func(query string) error // see Options
	poll    <-chan time.Time         // nil for a spool that is not the owner
	idle    *time.Timer
}

// tx is what an op sees of the transaction it runs in.
type tx struct {
	w      *writer
	used   int64
	growth int64 // octets, about, that it will add to the disk
	hooks  []func()
}

// after has f run once the transaction is durable, before any op of it is answered.
func (t *tx) after(f func()) { t.hooks = append(t.hooks, f) }

func (t *tx) exec(query string, args ...any) (changed int64, err error) {
	return t.w.exec(query, args...)
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	st, err := t.w.prepared(query)
	if err != nil {
		return nil, err
	}
	return st.Query(args...)
}

func (t *tx) queryRow(dest []any, query string, args ...any) error {
	return t.w.queryRow(dest, query, args...)
}

// write hands an op over and waits for the truth about it. ctx can end the wait only before the op is handed over;
// after that it may be on its way to the disk, and nobody may guess how it ended.
func (s *Spool) write(ctx context.Context, cost int, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{cost: cost, do: do, done: make(chan error, 1)}
	select {
	case s.ops <- o:
		return s.plain(<-o.done)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
}

// loop serves until closing. ops has no buffer, so an op is either with us or still with its caller.
func (w *writer) loop(closing <-chan struct{}) {
	for {
		select {
		case o := <-w.ops:
			w.run(w.gather(o))
			w.rest(idleAfter)
		case <-w.poll:
			w.look()
		case <-w.idle.C:
			w.tidy()
		case <-closing:
			return
		}
	}
}

// gather takes along what else waits, without waiting for it: batches form by themselves while the disk syncs, and
// any delay here costs more than it gains (measured).
func (w *writer) gather(first *op) []*op {
	batch, cost := []*op{first}, first.cost
	for len(batch) < batchOps && cost < batchOctets {
		select {
		case o := <-w.ops:
			batch, cost = append(batch, o), cost+o.cost
		default:
			return batch
		}
	}
	return batch
}

// run commits a batch and answers its ops. If it fails, each op is run again in a transaction of its own, so that
// one's fault is only its own; that is cheaper than a savepoint around each op of each batch that does not fail.
func (w *writer) run(batch []*op) {
	err := w.commit(batch)
	var begin beginError
	if err != nil && len(batch) > 1 && !errors.As(err, &begin) {
		for _, o := range batch {
			w.run([]*op{o})
		}
		return
	}
	for _, o := range batch {
		if err != nil {
			o.done <- err
		} else {
			o.done <- o.refused
		}
	}
}

func (w *writer) commit(batch []*op) error {
	if err := w.begin(); err != nil {
		return beginError{err}
	}
	t := &tx{w: w, used: w.used}
	err := t.followClock()
	if err == nil {
		err = t.runAll(batch)
	}
	if err == nil {
		err = t.keepLedger()
	}
	if err != nil {
		w.rollback()
		return err
	}
	if _, err := w.exec(sqlCommit); err != nil {
		w.rollback()
		return commitError{err}
	}
	w.used = t.used
	for _, f := range t.hooks {
		f()
	}
	w.after()
	return nil
}

func (t *tx) runAll(batch []*op) error {
	for _, o := range batch {
		err := o.do(t)
		if r, ok := err.(refusal); ok {
			o.refused = r.error
			continue
		}
		if err != nil {
			return err
		}
		o.refused = nil
	}
	return nil
}

// begin opens the transaction and, inside it, looks whether another process has changed what is in use.
func (w *writer) begin() error {
	if _, err := w.exec(sqlBegin); err != nil {
		w.rollback() // whatever was left open, the next one starts clean
		return err
	}
	if err := w.catchUp(); err != nil {
		w.rollback()
		return err
	}
	return nil
}

// rollback ignores that there may be nothing to roll back: SQLite does it by itself on a full disk.
func (w *writer) rollback() { _, _ = w.exec(sqlRollback) }

// catchUp reads how many octets are in use when another process has written since we last looked.
func (w *writer) catchUp() error {
	var version int64
	if err := w.queryRow([]any{&version}, sqlDataVersion); err != nil {
		return err
	}
	if version == w.version {
		return nil
	}
	if err := w.queryRow([]any{&w.used, &w.noted}, sqlLedger); err != nil {
		return err
	}
	w.version = version
	w.foreign()
	return nil
}

func (w *writer) exec(query string, args ...any) (changed int64, err error) {
	if w.fault != nil {
		if err := w.fault(query); err != nil {
			return 0, err
		}
	}
	st, err := w.prepared(query)
	if err != nil {
		return 0, err
	}
	res, err := st.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (w *writer) queryRow(dest []any, query string, args ...any) error {
	st, err := w.prepared(query)
	if err != nil {
		return err
	}
	return st.QueryRow(args...).Scan(dest...)
}

// prepared compiles a statement on its first use. There are some thirty.
func (w *writer) prepared(query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = st
	return st, nil
}
