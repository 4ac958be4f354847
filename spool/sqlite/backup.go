package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailbearer/mailbearer/mail"
)

// Backup implements spool.Spool. The database is copied as it is at one moment (VACUUM INTO, which never makes the
// writer wait), then the long texts that the copy speaks of. A text may go in between because its message was
// delivered or dropped: then the copy is told so, or it would bring back mail whose text it does not have.
func (s *Spool) Backup(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = mustBeEmpty(dir)
	}
	if err == nil {
		err = s.backup(ctx, dir)
	}
	if err != nil {
		return fmt.Errorf("back up the spool to %s: %w", dir, s.plain(err))
	}
	return nil
}

func mustBeEmpty(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("the directory is not empty: %s is in it", entries[0].Name())
	}
	return err
}

// backup removes what it made if it cannot finish: half a copy must not be taken for a whole one.
func (s *Spool) backup(ctx context.Context, dir string) (err error) {
	defer func() {
		if err != nil {
			_ = os.RemoveAll(filepath.Join(dir, bodiesName))
			for _, name := range []string{dbName, dbName + "-journal"} {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
	}()
	if err := makeLayout(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, dbName)
	if _, err := s.reading.ExecContext(ctx, sqlCopyTo, path); err != nil {
		return err
	}
	if err := s.copyTexts(ctx, dir); err != nil {
		return err
	}
	return syncCopy(path)
}

// copyTexts copies the files that the copied database speaks of.
func (s *Spool) copyTexts(ctx context.Context, dir string) error {
	db := connect(dir, "mode=rw")
	defer db.Close()
	for last := int64(0); ; {
		ids, err := longTexts(ctx, db, last)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := s.copyText(ctx, db, dir, mail.ID(id)); err != nil {
				return err
			}
			last = id
		}
	}
}

func longTexts(ctx context.Context, db *sql.DB, after int64) (ids []int64, err error) {
	rows, err := db.QueryContext(ctx, sqlLongTexts, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (s *Spool) copyText(ctx context.Context, db *sql.DB, dir string, id mail.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := copyFile(bodyPath(s.opt.Dir, id), bodyPath(dir, id))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	needed, err := s.needsText(ctx, id)
	if err != nil || needed { // needed and missing: the copy is as the original is
		return err
	}
	_, err = db.ExecContext(ctx, sqlBackupGone, int64(id), millis(s.opt.Clock()))
	return err
}

// copyFile copies a text, which nobody changes, and syncs it and its name.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncDir(filepath.Dir(to))
	}
	return err
}

// syncCopy makes the copied database durable. No connection has it open any more.
func syncCopy(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}
