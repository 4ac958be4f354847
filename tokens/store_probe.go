package tokens

import (
	"errors"
	"io/fs"
	"os"
)

// Writable says whether a sign-in could be stored now, by doing all of it but the last step: so that nobody is asked to
// sign in in vain, and no refresh token is used whose successor would be lost. Errors are Problems.
func (s *Store) Writable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.probe(); err != nil {
		return s.unstorable(err)
	}
	return nil
}

func (s *Store) probe() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockWithin(s.path(storeFile+".lock"), lockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.read(); err != nil && !aside(err) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := s.presentKey(); errors.Is(err, errKeyGone) {
		if err := os.MkdirAll(s.keyDir, 0o700); err != nil {
			return err
		}
		if err := s.tryFile(s.keyPath()); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return s.tryFile(s.path(storeFile))
}

// tryFile writes as much as a small store, and takes it away again.
func (s *Store) tryFile(path string) error {
	name, _, err := s.writeAside(path, make([]byte, 4096))
	if err != nil {
		return err
	}
	return os.Remove(name)
}
