package sqlite

import "time"

// pollEvery is how often the owner looks whether another process has written; Spool promises a second.
const pollEvery = 500 * time.Millisecond

// After a drain the file keeps its high-water mark and reuses it. It is given back in steps when nothing else is to
// be done, so that no message waits behind a vacuum.
const (
	idleAfter = 10 * time.Second
	idleStep  = 50 * time.Millisecond
)

// rest sets the clock for tidying up, for the owner only.
func (w *writer) rest(after time.Duration) {
	if w.poll != nil {
		w.idle.Reset(after)
	}
}

// look finds out whether another process has written, or the clock has jumped. Trouble shows itself in the next
// transaction.
func (w *writer) look() {
	_ = w.catchUp()
	if w.time.jump(w.now()) != 0 {
		_ = w.commit(nil)
	}
}

// tidy gives one step of free pages back to the file system, or, when none is left, empties the log.
func (w *writer) tidy() {
	var free int64
	if w.queryRow([]any{&free}, sqlFreePages) != nil {
		return
	}
	if free == 0 {
		_, _ = w.exec(sqlTruncateWAL)
		return
	}
	if w.drain(sqlVacuumSome) == nil {
		w.rest(idleStep)
	}
}

// drain runs a pragma that works one row at a time to its end.
func (w *writer) drain(query string) error {
	st, err := w.prepared(query)
	if err != nil {
		return err
	}
	rows, err := st.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
