package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"github.com/mailbearer/mailbearer/spool"
)

// lockFile takes the lock for as long as the file is open; Windows gives it back when the process dies.
func lockFile(f *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return spool.ErrLocked
	}
	return err
}

// syncDir does nothing: NTFS journals its directories, and Windows cannot flush one.
func syncDir(string) error { return nil }
