//go:build linux || darwin

package sqlite

import (
	"path/filepath"
	"syscall"
)

// freeSpace is the room that a user who is not root has, and the disk's size.
func freeSpace(dir string) (free, total int64, known bool) {
	st, ok := statfs(dir)
	if !ok {
		return 0, 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), true
}

// readOnly says whether a directory is on a file system that is mounted read-only: SQLite does not pass on what the
// system said, and even root is told that a file cannot be opened.
func readOnly(dir string) bool {
	const readOnlyFlag = 1 // ST_RDONLY of Linux, MNT_RDONLY of macOS
	st, ok := statfs(dir)
	return ok && st.Flags&readOnlyFlag != 0
}

// statfs asks for a directory, or for the nearest one above it that is there.
func statfs(dir string) (st syscall.Statfs_t, ok bool) {
	for {
		if syscall.Statfs(dir, &st) == nil {
			return st, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return st, false
		}
		dir = parent
	}
}
