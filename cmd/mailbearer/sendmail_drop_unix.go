//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/rs/zerolog"
)

// drop writes the message into the drop folder, for the relay to take in when it runs.
func (i *invocation) drop(dataDir string, limit int64, in *input) (mail.ID, error) {
	dir := dropDir(dataDir)
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || info.Mode()&os.ModeSticky == 0 {
		return 0, noDropDir(dataDir, dir)
	}
	path := filepath.Join(dir, tmpPrefix+rand.Text())
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return 0, noDropDir(dataDir, dir)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	id := mail.NewID(time.Now())
	final := filepath.Join(dir, id.String()+dropSuffix)
	if err = i.fill(f, limit, in); err == nil {
		err = publishDrop(f, path, final)
	}
	if err != nil {
		_ = os.Remove(path)
		_ = os.Remove(final)
	}
	return id, err
}

func noDropDir(dataDir, dir string) error {
	owner := "mailbearer"
	if uid, _, err := spoolOwner(dataDir); err == nil {
		owner = userName(uid)
	}
	return exitWith(exNoPerm, "this user may not write the spool, and there is no usable drop folder for others: %s", makeItAs(owner, dir))
}

func makeItAs(owner, dir string) string {
	return fmt.Sprintf("as root, run `install -d -o %[1]s -g %[1]s -m 3733 %[2]s` (%[1]s being the user whom the relay runs as)", owner, dir)
}

// errNoDropDir is no trouble on a machine where nobody else sends.
var errNoDropDir = errors.New("there is no drop folder and the relay may not make one, so that only its user and root can use sendmail")

// fill writes request and message.
func (i *invocation) fill(f *os.File, limit int64, in io.Reader) error {
	out := bufio.NewWriterSize(f, 64<<10)
	t := relay.NewText(out, limit, func(h *relay.Header) error {
		if err := i.request.gather(h, i.fromHeader); err != nil {
			return err
		}
		i.request.Version = 1
		return json.NewEncoder(out).Encode(i.request) // the header section follows it
	})
	if err := copyText(t, in); err != nil {
		return err
	}
	return out.Flush()
}

// publishDrop gives a complete file its name. Its user may not open the folder and so cannot sync it; a second sync of the
// file takes the place of that, since the rename is part of the file's own history in the journals of ext4, XFS and
// btrfs.
func publishDrop(f *os.File, from, to string) error {
	if err := f.Chmod(dropMode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return f.Sync()
}

// openDropDir makes the drop folder if there is none. One that is there keeps its mode: an operator closes the folder
// with chmod 0700.
func openDropDir(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return makeDropDir(dir)
	}
	if err != nil {
		return err
	}
	uid, _, err := fileOwner(info)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case os.Geteuid() != 0 && os.Geteuid() != uid:
		return fmt.Errorf("%s belongs to %s and not to the user whom the relay runs as", dir, userName(uid))
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		return fmt.Errorf("%s may be changed by everyone: chmod 3733 it", dir)
	}
	return nil
}

func makeDropDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("%w; if others are to: %s (%w)", errNoDropDir, makeItAs(userName(os.Geteuid()), dir), err)
	}
	if err := os.Chown(dir, -1, os.Getegid()); err != nil {
		return err
	}
	return os.Chmod(dir, os.ModeSticky|os.ModeSetgid|0o733)
}

// takeDrops takes files in until ctx ends.
func (s *station) takeDrops(ctx context.Context) {
	takeDrops(ctx, dropDir(s.crew.Load().cfg.Relay.DataDir), s.putDrop, func(err error) {
		level := zerolog.WarnLevel
		if errors.Is(err, errNoDropDir) {
			level = zerolog.InfoLevel
		}
		s.log.WithLevel(level).Str("detail", err.Error()).Msg("drop folder: mail of users who may not write the spool")
	})
}

// putDrop puts a dropped message into the spool. The courier logs that it was accepted, as it does for all mail that came
// over no listener.
func (s *station) putDrop(ctx context.Context, d droppedFile) error {
	_, err := putDrop(ctx, s.crew.Load().cfg, s.spool, d)
	return err
}

// takeDrops looks into the folder every second and hands complete files to put. A file for which put fails for good is
// set aside; after any other error everything waits a little. An error is said when it is another one than before.
func takeDrops(ctx context.Context, dir string, put func(context.Context, droppedFile) error, say func(error)) {
	said := ""
	for {
		pause := dropEvery
		err := openDropDir(dir)
		if err == nil {
			err = scanDrops(ctx, dir, put, say)
		}
		if err != nil {
			pause = dropPause
		}
		if now := fmt.Sprint(err); now != said && err != nil && ctx.Err() == nil {
			say(err)
			said = now
		} else if err == nil {
			said = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// scanDrops goes through the folder once, in pieces, since anyone can fill it with names.
func scanDrops(ctx context.Context, dir string, put func(context.Context, droppedFile) error, say func(error)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for ctx.Err() == nil {
		entries, err := d.ReadDir(512)
		for _, e := range entries {
			if err := takeDrop(ctx, filepath.Join(dir, e.Name()), put, say); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeDrop deals with one name. The error is one that concerns all files.
func takeDrop(ctx context.Context, path string, put func(context.Context, droppedFile) error, say func(error)) error {
	base, isDrop := strings.CutSuffix(filepath.Base(path), dropSuffix)
	if !isDrop {
		sweepDrop(path)
		return nil
	}
	err := putFile(ctx, path, base, put)
	switch {
	case err == nil:
		return os.Remove(path)
	case errors.Is(err, errGone), ctx.Err() != nil:
		return nil
	case !isPermanent(err):
		return err
	}
	bad := strings.TrimSuffix(path, dropSuffix) + badSuffix
	if renamed := os.Rename(path, bad); renamed != nil {
		_ = os.Remove(path) // bad is a directory somebody made: the name is all that is lost
		return nil
	}
	say(fmt.Errorf("%s was not taken and is kept as %s: %w", filepath.Base(path), bad, err))
	return nil
}

// sweepDrop removes what is left over: files that nobody finished, and what an operator has had time to look at.
func sweepDrop(path string) {
	age := time.Duration(0)
	switch name := filepath.Base(path); {
	case strings.HasPrefix(name, tmpPrefix):
		age = tmpAge
	case strings.HasSuffix(name, badSuffix):
		age = badAge
	default:
		return
	}
	if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > age {
		_ = os.Remove(path)
	}
}

// errGone says that a file's owner has taken it away.
var errGone = errors.New("the file is gone")

// putFile opens a file without following or waiting for anything, and asks the open file, not the name, what it is.
func putFile(ctx context.Context, path, name string, put func(context.Context, droppedFile) error) error {
	id, err := mail.ParseID(name)
	if err != nil {
		return exitWith(exData, "%w", err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return exitWith(exData, "it cannot be opened: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.Mode().IsRegular():
		return exitWith(exData, "it is not a file")
	case st.Nlink != 1: // a second name may be one of somebody else's file
		return exitWith(exData, "it has %d names", st.Nlink)
	case info.Mode().Perm() != dropMode:
		return exitWith(exData, "its mode is %v, and sendmail's are %v", info.Mode().Perm(), fs.FileMode(dropMode))
	}
	given := info.ModTime()
	if now := time.Now(); given.After(now) || now.Sub(given) > badAge { // a file's time is its owner's to set
		given = now
	}
	return put(ctx, droppedFile{id: id, user: userName(int(st.Uid)), given: given, text: f})
}
