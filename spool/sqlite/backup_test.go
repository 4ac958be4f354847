package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// A backup made while mail comes and goes is a spool in which every message has its text.
func TestBackupWhileRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	kept, long := put(t, s, 4096, false), put(t, s, spool.InlineLimit+1, false)
	check(t, s.Hold(t.Context(), kept))
	check(t, s.Hold(t.Context(), long))
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { comeAndGo(ctx, t, s) })
	for _, from := range []*Spool{s, openTest(t, Options{Dir: dir})} {
		copied := filepath.Join(t.TempDir(), "copy")
		check(t, from.Backup(t.Context(), copied))
		restored := owner(t, copied)
		for _, id := range []mail.ID{kept, long} {
			if m := get(t, restored, id); m.State != mail.StateHeld {
				t.Errorf("got %+v", m)
			}
		}
		list, err := restored.List(t.Context(), spool.Filter{})
		check(t, err)
		for _, m := range list {
			verifySize(t, restored, m)
		}
		if m, err := os.Stat(filepath.Join(copied, dbName)); err != nil || m.Mode().Perm()&0o077 != 0 {
			t.Errorf("%v, %v", m.Mode(), err)
		}
	}
	stop()
	traffic.Wait()
}

// comeAndGo puts and delivers long texts until ctx ends.
func comeAndGo(ctx context.Context, t *testing.T, s *Spool) {
	for ctx.Err() == nil {
		env, b, err := begin(s, spool.InlineLimit+1)
		if err == nil {
			err = s.Put(context.Background(), env, b, false)
		}
		if err != nil {
			t.Error(err)
			return
		}
		now := time.Now()
		claimed, _, err := s.Claim(context.Background(), spool.ClaimRequest{Account: "a", Limit: 10, Now: now, Lease: time.Hour,
			Next: func(int) time.Time { return now }})
		for _, c := range claimed {
			err = errors.Join(err, s.Settle(context.Background(), spool.Settlement{ID: c.Envelope.ID, Now: now,
				Outcomes: map[int]mail.Outcome{0: {State: mail.Delivered}}}))
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func verifySize(t *testing.T, s *Spool, m spool.Message) {
	t.Helper()
	r, err := s.Open(t.Context(), m.Envelope.ID)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if n := readAll(t, r); int64(n) != m.Envelope.Size {
		t.Errorf("%s has %d octets, want %d", m.Envelope.ID, n, m.Envelope.Size)
	}
}

// A text that goes while the copy is made belongs to a message that was delivered: the copy says so, too.
func TestBackupOfWhatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	s := owner(t, t.TempDir())
	delivered, dropped := put(t, s, spool.InlineLimit+1, false), put(t, s, spool.InlineLimit+1, false)
	missing := put(t, s, spool.InlineLimit+1, false)
	copied := t.TempDir()
	check(t, makeLayout(copied))
	_, err := s.reading.Exec(sqlCopyTo, filepath.Join(copied, dbName))
	check(t, err)
	claimAll(t, s, time.Now())
	settleAs(t, s, delivered, mail.Delivered)
	check(t, s.Return(t.Context(), dropped))
	check(t, s.Drop(t.Context(), dropped))
	check(t, os.Remove(bodyPath(s.opt.Dir, missing)))
	check(t, s.copyTexts(t.Context(), copied))
	restored := owner(t, copied)
	for _, id := range []mail.ID{delivered, dropped} {
		if m := get(t, restored, id); m.State != mail.StateDelivered {
			t.Errorf("got %+v", m)
		}
	}
	if got := claimAll(t, restored, time.Now()); len(got) != 0 || get(t, restored, missing).State != mail.StateFailed {
		t.Errorf("claimed %+v", got)
	}
}

func TestBackupNeedsAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := owner(t, dir)
	if err := s.Backup(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	put(t, s, 10, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	copied := t.TempDir()
	if err := s.Backup(ctx, copied); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(copied)
	check(t, err)
	if len(entries) != 0 {
		t.Errorf("half a copy was left: %v", entries)
	}
}
