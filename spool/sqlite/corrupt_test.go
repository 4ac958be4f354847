package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// damage writes over a part of the database of a relay that has stopped.
func damage(t *testing.T, dir string, offset int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, dbName), os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt(with, offset)
	check(t, err)
	check(t, f.Close())
}

// stocked makes a stopped spool with enough mail in it to be damaged.
func stocked(t *testing.T, dir string) (long mail.ID) {
	t.Helper()
	s := owner(t, dir)
	for range 50 {
		put(t, s, 4096, false)
	}
	long = put(t, s, spool.InlineLimit+1, false)
	check(t, s.Close())
	return long
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string){
		"not a database":  func(dir string) { damage(t, dir, 0, []byte("this was a database once")) },
		"a page of zeros": func(dir string) { damage(t, dir, 8192*2, make([]byte, 8192)) },
		"cut short":       func(dir string) { check(t, os.Truncate(filepath.Join(dir, dbName), 8192*3)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stocked(t, dir)
			spoil(dir)
			before, err := os.ReadFile(filepath.Join(dir, dbName))
			check(t, err)
			_, err = Open(t.Context(), Options{Dir: dir, Owner: true})
			if !errors.Is(err, spool.ErrCorrupt) || !strings.Contains(err.Error(), ".recover") || !strings.Contains(err.Error(), dir) {
				t.Fatalf("got %v", err)
			}
			after, err := os.ReadFile(filepath.Join(dir, dbName))
			check(t, err)
			if string(before) != string(after) {
				t.Error("the damaged database was changed")
			}
			startOver(t, dir, before)
		})
	}
}

// startOver goes on without a damaged database, and must lose nothing of it.
func startOver(t *testing.T, dir string, damaged []byte) {
	t.Helper()
	at := time.Date(2026, 11, 25, 3, 4, 5, 0, time.UTC)
	s := openTest(t, Options{Dir: dir, Owner: true, ResetCorrupt: true, Clock: func() time.Time { return at }})
	want := filepath.Join(s.opt.Dir, "spool.db.corrupt-20261125T030405Z")
	if s.MovedAside() != want {
		t.Errorf("moved to %q, want %q", s.MovedAside(), want)
	}
	kept, err := os.ReadFile(want)
	check(t, err)
	if string(kept) != string(damaged) {
		t.Error("what was set aside is not what was there")
	}
	texts, err := filepath.Glob(filepath.Join(dir, "bodies.corrupt-20261125T030405Z", "??", "*"))
	check(t, err)
	if len(texts) != 1 {
		t.Errorf("%d texts were set aside, want 1", len(texts))
	}
	put(t, s, 10, false)
	put(t, s, spool.InlineLimit+1, false)
}

func TestResetLeavesWhatIsWell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := stocked(t, dir)
	s := openTest(t, Options{Dir: dir, Owner: true, ResetCorrupt: true})
	if s.MovedAside() != "" || get(t, s, long).Envelope.ID != long {
		t.Error("a database that is well was set aside")
	}
	check(t, s.Close())
	damage(t, dir, 0, []byte("x"))
	if _, err := Open(t.Context(), Options{Dir: dir, ResetCorrupt: true}); !errors.Is(err, spool.ErrCorrupt) {
		t.Errorf("one who is not the owner got %v", err)
	}
}

// Damage that was not found at the start is called by its name when it is met.
func TestDamageWhileRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stocked(t, dir)
	size, err := os.Stat(filepath.Join(dir, dbName))
	check(t, err)
	damage(t, dir, 8192, make([]byte, size.Size()-8192)) // all but what is needed to open it
	s, err := Open(t.Context(), Options{Dir: dir})
	if err == nil {
		defer s.Close()
		_, err = s.List(t.Context(), spool.Filter{})
	}
	if !errors.Is(err, spool.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
