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
