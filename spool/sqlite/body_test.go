package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

func hasFile(t *testing.T, s *Spool, id mail.ID) bool {
	t.Helper()
	_, err := os.Stat(bodyPath(s.opt.Dir, id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// A text has a row or a file, never both, and neither when it is no longer needed.
func TestWhereTextsAre(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	rows := func() int { return one[int](t, s.reading, `SELECT COUNT(*) FROM body`) }
	short, long := put(t, s, spool.InlineLimit, false), put(t, s, spool.InlineLimit+1, false)
	if hasFile(t, s, short) || !hasFile(t, s, long) || rows() != 1 {
		t.Errorf("files: %v, %v; rows: %d", hasFile(t, s, short), hasFile(t, s, long), rows())
	}
	claimAll(t, s, time.Now())
	settleAs(t, s, short, mail.Delivered)
	settleAs(t, s, long, mail.Delivered)
	if hasFile(t, s, long) || rows() != 0 {
		t.Errorf("delivered: file %v, rows %d", hasFile(t, s, long), rows())
	}
	short, long = put(t, s, 10, true), put(t, s, spool.InlineLimit+1, true)
	claimAll(t, s, time.Now())
	for _, id := range []mail.ID{short, long} {
		settleAs(t, s, id, mail.Failed)
		check(t, s.Forget(t.Context(), id))
	}
	if hasFile(t, s, long) || rows() != 0 {
		t.Errorf("forgotten: file %v, rows %d", hasFile(t, s, long), rows())
	}
}

// A text is on the disk while it arrives, and gone when it is given up.
func TestSpillAndDiscard(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	env, b, err := begin(s, spool.InlineLimit)
	check(t, err)
	if hasFile(t, s, env.ID) {
		t.Error("the disk was touched too early")
	}
	_, err = b.Write([]byte("x"))
	check(t, err)
	if !hasFile(t, s, env.ID) {
		t.Error("the text is still in memory")
	}
	b.Discard()
	if hasFile(t, s, env.ID) {
		t.Error("the file was left")
	}
}

// A mark whose waiter could not take it off in time counts for nothing.
func TestMarkWithoutWaiter(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	id := put(t, s, 10, true)
	claimAll(t, s, time.Now())
	s.watch.drop(id)
	settleAs(t, s, id, mail.Failed)
	if get(t, s, id).Watched {
		t.Error("a refused message waits for someone who has gone")
	}
}
