package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailbearer/mailbearer/spool"
)

// Running says whether an owner (a running relay) has the data directory: it tries the lock and gives it back at once.
// A lock file that we may not open is taken for a running relay's: opening the spool will say what is the matter.
func Running(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	defer f.Close()
	return errors.Is(lockFile(f), spool.ErrLocked)
}
