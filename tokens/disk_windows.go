package tokens

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// tryLock takes the lock for as long as the file is open; Windows gives it back when the process dies.
func tryLock(f *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// inherit does nothing: on Windows a file has its directory's permissions.
func inherit(*os.File, string) error { return nil }

// rename tries again for a moment: Windows replaces no file that somebody is just reading.
func rename(from, to string) (err error) {
	for range 50 {
		err = os.Rename(from, to)
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// syncDir does nothing: NTFS journals its directories, and Windows cannot flush one.
func syncDir(string) error { return nil }
