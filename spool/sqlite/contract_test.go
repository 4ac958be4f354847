package sqlite

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool/spooltest"
)

func TestContract(t *testing.T) {
	spooltest.Run(t, func(t *testing.T, maxSize int64) spooltest.Opened {
		s := openTest(t, Options{Dir: t.TempDir(), MaxSize: maxSize, Owner: true})
		return spooltest.Opened{Spool: s, Lose: func(id mail.ID) { lose(s, id) }}
	})
}

// lose takes a text away, as a repaired database or a cleaned up directory might.
func lose(s *Spool, id mail.ID) {
	_ = s.write(context.Background(), 0, func(t *tx) error {
		_, err := t.exec(sqlDropBody, int64(id))
		return err
	})
	_ = os.Remove(bodyPath(s.opt.Dir, id))
}

func openTest(t *testing.T, opt Options) *Spool {
	t.Helper()
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// In a bubble time is virtual, so that courier and relay can be tested on the real spool.
func TestInABubble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := owner(t, dir)
		id := put(t, s, 10, true)
		claimAll(t, s, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, known := s.Wait(ctx, id); known {
			t.Error("an outcome")
		}
		time.Sleep(idleAfter + time.Hour) // polls and tidies up
		if got := claimAll(t, s, time.Now()); len(got) != 1 || got[0].Attempt != 2 {
			t.Errorf("claimed %+v", got)
		}
	})
}
