//go:build unix

package sqlite

import (
	"errors"
	"os"
	"syscall"

	"github.com/mailbearer/mailbearer/spool"
)

// lockFile takes the lock for as long as the file is open; the kernel gives it back when the process dies.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return spool.ErrLocked
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
