package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// createDurably writes a file that must not exist yet, and returns when file and name are on disk. A crash leaves the
// whole file or none. A file that exists is left as it is: the error wraps fs.ErrExist.
func createDurably(path string, data []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return publish(path, data, func(temp string) error {
		err := os.Link(temp, path) // unlike a rename it fails when somebody else was faster
		if err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		return os.Rename(temp, path) // a file system without links
	})
}

// replaceDurably writes a file, in place of what was there. A crash leaves the old one or the new one.
func replaceDurably(path string, data []byte) error {
	return publish(path, data, func(temp string) error { return os.Rename(temp, path) })
}

// publish writes to a file of a passing name, which only we may read, and gives it its real one when it is on disk.
func publish(path string, data []byte, name func(temp string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".mailbearer-*")
	if err != nil {
		return fmt.Errorf("%w; may this user write there? Run this as the relay's user, or as root", err)
	}
	defer os.Remove(f.Name()) // gone after a rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := name(f.Name()); err != nil {
		return err
	}
	return syncDirectory(dir)
}

// syncDirectory makes names durable. Windows does that itself, and does not let a directory be synced.
func syncDirectory(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
