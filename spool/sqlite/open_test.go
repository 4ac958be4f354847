package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// SQLite up to 3.51.2 can corrupt a WAL database that two connections write at once.
func TestVersionOfSQLite(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	var version []int
	for _, part := range strings.Split(one[string](t, s.reading, `SELECT sqlite_version()`), ".") {
		n, err := strconv.Atoi(part)
		check(t, err)
		version = append(version, n)
	}
	if slices.Compare(version, []int{3, 51, 3}) < 0 {
		t.Errorf("SQLite is %v, want 3.51.3 or later", version)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	for pragma, want := range map[string]string{
		"page_size": "8192", "auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "1000",
		"journal_size_limit": "67108864", "cache_size": "-16384", "busy_timeout": "10000", "temp_store": "2", "mmap_size": "0",
	} {
		var got string
		check(t, s.w.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("writer: %s is %s, want %s", pragma, got, want)
		}
	}
	for pragma, want := range map[string]string{"cache_size": "-1024", "busy_timeout": "10000", "temp_store": "2"} {
		if got := one[string](t, s.reading, "PRAGMA "+pragma); got != want {
			t.Errorf("reader: %s is %s, want %s", pragma, got, want)
		}
	}
	if _, err := s.reading.Exec(`DELETE FROM message`); err == nil {
		t.Error("a reader wrote")
	}
}

func TestEverythingIsClosedToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	s := owner(t, dir)
	put(t, s, 10, false)
	put(t, s, spool.InlineLimit+1, false)
	seen := map[string]bool{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		want := fs.FileMode(fileMode)
		if d.IsDir() {
			want = dirMode
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s is %o, want %o", path, info.Mode().Perm(), want)
		}
		seen[d.Name()] = true
		return nil
	}))
	for _, name := range []string{"lock", "spool.db", "spool.db-wal", "spool.db-shm", "bodies", "00", "ff"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	if _, err := Open(t.Context(), Options{Dir: dir, Owner: true}); !errors.Is(err, spool.ErrLocked) {
		t.Fatalf("the second owner got %v", err)
	}
	id := put(t, s, 10, false) // the attempt took nothing away from the first
	check(t, s.Close())
	get(t, owner(t, dir), id)
}

func TestNoSpool(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrNoSpool) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("looking for a spool made one: %v", err)
	}
	s := openTest(t, Options{Dir: dir, Create: true})
	id := put(t, s, spool.InlineLimit+1, true)
	if _, known := s.Wait(t.Context(), id); known || get(t, s, id).Watched {
		t.Error("a message is watched in a process that does not deliver")
	}
	relay := owner(t, dir) // the lock is free
	if got := claimAll(t, relay, time.Now()); len(got) != 1 {
		t.Errorf("the relay claimed %d", len(got))
	}
}

func TestCreateWhileTheOwnerStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := takeLock(t.Context(), dir, 1) // an owner that has come no further
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Options{Dir: dir, Create: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	check(t, lock.Close())
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, owner(t, dir).Close())
	raw(t, dir, `PRAGMA user_version = 99`)
	for _, opt := range []Options{{Dir: dir, Owner: true}, {Dir: dir}, {Dir: dir, Create: true}} {
		_, err := Open(t.Context(), opt)
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("got %v", err)
		}
	}
	db := connect(dir, "mode=ro")
	defer db.Close()
	if v := one[int](t, db, sqlUserVersion); v != 99 {
		t.Errorf("the version was changed to %d", v)
	}
}

func TestDirectoryWithAnOddName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?mode=memory&x#%41[1]+ä")
	s := owner(t, dir)
	id := put(t, s, spool.InlineLimit+1, false)
	check(t, s.Close())
	if _, err := os.Stat(filepath.Join(dir, dbName)); err != nil {
		t.Error(err)
	}
	get(t, owner(t, dir), id)
}

