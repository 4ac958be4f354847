//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// enterSpool says whether this process may write the spool of a data directory: its owner may. Root becomes the owner,
// for good, before it opens anything: whatever it makes there then belongs to the relay's user, and the relay can
// still open it.
func enterSpool(dataDir string) (may bool, err error) {
	uid, gid, err := spoolOwner(dataDir)
	if err != nil {
		return false, exitWith(exCantCreat, "the data directory cannot be looked at: %w", err)
	}
	if os.Geteuid() != 0 || uid == 0 {
		return os.Geteuid() == uid, nil
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups([]int{gid}) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return false, exitWith(exNoPerm, "root may not become %s, whom %s belongs to: %w; call sendmail as that user", userName(uid), dataDir, err)
		}
	}
	return true, nil
}

// spoolOwner is the user whom the spool belongs to: the database's owner, the data directory's while that is all one
// may see, or the owner of the directory in which it will be made.
func spoolOwner(dataDir string) (uid, gid int, err error) {
	path := filepath.Join(dataDir, "spool.db")
	for {
		info, err := os.Stat(path)
		if err == nil {
			return fileOwner(info)
		}
		parent := filepath.Dir(path)
		if parent == path || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return 0, 0, err
		}
		path = parent
	}
}

func fileOwner(info fs.FileInfo) (uid, gid int, err error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("%s: the owner is not known", info.Name())
	}
	return int(st.Uid), int(st.Gid), nil
}
