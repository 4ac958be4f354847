package tokens

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	keyFile = "key"
	keyLen  = 32 // AES-256
)

var errKeyGone = errors.New("the key it was encrypted with is gone")

// givenKey is the configured key.
func (s *Store) givenKey() ([]byte, error) {
	data, err := s.key()
	if err != nil {
		return nil, fmt.Errorf("tokens.key cannot be read: %w", err)
	}
	if len(data) == keyLen {
		return data, nil
	}
	text := string(bytes.TrimSpace(data))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(text); err == nil && len(key) == keyLen {
			return key, nil
		}
	}
	return nil, errors.New("tokens.key must be 32 random bytes, as they are, in base64 or in hexadecimal; make one: openssl rand -base64 32")
}

// presentKey is the key that there is; errKeyGone without one.
func (s *Store) presentKey() ([]byte, error) {
	if s.key != nil {
		return s.givenKey()
	}
	f, err := os.Open(s.keyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errKeyGone
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, keyLen+1))
	if err != nil {
		return nil, err
	}
	if len(key) != keyLen {
		return nil, fmt.Errorf("the key in %s is damaged: it must be %d bytes; put it back from a backup, "+
			"or move it away and sign in again", s.keyPath(), keyLen)
	}
	return key, nil
}

// makeKey is presentKey, and makes one on first use. The caller holds the file's lock, so that two processes do not
// make two; a key that is there is never written over, whatever is wrong with it.
func (s *Store) makeKey() ([]byte, error) {
	key, err := s.presentKey()
	if !errors.Is(err, errKeyGone) {
		return key, err
	}
	key = make([]byte, keyLen)
	rand.Read(key) // never fails, since Go 1.24
	if err := os.MkdirAll(s.keyDir, 0o700); err != nil {
		return nil, err
	}
	_, err = s.replace(s.keyPath(), key)
	return key, err
}