// What a crash leaves: claims, marks, and files whose rows were not written.
func TestStartAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	first, second := put(t, s, 10, true), put(t, s, 10, false)
	now := time.Now()
	raw(t, dir, `UPDATE message SET attempts = 3 WHERE id = $1`, int64(second))
	claimAll(t, s, now)
	refused := put(t, s, 10, true)
	claimAll(t, s, time.Now())
	settleAs(t, s, refused, mail.Failed)
	future := put(t, s, 10, false)
	check(t, s.Close())
	raw(t, dir, `UPDATE message SET due = due + 1000000000000 WHERE id = $1`, int64(future))

	s = owner(t, dir)
	if m := get(t, s, refused); m.Watched || m.State != mail.StateFailed {
		t.Errorf("a refused message is still watched: %+v", m)
	}
	for id, want := range map[mail.ID]spool.Message{
		first:  {Attempts: 1, State: mail.StateReady},
		second: {Attempts: 4, State: mail.StateDeferred, NextAttempt: now.Add(time.Hour).Truncate(time.Millisecond)},
		future: {Attempts: 0, State: mail.StateReady},
	} {
		m := get(t, s, id)
		if m.Attempts != want.Attempts || m.State != want.State || m.Watched {
			t.Errorf("got %+v, want %+v", m, want)
		}
		if !want.NextAttempt.IsZero() && !m.NextAttempt.Equal(want.NextAttempt) {
			t.Errorf("due %v, want %v", m.NextAttempt, want.NextAttempt)
		}
	}
	events, err := s.Trace(t.Context(), second)
	check(t, err)
	if len(events) != 2 || events[1].Event != eventInterrupted || events[1].Attempt != 4 {
		t.Errorf("the trace is %+v", events)
	}
	if got := claimAll(t, s, time.Now()); len(got) != 2 {
		t.Errorf("claimed %d, want the first and the one from the future", len(got))
	}
}

func TestOrphansAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	kept, delivered := put(t, s, spool.InlineLimit+1, false), put(t, s, spool.InlineLimit+1, false)
	claimAll(t, s, time.Now())
	settleAs(t, s, kept, mail.Failed)
	settleAs(t, s, delivered, mail.Delivered)
	check(t, s.Close())
	orphan, young := mail.NewID(time.Now()), mail.NewID(time.Now())
	foreign := filepath.Join(dir, bodiesName, "00", "notes.txt")
	files := []string{bodyPath(dir, orphan), bodyPath(dir, young), bodyPath(dir, delivered), foreign}
	for _, path := range files {
		check(t, os.WriteFile(path, []byte("x"), fileMode))
	}
	old := time.Now().Add(-2 * orphanAge)
	for _, path := range append(files, bodyPath(dir, kept)) {
		if path != bodyPath(dir, young) {
			check(t, os.Chtimes(path, old, old))
		}
	}
	owner(t, dir)
	for path, want := range map[string]bool{
		bodyPath(dir, kept): true, bodyPath(dir, young): true, foreign: true,
		bodyPath(dir, orphan): false, bodyPath(dir, delivered): false,
	} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: kept is %v, want %v", path, err == nil, want)
		}
	}
}

// An owner learns within a second what another process has written, and counts it.
func TestBesideTheOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, Options{Dir: dir, Owner: true, MaxSize: 1000})
	<-s.Changed() // the start itself
	other := openTest(t, Options{Dir: dir})
	id := put(t, other, 600, false)
	<-s.Changed()
	env, b, err := begin(s, 500)
	check(t, err)
	if err := s.Put(t.Context(), env, b, false); !errors.Is(err, spool.ErrFull) {
		t.Errorf("got %v: the other's text was not counted", err)
	}
	if got := claimAll(t, s, time.Now()); len(got) != 1 || got[0].Envelope.ID != id {
		t.Errorf("claimed %+v", got)
	}
	settleAs(t, s, id, mail.Delivered)
	if m := get(t, other, id); m.State != mail.StateDelivered {
		t.Errorf("the other sees %+v", m)
	}
}
