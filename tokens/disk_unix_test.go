//go:build unix

package tokens

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// After `sudo mailbearer authorize` the relay, which is not root, must be able to read and to lock.
func TestFilesOfRootBelongToTheRelay(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := filepath.Join(t.TempDir(), "data")
	const relay = 12345
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, relay, relay); err != nil {
		t.Skip(err)
	}
	signIn(t, openStore(t, StoreOptions{Dir: dir}), "a", "one")
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != relay {
			t.Errorf("%s belongs to %d", e.Name(), st.Uid)
		}
	}
	if len(entries) < 4 {
		t.Errorf("%d files", len(entries))
	}
}
