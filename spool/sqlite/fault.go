package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/mailbearer/mailbearer/spool"
)

// plain gives an error of the disk or of SQLite the name that callers act on. What has a name keeps it.
func (s *Spool) plain(err error) error {
	switch {
	case err == nil, errors.Is(err, spool.ErrDiskFull), errors.Is(err, spool.ErrCorrupt):
		return err
	case isFull(err), sqliteCode(err) == lib.SQLITE_FULL, sqliteCode(err) == lib.SQLITE_IOERR && s.isFull():
		return fmt.Errorf("%w: %w", spool.ErrDiskFull, err)
	case sqliteCode(err) == lib.SQLITE_CORRUPT, sqliteCode(err) == lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", spool.ErrCorrupt, err)
	}
	return err
}

// sqliteCode is SQLite's primary result code, 0 for an error that is not SQLite's.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// fullBelow is how little room makes an I/O error one of a full disk: SQLite does not pass on what the system said.
const fullBelow = 1 << 20

func (s *Spool) isFull() bool {
	free, _, known := s.opt.freeSpace(s.opt.Dir)
	return known && free < fullBelow
}

// The room that new mail leaves, see Options.Reserve. The log may have to grow by 8 MiB and be copied into the database
// before it is used again; on a small disk a quarter has to do.
const (
	reserve      = 16 << 20
	reserveShare = 4
	roomEvery    = 1 << 20 // how often a long text looks while it arrives
)

// room refuses n more octets that would use up what sending needs.
func (s *Spool) room(n int64) error {
	if s.opt.Reserve < 0 {
		return nil
	}
	free, total, known := s.opt.freeSpace(s.opt.Dir)
	keep := s.opt.Reserve
	if keep == 0 {
		keep = min(reserve, total/reserveShare)
	}
	if known && free-n < keep {
		return fmt.Errorf("%w: %d octets are free, and %d are kept for sending what is queued", spool.ErrDiskFull, free, keep)
	}
	return nil
}

// explain says who cannot do what, and what to do about it, when the data directory is closed to us.
func (s *Spool) explain(err error) error {
	code := sqliteCode(err)
	closed := code == lib.SQLITE_READONLY || code == lib.SQLITE_CANTOPEN || code == lib.SQLITE_PERM
	switch {
	case errors.Is(err, spool.ErrCorrupt):
		return fmt.Errorf("%w. Nothing was removed. Copy the directory before anything else; `sqlite3 %s .recover` may bring the mail back. "+
			"To go on without it, start once with `mailbearer run --reset-corrupt-spool`, which sets the damaged database aside", err, dbName)
	case isReadOnly(err), closed && readOnly(s.opt.Dir):
		return fmt.Errorf("%w. The file system is mounted read-only: mount it read-write (after a disk error the system log says why it is not), "+
			"or choose another data directory", plainWords{err})
	case errors.Is(err, fs.ErrPermission), closed:
		return fmt.Errorf("%w. %s may not write there: run mailbearer as the user that owns the directory%s, or give the directory to this one",
			plainWords{err}, whoWeAre(), ownerOf(s.opt.Dir))
	}
	return err
}

// plainWords leaves SQLite's number out of its words: to a person who is told what is wrong it says nothing.
type plainWords struct{ error }

func (e plainWords) Unwrap() error { return e.error }

func (e plainWords) Error() string {
	var said *sqlite.Error
	if !errors.As(e.error, &said) {
		return e.error.Error()
	}
	bare := strings.TrimSuffix(said.Error(), fmt.Sprintf(" (%d)", said.Code()))
	return strings.Replace(e.error.Error(), said.Error(), bare, 1)
}

func whoWeAre() string {
	u, err := user.Current()
	switch {
	case err == nil && u.Username != "":
		return "The user " + u.Username
	case runtime.GOOS == "windows":
		return "This user"
	}
	return fmt.Sprintf("The user with uid %d", os.Getuid())
}

// checkFileSystem refuses a data directory that other machines can write.
func (s *Spool) checkFileSystem() error {
	if s.opt.AllowNetworkFS {
		return nil
	}
	kind, network := s.opt.fileSys(s.opt.Dir)
	if !network {
		return nil
	}
	return fmt.Errorf("%w (%s). The queue's database needs locks and shared memory that do not hold there: two machines, or one after a cut "+
		"connection, destroy it. Choose a data directory on a local disk, or start with `mailbearer run --allow-network-fs`", spool.ErrNetworkFS, kind)
}
