package tokens

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// lockPause is how often a lock that someone else holds is asked for: the kernel's own waiting cannot be given up.
const lockPause = 20 * time.Millisecond

var errLocked = errors.New("another process holds the lock")

// enter waits until the account's sign-in belongs to the caller alone, in this process and among all. Where no lock
// file can be made (a full or read-only disk) this process goes on by itself: mail matters more.
func (s *Store) enter(ctx context.Context, account string) (leave func(), err error) {
	door := s.door(account)
	select {
	case door <- struct{}{}:
	case <-ctx.Done():
		return nil, s.busy(ctx)
	}
	os.MkdirAll(s.dir, 0o700) // if it fails, so does what comes next
	unlock, err := lockFile(ctx, s.path(lockName(account)))
	if ctx.Err() != nil && err != nil {
		<-door
		return nil, s.busy(ctx)
	}
	if err != nil {
		unlock = func() {}
	}
	return func() { unlock(); <-door }, nil
}

func (s *Store) busy(ctx context.Context) error {
	return &diagnose.Problem{
		Unreachable: true, Class: diagnose.ClassTransient,
		Cause: "The sign-in is in use by another process or by another renewal", Said: clean(context.Cause(ctx).Error()),
		Fix: "Nothing: it is tried again. If it lasts, see which other mailbearer commands run.",
	}
}

// door is the account's own place in this process.
func (s *Store) door(account string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doors[account] == nil {
		s.doors[account] = make(chan struct{}, 1)
	}
	return s.doors[account]
}

// lockName is the lock file of an account. Account names are fit for file names, but the store does not rely on it.
func lockName(account string) string {
	plain := account != "" && strings.Trim(strings.ToLower(account), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	if !plain || len(account) > 64 {
		account = "x" + hex.EncodeToString([]byte(account))
	}
	return storeFile + "." + strings.ToLower(account[:min(len(account), 128)]) + ".lock"
}

// lockFile takes an advisory lock, waiting until ctx ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	inherit(f, filepath.Dir(path)) // if it fails, other users wait in vain for what they may not open, and say so
	for {
		err := tryLock(f)
		if err == nil {
			return func() { f.Close() }, nil // which lets go of it
		}
		if !errors.Is(err, errLocked) {
			f.Close()
			return nil, fmt.Errorf("%s cannot be locked: %w", path, err)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			f.Close()
			return nil, errLocked
		}
	}
}

// lockWithin is lockFile with a bound of its own.
func lockWithin(path string, patience time.Duration) (func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return lockFile(ctx, path)
}
