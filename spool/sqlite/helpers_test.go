package sqlite

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

func owner(t *testing.T, dir string) *Spool {
	t.Helper()
	return openTest(t, Options{Dir: dir, Owner: true})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin is a small message to "a" and its text.
func begin(s *Spool, size int) (*mail.Envelope, spool.Body, error) {
	env := &mail.Envelope{ID: mail.NewID(time.Now()), Account: "a", Sender: "a@example.com", Received: time.Now(),
		Recipients: []mail.Recipient{{Address: "b@example.com"}}}
	b := s.NewBody(env.ID)
	_, err := io.WriteString(b, strings.Repeat("x", size))
	return env, b, err
}

func put(t *testing.T, s *Spool, size int, watch bool) mail.ID {
	t.Helper()
	env, b, err := begin(s, size)
	check(t, err)
	check(t, s.Put(context.Background(), env, b, watch))
	return env.ID
}

func claimAll(t *testing.T, s *Spool, now time.Time) []spool.Claimed {
	t.Helper()
	claimed, _, err := s.Claim(context.Background(), spool.ClaimRequest{Account: "a", Limit: 100, Now: now, Lease: time.Hour,
		Next: func(int) time.Time { return now.Add(time.Hour) }})
	check(t, err)
	return claimed
}

func settleAs(t *testing.T, s *Spool, id mail.ID, state mail.RecipientState) {
	t.Helper()
	check(t, s.Settle(context.Background(), spool.Settlement{ID: id, Now: time.Now(),
		Outcomes: map[int]mail.Outcome{0: {State: state}}}))
}

func get(t *testing.T, s *Spool, id mail.ID) spool.Message {
	t.Helper()
	m, err := s.Get(context.Background(), id)
	check(t, err)
	return m
}

// raw runs SQL behind the spool's back, as another process would.
func raw(t *testing.T, dir string, query string, args ...any) {
	t.Helper()
	db := connect(dir, "mode=rw")
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func one[T any](t *testing.T, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	check(t, db.QueryRow(query, args...).Scan(&v))
	return v
}

// waitFor waits until something becomes true by itself.
func waitFor(t *testing.T, fine func() bool) {
	t.Helper()
	for range 500 {
		if fine() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not come true")
}

func readAll(t *testing.T, r io.Reader) int {
	t.Helper()
	text, err := io.ReadAll(r)
	check(t, err)
	return len(text)
}

// wantFiles fails unless there are so many texts with files.
func wantFiles(t *testing.T, s *Spool, want int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.opt.Dir, bodiesName, "??", "*"))
	check(t, err)
	if len(files) != want {
		t.Errorf("%d files are there, want %d", len(files), want)
	}
}

func tryPut(s *Spool, size int) (*mail.Envelope, error) {
	env, b, err := begin(s, size)
	if err != nil {
		b.Discard()
		return env, err
	}
	return env, s.Put(context.Background(), env, b, false)
}

func claimOne() spool.ClaimRequest {
	return spool.ClaimRequest{Account: "a", Limit: 1, Now: time.Now(), Lease: time.Hour,
		Next: func(int) time.Time { return time.Now() }, DueOrNot: true}
}

func wantText(t *testing.T, s *Spool, id mail.ID, size int) {
	t.Helper()
	r, err := s.Open(context.Background(), id)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	var text strings.Builder
	buffer := make([]byte, 64<<10)
	for n := 0; err == nil; n, err = r.Read(buffer) {
		text.Write(buffer[:n])
	}
	if text.String() != strings.Repeat("x", size) {
		t.Errorf("the text of %s has %d octets, want %d", id, text.Len(), size)
	}
}
