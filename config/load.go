package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// maxFileSize in octets is far above any configuration; what is larger is another file.
const maxFileSize = 1 << 20

// Option changes what is accepted.
type Option int

// AllowMissingCertificate accepts an account whose certificate does not exist yet: for the commands that make it, or
// that run before it is made.
const AllowMissingCertificate Option = 1

// WithoutSecrets looks at no file and no variable that the text names: for a user who may read the configuration and
// not the secrets, as whoever calls sendmail. Secrets are left unset, certificates and the like unseen.
const WithoutSecrets Option = 2

// Load reads and checks a file. The error is Mistakes when the file could be read and something in it is wrong;
// otherwise it wraps the cause, such as fs.ErrNotExist.
func Load(path string, options ...Option) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	return Parse(path, text, options...)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// Parse checks the text of a file; name is what mistakes call it, and its directory is where relative paths start.
// Files and environment variables that the text names are looked at. The error is always Mistakes.
func Parse(name string, text []byte, options ...Option) (*Config, error) {
	switch {
	case len(text) > maxFileSize:
		return nil, Mistakes{{File: name, Text: "is larger than 1MB; is this the right file?"}}
	case isUTF16(text):
		return nil, Mistakes{{File: name, Line: 1, Text: "the file is stored as UTF-16: save it as UTF-8"}}
	}
	root, err := parseTree(bytes.TrimPrefix(text, []byte(bom)))
	if err != nil {
		return nil, syntaxMistake(name, err)
	}
	r := &reader{
		file: name, dir: filepath.Dir(name), env: os.LookupEnv,
		missingCertificate: slices.Contains(options, AllowMissingCertificate) || slices.Contains(options, WithoutSecrets),
		blind:              slices.Contains(options, WithoutSecrets),
	}
	c, err := r.read(root)
	if err == nil {
		c.Digest = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return c, err
}

// read takes the tree through the steps that doc.go names.
func (r *reader) read(root *node) (*Config, error) {
	c := &Config{File: r.file}
	r.decode(root, c)
	r.rules(root, c)
	r.unbuilt(root, c)
	if len(r.mistakes) > 0 {
		return nil, r.mistakes.sort()
	}
	for _, w := range r.warnings.sort() {
		c.Warnings = append(c.Warnings, w.String())
	}
	return c, nil
}
