package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// The layout of the data directory, as far as the spool owns it.
const (
	lockName   = "lock"
	dbName     = "spool.db"
	bodiesName = "bodies"

	fileMode = 0o600
	dirMode  = 0o700
)

// orphanAge is how old a file without a row must be before it is removed: a command may have written it and be about
// to write the row.
const orphanAge = time.Hour

// bodyPath is where a long text is kept. The lowest eight bits of an id are random, so the 256 directories fill
// evenly.
func bodyPath(dir string, id mail.ID) string {
	return filepath.Join(dir, bodiesName, fmt.Sprintf("%02x", int64(id)&0xff), id.String())
}

// makeLayout makes directories and an empty database and syncs what holds them. A data directory that is there
// already keeps its mode: it may be a volume that is not ours to change, and everything in it is closed anyway.
func makeLayout(dir string) error {
	bodies := filepath.Join(dir, bodiesName)
	if err := makeDir(bodies); err != nil {
		return err
	}
	if err := os.Chmod(bodies, dirMode); err != nil {
		return err
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(bodies, fmt.Sprintf("%02x", i)), dirMode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := makeDatabase(filepath.Join(dir, dbName)); err != nil {
		return err
	}
	if err := syncDir(bodies); err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDir is os.MkdirAll whose new names survive a power cut.
func makeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	parent := filepath.Dir(path)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// makeDatabase makes the file before SQLite does, because SQLite gives its log and its index the mode of the
// database. A file that is there must not be opened here: closing it would drop the locks that SQLite holds on it
// elsewhere in this process (POSIX: a process has one lock on a file, and any close gives it up).
func makeDatabase(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return os.Chmod(path, fileMode)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	return f.Close()
}

// sweep removes the files that no message needs any more: their row was never written, or says delivered, or is
// gone. Files whose names are not ids are not ours.
func (s *Spool) sweep(ctx context.Context) error {
	bodies := filepath.Join(s.opt.Dir, bodiesName)
	dirs, err := os.ReadDir(bodies)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		files, err := os.ReadDir(filepath.Join(bodies, dir.Name()))
		if err != nil {
			continue // a file, or not ours
		}
		for _, f := range files {
			if err := s.sweepOne(ctx, filepath.Join(bodies, dir.Name()), f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Spool) sweepOne(ctx context.Context, dir string, f fs.DirEntry) error {
	id, err := mail.ParseID(f.Name())
	if err != nil {
		return nil
	}
	info, err := f.Info()
	if err != nil || s.opt.Clock().Sub(info.ModTime()) < orphanAge {
		return nil
	}
	needed, err := s.needsText(ctx, id)
	if err == nil && !needed {
		_ = os.Remove(filepath.Join(dir, f.Name())) // if that fails, the next start tries again
	}
	return err
}
