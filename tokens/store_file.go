package tokens

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// The file is a line with the version, which key it was, a nonce, and JSON under AES-256-GCM; the line and the key's
// name are authenticated too.
const (
	storeFile    = "tokens"
	storeFamily  = "mailbearer tokens "
	storeHeader  = storeFamily + "1\n"
	keyNameLen   = 8
	maxStoreFile = 4 << 20 // a thousand accounts and more
	lockPatience = 5 * time.Second
)

var (
	errDamaged  = errors.New("the file is damaged")
	errOtherKey = errors.New("the file was encrypted with another key")
	errNewer    = errors.New("the file was written by a newer version of mailbearer")
)

// reload reads the file if it is another one than was read last. Without a file memory stays as it is: a sign-in is
// ended at the provider, not by deleting a file under a running relay. The caller holds s.mu.
func (s *Store) reload() error {
	defer func() { s.looked = true }()
	info, err := os.Stat(s.path(storeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && s.seen != nil && os.SameFile(info, s.seen) && info.ModTime().Equal(s.seen.ModTime()) && info.Size() == s.seen.Size() {
		return nil
	}
	if err == nil {
		var file map[string]grant
		if file, err = s.read(); err == nil {
			s.compare(file)
			s.take(file, info)
			return nil
		}
	}
	if len(s.known) > 0 {
		s.problem.Store(s.unreadableNow(err))
	}
	return err
}

// compare notes whose sign-in is another one than memory has: someone else signed in. What is there at the first look
// is no news.
func (s *Store) compare(file map[string]grant) {
	for account, g := range file {
		if s.looked && s.known[account].SignIn != g.SignIn {
			s.news[account] = true
		}
	}
}

// take remembers what the file holds.
func (s *Store) take(file map[string]grant, info fs.FileInfo) {
	s.known, s.seen = file, info
	if len(s.waiting) == 0 {
		s.problem.Store(nil)
	}
}

// read returns what the file holds; fs.ErrNotExist when there is none.
func (s *Store) read() (map[string]grant, error) {
	f, err := os.Open(s.path(storeFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxStoreFile {
		return nil, errDamaged
	}
	data, err := io.ReadAll(io.LimitReader(f, maxStoreFile))
	if err != nil {
		return nil, err
	}
	rest, known := bytes.CutPrefix(data, []byte(storeHeader))
	switch {
	case !known && bytes.HasPrefix(data, []byte(storeFamily)) && bytes.IndexByte(data, '\n') > 0:
		return nil, errNewer
	case !known:
		return nil, errDamaged
	}
	key, err := s.presentKey()
	if err != nil {
		return nil, err
	}
	return unseal(key, rest)
}

func unseal(key, data []byte) (map[string]grant, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	head := keyNameLen + aead.NonceSize()
	if len(data) < head {
		return nil, errDamaged
	}
	name := keyName(key)
	if !bytes.Equal(data[:keyNameLen], name) {
		return nil, errOtherKey
	}
	plain, err := aead.Open(nil, data[keyNameLen:head], data[head:], append([]byte(storeHeader), name...))
	if err != nil {
		return nil, errDamaged
	}
	var file struct {
		Accounts map[string]grant `json:"accounts"`
	}
	if json.Unmarshal(plain, &file) != nil || file.Accounts == nil {
		return nil, errDamaged
	}
	return file.Accounts, nil
}

func seal(key []byte, accounts map[string]grant) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(map[string]any{"accounts": accounts})
	if err != nil {
		return nil, err
	}
	head := append([]byte(storeHeader), keyName(key)...)
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails, since Go 1.24
	return aead.Seal(append(bytes.Clone(head), nonce...), nonce, plain, head), nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// keyName tells keys apart without giving one away.
func keyName(key []byte) []byte {
	sum := sha256.Sum256(append([]byte("mailbearer key name\n"), key...))
	return sum[:keyNameLen]
}

// write changes the file under its lock. A file that cannot be read is kept aside, and what memory has of it is
// written in its place; one of a newer version stays. The caller holds s.mu.
func (s *Store) write(change func(map[string]grant)) error {
	unlock, err := lockWithin(s.path(storeFile+".lock"), lockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	s.step("writing")
	file, err := s.read()
	switch {
	case aside(err):
		kept := s.path(storeFile + ".unreadable-" + time.Now().UTC().Format("20060102T150405.000"))
		if err := os.Rename(s.path(storeFile), kept); err != nil {
			return err
		}
		file = maps.Clone(s.known)
	case errors.Is(err, fs.ErrNotExist):
		file = maps.Clone(s.known)
	case err != nil:
		return err
	}
	s.compare(file)
	change(file)
	key, err := s.makeKey()
	if err != nil {
		return err
	}
	data, err := seal(key, file)
	if err != nil {
		return err
	}
	info, err := s.replace(s.path(storeFile), data)
	if err != nil {
		return err
	}
	s.take(file, info)
	return nil
}

// aside says whether a file that cannot be read makes way for a new one.
func aside(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, errOtherKey) || errors.Is(err, errKeyGone)
}

// replace puts a file in place as a whole or not at all: write aside, sync, rename, sync the directory.
func (s *Store) replace(path string, data []byte) (fs.FileInfo, error) {
	temp, info, err := s.writeAside(path, data)
	if err != nil {
		return nil, err
	}
	s.step("written")
	if err := rename(temp, path); err != nil {
		return nil, err
	}
	s.step("renamed")
	return info, syncDir(filepath.Dir(path))
}

// writeAside writes a file under a passing name. What a process left there that died is in nobody's use: the caller
// holds the lock.
func (s *Store) writeAside(path string, data []byte) (temp string, info fs.FileInfo, err error) {
	temp = path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, err
	}
	info, err = s.fill(f, filepath.Dir(path), data)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, errors.Join(err, os.Remove(temp))
	}
	return temp, info, nil
}

func (s *Store) fill(f *os.File, dir string, data []byte) (fs.FileInfo, error) {
	if err := inherit(f, dir); err != nil {
		return nil, err
	}
	if _, err := f.Write(data[:len(data)/2]); err != nil {
		return nil, err
	}
	s.step("half written")
	if _, err := f.Write(data[len(data)/2:]); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return f.Stat()
}
