package sqlite

import "time"

// jumpFrom is by how much the wall clock must differ from the monotonic one to have been set; less is drift.
const jumpFrom = 5 * time.Second

// ledgerEvery is how old the time in the ledger may become while nothing else changes there.
const ledgerEvery = time.Minute

// timekeeper notices when the wall clock is set while we run. Only the owner keeps time; its zero value never jumps.
type timekeeper struct {
	wall, mono time.Time
}

func keepTime(wall time.Time) timekeeper { return timekeeper{wall: wall.Round(0), mono: time.Now()} }

// jump is by how much the wall clock was set since keepTime; 0 if it was not.
func (k timekeeper) jump(wall time.Time) time.Duration {
	if k.mono.IsZero() {
		return 0
	}
	d := wall.Round(0).Sub(k.wall) - time.Since(k.mono)
	if d.Abs() < jumpFrom {
		return 0
	}
	return d
}

// followClock moves what was written by a clock that has been set since. A clock set back moves due times back with
// it, or mail would wait until the old time comes again. A clock set forward makes mail due, which does no harm, but
// must not make the claims of attempts under way lapse: the leases move along. Nor must it make mail old: the time
// that was leapt over counts as held. A machine that slept is the same case, since the monotonic clock slept too.
func (t *tx) followClock() error {
	if t.w.time.mono.IsZero() {
		return nil
	}
	wall := t.w.now()
	jump, kept := t.w.time.jump(wall), keepTime(wall) // at one moment: a slow commit is no jump
	var err error
	switch {
	case jump < 0:
		err = t.clockBack(wall, -jump)
	case jump > 0:
		err = t.clockAhead(wall, jump)
	}
	t.after(func() {
		t.w.time = kept
		if jump != 0 {
			t.w.foreign()
		}
	})
	return err
}

func (t *tx) clockAhead(now time.Time, by time.Duration) error {
	_, err := t.exec(sqlClockAhead, by.Milliseconds())
	if err == nil {
		_, err = t.exec(sqlLeapt, millis(now.Add(-by)), millis(now))
	}
	return err
}

func (t *tx) clockBack(now time.Time, by time.Duration) error {
	for _, query := range sqlMoveBack {
		if _, err := t.exec(query, millis(now), by.Milliseconds()); err != nil {
			return err
		}
	}
	for _, query := range sqlClampPast {
		if _, err := t.exec(query, millis(now)); err != nil {
			return err
		}
	}
	return nil
}

// keepLedger writes down what is in use, and once a minute what time it is. One who does not keep time leaves the
// time alone, or the owner's next start would not notice that the clock was set back.
func (t *tx) keepLedger() error {
	now := millis(t.w.now())
	if t.w.time.mono.IsZero() {
		now = t.w.noted
	}
	if t.used == t.w.used && now >= t.w.noted && now-t.w.noted < ledgerEvery.Milliseconds() {
		return nil
	}
	if _, err := t.exec(sqlSetLedger, t.used, now); err != nil {
		return err
	}
	t.after(func() { t.w.noted = now })
	return nil
}
