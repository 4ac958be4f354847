package sqlite

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/spool"
)

func TestNetworkFileSystemIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, owner(t, dir).Close())
	nfs := func(string) (string, bool) { return "NFS", true }
	for _, opt := range []Options{{Dir: dir, Owner: true}, {Dir: dir}, {Dir: t.TempDir(), Create: true}} {
		opt.fileSys = nfs
		_, err := Open(t.Context(), opt)
		if !errors.Is(err, spool.ErrNetworkFS) || !strings.Contains(err.Error(), "NFS") || !strings.Contains(err.Error(), opt.Dir) {
			t.Errorf("got %v", err)
		}
	}
	put(t, openTest(t, Options{Dir: dir, Owner: true, AllowNetworkFS: true, fileSys: nfs}), 10, false)
}

// What tests run on is not taken for a network file system, and has room.
func TestLocalFileSystem(t *testing.T) {
	t.Parallel()
	if kind, network := fileSystem(t.TempDir()); network {
		t.Errorf("the temporary directory is on %s", kind)
	}
	if free, total, known := freeSpace(t.TempDir() + "/not/there/yet"); known && (free <= 0 || total < free) {
		t.Errorf("%d octets of %d are free", free, total)
	}
}
