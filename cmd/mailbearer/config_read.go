package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// configRead is what a running relay leaves in its data directory about the configuration it goes by, so that a command
// beside it can tell whether the file has changed since. Contents are compared: time stamps survive a copy, or do not.
type configRead struct {
	File    string    `json:"file"`
	Digest  string    `json:"sha256"`
	Time    time.Time `json:"time"`
	Restart []string  `json:"restart,omitempty"` // keys that have changed and wait for a restart
}

func configReadFile(dataDir string) string { return filepath.Join(dataDir, "config-read") }

// noteConfig writes down which configuration is in force. Without the note nothing but a hint of `check` is missing.
func (s *station) noteConfig(cfg *config.Config, restart []string) {
	file, err := filepath.Abs(cfg.File)
	if err != nil {
		file = cfg.File
	}
	text, err := json.Marshal(configRead{File: file, Digest: cfg.Digest, Time: time.Now().UTC().Truncate(time.Second), Restart: restart})
	if err == nil {
		err = replaceDurably(configReadFile(cfg.Relay.DataDir), append(text, '\n'))
	}
	if err != nil {
		s.log.Warn().Err(err).Msg("the note for `mailbearer check`, which configuration is in force, cannot be written")
	}
}

// olderConfig says that a running relay goes by another configuration than cfg, and what makes it read that. Both are ""
// where none runs, where it does not say (it may be of another user), or where it goes by the same.
func olderConfig(cfg *config.Config) (cause, fix string) {
	text, err := os.ReadFile(configReadFile(cfg.Relay.DataDir))
	var read configRead
	if err != nil || json.Unmarshal(text, &read) != nil || !sqlite.Running(cfg.Relay.DataDir) {
		return "", ""
	}
	switch at := read.Time.Local().Format(time.DateTime); {
	case read.Digest != cfg.Digest:
		return fmt.Sprintf("The running relay still uses the configuration it read at %s, from %s; the file read here is another, or has changed since", at, read.File), "Make it read the new one: " + rereads + "."
	case len(read.Restart) > 0:
		return fmt.Sprintf("The running relay has read this configuration at %s, but needs a restart for what has changed in %s", at, strings.Join(read.Restart, ", ")), "Restart the relay."
	}
	return "", ""
}

// rereads is how a relay is made to read its configuration again.
var rereads = func() string {
	if runtime.GOOS == "windows" {
		return "restart the relay"
	}
	return "systemctl reload mailbearer, or kill -HUP its process; a restart does it too"
}()
