package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// ErrNoSpool says that there is nothing to read yet.
var ErrNoSpool = errors.New("there is no spool in the data directory yet; it is made when the relay is first run")

var errOutdated = errors.New("the spool was written by an older version; start the relay once, which brings it up to date")

// Options say how to open a spool.
type Options struct {
	// Dir is the data directory. The spool owns lock, spool.db and bodies/ in it.
	Dir string
	// MaxSize is the limit for all texts together, in octets; 0 is no limit.
	MaxSize int64
	// Owner is the running relay: it holds the lock, migrates, cleans up and watches for other processes' writes.
	// Any other opens the database as it is, and may read and write beside the owner.
	Owner bool
	// Create lets one who is not the owner make the spool if there is none (or bring it up to date), under the
	// lock, which it gives back at once: mail can be queued before the relay has ever run.
	Create bool
	// AllowNetworkFS opens a data directory on a network file system all the same. SQLite's log needs memory that is
	// shared between processes, and locks that hold; where they do not, a second machine destroys the queue.
	AllowNetworkFS bool
	// ResetCorrupt lets the owner set a damaged database aside, with the texts that belong to it, and begin a new
	// one; see MovedAside. A database that is well is left alone, but all of it is read to make sure.
	ResetCorrupt bool
	// Reserve is how many octets of the disk new mail leaves free, so that what is queued can still be sent when the
	// disk is full: every attempt is written down first. 0 is 16 MiB, or a quarter of a small disk; -1 is none.
	Reserve int64
	// Poll is how often the owner looks for other processes' writes: half a second unless a test says otherwise.
	Poll time.Duration
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time

	create    func(path string) (file, error)                  // how a text's file is made; tests make it fail
	fileSys   func(dir string) (kind string, network bool)     // what a directory is on
	freeSpace func(dir string) (free, total int64, known bool) // how much room there is
	fault     func(query string) error                         // makes the writer's statements fail
}

// file is what a spilled text is written to.
type file interface {
	Write([]byte) (int, error)
	Sync() error
	Close() error
}

// Spool implements spool.Spool.
type Spool struct {
	opt      Options
	lock     *os.File // nil for one who is not the owner
	ops      chan *op // from callers to the writer; no buffer
	w        *writer
	writing  *sql.DB
	reading  *sql.DB
	compiled sync.Map // the statements of reading, by query
	watch    watches
	changed  chan struct{}
	closing  chan struct{}
	closed   sync.Once
	loop     sync.WaitGroup

	aside       string        // see MovedAside
	interrupted []Interrupted // found by Open

	mu       sync.Mutex
	doubtful []mail.ID // texts to remove after the next commit, see Put
}

var _ spool.Spool = (*Spool)(nil)

// Open opens the spool in opt.Dir. Errors: spool.ErrLocked when another owner runs, ErrNoSpool when there is
// nothing to open, spool.ErrCorrupt, spool.ErrNetworkFS, spool.ErrDiskFull, and plain words when the directory cannot
// be written or the database is newer than this program.
func Open(ctx context.Context, opt Options) (*Spool, error) {
	s, err := newSpool(opt)
	if err != nil {
		return nil, err
	}
	err = s.open(ctx)
	if errors.Is(err, spool.ErrCorrupt) && opt.Owner && opt.ResetCorrupt {
		err = s.startOver(ctx)
	}
	if err != nil {
		_ = s.release()
		return nil, fmt.Errorf("open the spool in %s: %w", opt.Dir, s.explain(err))
	}
	s.loop.Go(func() { s.serve() })
	return s, nil
}

func newSpool(opt Options) (*Spool, error) {
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, err
	}
	opt.Dir = dir
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.fileSys == nil {
		opt.fileSys = fileSystem
	}
	if opt.freeSpace == nil {
		opt.freeSpace = freeSpace
	}
	if opt.create == nil {
		opt.create = func(path string) (file, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
		}
	}
	return &Spool{
		opt:     opt,
		watch:   watches{waiting: map[mail.ID]*waiter{}},
		changed: make(chan struct{}, 1),
		closing: make(chan struct{}),
		ops:     make(chan *op),
	}, nil
}

func (s *Spool) open(ctx context.Context) error {
	if err := s.checkFileSystem(); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return s.plain(err)
	}
	s.reading = connect(s.opt.Dir, "mode=ro", "cache_size(-1024)")
	s.compiled.Clear()
	s.reading.SetMaxOpenConns(4)
	s.reading.SetMaxIdleConns(4)
	if s.opt.Owner {
		if err := s.reset(); err != nil {
			return s.plain(err)
		}
		if err := s.sweep(ctx); err != nil {
			return err
		}
	}
	return s.plain(s.w.catchUp())
}

// prepare opens the writer on a database whose schema is the one this program knows.
func (s *Spool) prepare(ctx context.Context) error {
	if !s.opt.Owner {
		err := s.openExisting(ctx)
		if s.opt.Create && missing(err) {
			return s.createBeside(ctx)
		}
		return err
	}
	return s.openOwned(ctx)
}

