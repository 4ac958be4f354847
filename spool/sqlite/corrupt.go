package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailbearer/mailbearer/spool"
)

// checkUpTo is the size up to which a database is read through at every start: about a quarter of a second. In a
// larger one damage shows itself when it is met.
const checkUpTo = 32 << 20

// asideLayout is the time in the name of what is set aside; Windows allows no colon there.
const asideLayout = "20060102T150405Z"

func (s *Spool) databaseSize() int64 {
	info, err := os.Stat(filepath.Join(s.opt.Dir, dbName)) // not opened: see makeDatabase
	if err != nil {
		return 0
	}
	return info.Size()
}

// checkWhole looks for damage, in all of a database if it must or if it is small.
func (w *writer) checkWhole(must bool, size int64) error {
	if size > checkUpTo && !must {
		return nil
	}
	var found string
	if err := w.queryRow([]any{&found}, sqlQuickCheck); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", spool.ErrCorrupt, found)
	}
	return nil
}

// startOver sets a damaged database aside and opens a new one. The long texts go with it: they are of use to whoever
// repairs it, and a new database would take them for orphans and remove them.
func (s *Spool) startOver(ctx context.Context) error {
	_ = s.disconnect() // its errors are those of the damage
	suffix := ".corrupt-" + s.opt.Clock().UTC().Format(asideLayout)
	for _, name := range []string{dbName, dbName + "-wal", dbName + "-shm", bodiesName} {
		path := filepath.Join(s.opt.Dir, name)
		err := os.Rename(path, filepath.Join(s.opt.Dir, asideName(name, suffix)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set the damaged database aside: %w", err)
		}
	}
	if err := syncDir(s.opt.Dir); err != nil {
		return err
	}
	s.aside = filepath.Join(s.opt.Dir, dbName+suffix)
	return s.open(ctx)
}

// asideName keeps log and index beside their database: sqlite3 finds them by their names.
func asideName(name, suffix string) string {
	if rest, ok := strings.CutPrefix(name, dbName); ok {
		return dbName + suffix + rest
	}
	return name + suffix
}

// MovedAside is where Open put a damaged database, "" if it did not have to.
func (s *Spool) MovedAside() string { return s.aside }
