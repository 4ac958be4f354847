package sqlite

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What powercut.sh hands over: the data directory as the disk had it when the power was cut, and the directory with
// what the children said, one file for each, in the order of their names.
const (
	powerCutDir  = "MAILBEARER_POWERCUT_DIR"
	powerCutLogs = "MAILBEARER_POWERCUT_LOGS"
)

// TestPowerCut holds a store that powercut.sh has taken from a disk to what was said before. It is the second half of
// that script and does nothing by itself.
func TestPowerCut(t *testing.T) {
	dir := os.Getenv(powerCutDir)
	if dir == "" {
		t.Skip("run powercut.sh as root")
	}
	logs, err := filepath.Glob(filepath.Join(os.Getenv(powerCutLogs), "*"))
	check(t, err)
	slices.Sort(logs)
	said := newSaid()
	for _, path := range logs {
		hear(t, said, path)
	}
	if len(said.last) == 0 {
		t.Fatal("nothing was said, so nothing is proved")
	}
	verify(t, dir, said)
	t.Logf("%d messages", len(said.last))
}

func hear(t *testing.T, said *said, path string) {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // what has no end of line was not said
		}
		said.note(t, line)
	}
}
