package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// redacted is all that is ever printed of a secret, set or not.
const redacted = "[redacted]"

// maxSecretSize in octets is more than any secret has, and keeps a path to the wrong file from filling memory.
const maxSecretSize = 64 << 10

// Secret is a value that prints as [redacted], whatever prints it. The zero Secret is not set. Copies share what was
// read; they may be used at the same time.
//
// What it holds is behind a function, because that is what fmt cannot look into: in a struct's unexported field it
// calls no method of a Secret, and for %s it even follows a pointer.
type Secret struct{ held func() *secret }

// secret is what copies of a Secret share.
type secret struct {
	source string // "env:NAME", "file:/path", or "" when the value itself was given
	path   string // "" when there is no file to re-read

	mu    sync.Mutex
	value string
	info  fs.FileInfo
}

// ParseSecret reads a secret's text as it stands in the configuration: "env:NAME", "file:/path", or the value itself.
// Variable and file are read at once; that they cannot be, or that there is nothing in them, is an error.
func ParseSecret(text string) (Secret, error) { return parseSecret(text, "", os.LookupEnv) }

func parseSecret(text, dir string, env func(string) (string, bool)) (Secret, error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, _ := env(name)
		if value == "" {
			return Secret{}, fmt.Errorf("the environment variable %q is not set, or empty", name)
		}
		return hide(&secret{source: text, value: value}), nil
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		return fileSecret("file:", path, dir)
	}
	if text == "" {
		return Secret{}, errors.New("is empty")
	}
	return hide(&secret{value: text}), nil
}

func hide(s *secret) Secret { return Secret{func() *secret { return s }} }

func fileSecret(scheme, path, dir string) (Secret, error) {
	if path == "" {
		return Secret{}, errors.New(`names no file: write "file:/path/to/file"`)
	}
	path = resolve(path, dir)
	s := hide(&secret{source: scheme + path, path: path})
	_, err := s.Reveal()
	if err != nil {
		return Secret{}, err
	}
	return s, nil
}

// IsSet says whether there is a secret.
func (s Secret) IsSet() bool { return s.held != nil }

// Source says where the secret comes from, "env:NAME" or "file:/path", for texts that tell a person where to look; ""
// when the value stands in the configuration itself.
func (s Secret) Source() string {
	if !s.IsSet() {
		return ""
	}
	return s.held().source
}

// Reveal returns the secret itself, "" when it is not set. A file is read again when it is another one, or its size
// or time of change is; an error names the file and never its content.
func (s Secret) Reveal() (string, error) {
	if !s.IsSet() {
		return "", nil
	}
	return s.held().reveal()
}

func (s *secret) reveal() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" {
		return s.value, nil
	}
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("the file %s does not exist", s.path)
	case err != nil:
		return "", fmt.Errorf("the file cannot be read: %w", err)
	}
	if s.info != nil && sameFile(info, s.info) {
		return s.value, nil
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", s.path) // a pipe or a terminal would be waited for
	}
	value, err := readSecret(s.path)
	if err != nil {
		return "", err
	}
	s.value, s.info = value, info
	return value, nil
}

// sameFile compares what Stat says; an editor that renames a new file into place is seen even within one tick of the
// clock.
func sameFile(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// readSecret drops one newline from the end and what Windows editors put at the beginning.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the file cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("the file cannot be read: %w", err)
	case len(text) > maxSecretSize:
		return "", fmt.Errorf("%s is too large for a secret", path)
	case isUTF16(text):
		return "", fmt.Errorf("%s is stored as UTF-16: save it as UTF-8 or ASCII", path)
	}
	text = bytes.TrimPrefix(text, []byte(bom))
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(text), nil
}

// resolve makes a path one that does not depend on the working directory, when the directory does not.
func resolve(path, dir string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Equal says whether two secrets come from the same place; when they stand in the configuration, whether they are the
// same. It is what a reload asks, and go-cmp.
func (s Secret) Equal(other Secret) bool {
	if !s.IsSet() || !other.IsSet() {
		return s.IsSet() == other.IsSet()
	}
	a, b := s.held(), other.held()
	return a.source == b.source && (a.path != "" || a.value == b.value)
}

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, for every verb: %x of a string would be the string.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
