package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

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

// isFull says whether the system found no room, on the disk or in the quota.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) || errors.Is(err, syscall.ENOSPC)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// ownerOf names a directory's owner if it can be found; Windows says it better itself.
func ownerOf(string) string { return "" }

// freeSpace is the room that this user has, and the disk's size.
func freeSpace(dir string) (free, total int64, known bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, false
	}
	var mine, all uint64
	if windows.GetDiskFreeSpaceEx(path, &mine, &all, nil) != nil {
		return 0, 0, false
	}
	return int64(mine), int64(all), true
}

// readOnly says whether a directory is on a volume that nothing can be written to.
func readOnly(dir string) bool {
	var flags uint32
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	return err == nil && windows.GetVolumeInformation(root, nil, 0, nil, nil, &flags, nil, 0) == nil &&
		flags&windows.FILE_READ_ONLY_VOLUME != 0
}

// fileSystem says whether a directory is on another machine: a UNC path, or a drive that stands for one.
func fileSystem(dir string) (kind string, network bool) {
	root := filepath.VolumeName(dir) + `\`
	path, err := windows.UTF16PtrFromString(root)
	if err != nil || windows.GetDriveType(path) != windows.DRIVE_REMOTE {
		return "", false
	}
	return root, true
}