func (s *Spool) openOwned(ctx context.Context) (err error) {
	if s.lock == nil {
		if s.lock, err = takeLock(ctx, s.opt.Dir, lockTries); err != nil {
			return err
		}
	}
	if err := makeLayout(s.opt.Dir); err != nil {
		return err
	}
	if err := s.openWriter(ctx); err != nil {
		return err
	}
	if err := s.w.checkWhole(s.opt.ResetCorrupt, s.databaseSize()); err != nil {
		return err
	}
	return s.w.migrate()
}

// createBeside does the owner's first steps for one who is not. If the owner is about to do them itself, it waits
// for that.
func (s *Spool) createBeside(ctx context.Context) error {
	for {
		err := s.openOwned(ctx)
		if err == nil {
			err = s.lock.Close()
			s.lock = nil
			return err
		}
		_ = s.release()
		if !errors.Is(err, spool.ErrLocked) {
			return err
		}
		if err := s.openExisting(ctx); !missing(err) {
			return err
		}
		if err := pause(ctx, lockPause); err != nil {
			return err
		}
	}
}

func (s *Spool) openExisting(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(s.opt.Dir, dbName)); errors.Is(err, fs.ErrNotExist) {
		return ErrNoSpool
	}
	if err := s.openWriter(ctx); err != nil {
		return err
	}
	version, err := s.w.schema()
	switch {
	case err != nil:
		return err
	case version == 0:
		err = ErrNoSpool // someone is making it at this moment
	case version < len(migrations):
		err = errOutdated
	default:
		return tooNew(version)
	}
	_ = s.release()
	return err
}

// missing says whether the owner's first steps are still to be done.
func missing(err error) bool { return errors.Is(err, ErrNoSpool) || errors.Is(err, errOutdated) }

// openWriter opens the one connection that writes. Its settings are statements and not part of the address, because
// the driver would run those in the order of the alphabet.
func (s *Spool) openWriter(ctx context.Context) error {
	s.writing = connect(s.opt.Dir, "mode=rw")
	s.writing.SetMaxOpenConns(1)
	conn, err := s.writing.Conn(ctx)
	if err != nil {
		return err
	}
	s.w = s.newWriter(conn)
	version, err := s.w.schema()
	if err != nil {
		return err
	}
	settings := writerSettings
	if version == 0 {
		settings = slices.Concat(newSettings, writerSettings)
	}
	for _, setting := range settings {
		if _, err := conn.ExecContext(ctx, "PRAGMA "+setting); err != nil {
			return fmt.Errorf("set %s: %w", setting, err)
		}
	}
	return nil
}

func (s *Spool) newWriter(conn *sql.Conn) *writer {
	idle := time.NewTimer(time.Hour)
	idle.Stop()
	return &writer{
		conn: conn, stmts: map[string]*sql.Stmt{}, ops: s.ops, idle: idle,
		foreign: s.signal, after: s.removeDoubtful, now: s.opt.Clock, fault: s.opt.fault,
	}
}

// connect describes a connection; nothing is opened yet. The path goes in as a URI, so that no character of a
// directory's name is taken for an option.
func connect(dir, mode string, pragmas ...string) *sql.DB {
	path := filepath.ToSlash(filepath.Join(dir, dbName))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	query := mode
	for _, p := range append([]string{"busy_timeout(10000)", "temp_store(MEMORY)"}, pragmas...) {
		query += "&_pragma=" + p
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String())
	if err != nil {
		panic(err) // only an unknown driver
	}
	return db
}

// serve runs the writer's goroutine.
func (s *Spool) serve() {
	if s.opt.Owner {
		tick := time.NewTicker(cmp.Or(s.opt.Poll, pollEvery))
		defer tick.Stop()
		s.w.poll = tick.C
		s.w.rest(idleAfter)
	}
	s.w.loop(s.closing)
}

// Close waits for what has been handed over and closes the spool. Waits end; what is still open for reading may
// be read to its end.
func (s *Spool) Close() (err error) {
	s.closed.Do(func() {
		close(s.closing)
		s.loop.Wait()
		s.watch.endAll()
		err = s.release()
	})
	return err
}

// release closes whatever is open. The lock goes last.
func (s *Spool) release() error {
	err := s.disconnect()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	s.lock = nil
	return err
}

// disconnect closes the database and keeps the lock.
func (s *Spool) disconnect() error {
	var errs []error
	if s.reading != nil {
		errs = append(errs, s.reading.Close())
	}
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	if s.writing != nil {
		errs = append(errs, s.writing.Close())
	}
	s.w, s.writing = nil, nil // reading stays: who reads after Close is told so by database/sql
	return errors.Join(errs...)
}

// Changed implements spool.Spool.
func (s *Spool) Changed() <-chan struct{} { return s.changed }

func (s *Spool) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
