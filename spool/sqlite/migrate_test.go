package sqlite

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// schema1Mail is what a relay of schema 1 left: one message waits, one failed, one was delivered.
const schema1Mail = `
INSERT INTO message VALUES
	(4096, 'a', 0, 1700000000000, 1700000000000, 0, 2, 5, 1700000000000, 0, 0, 'a@example.com',
		'[{"address":"b@example.com","state":"deferred","reply":"451 later"}]', '{"sender":"","recipients":null,"client":{"name":"printer"}}', '451 later'),
	(8192, 'a', 3, 1700000000000, 1700000000000, 0, 1, 6, 1700000000000, 1700000001000, 0, 'a@example.com',
		'[{"address":"b@example.com","state":"failed","reply":"550 no"}]', '{"sender":"","recipients":null,"client":{}}', '550 no'),
	(12288, 'a', 4, 1700000000000, 1700000000000, 0, 1, 7, 1700000000000, 1700000002000, 0, 'a@example.com',
		'[{"address":"b@example.com","state":"delivered"}]', '{"sender":"","recipients":null,"client":{}}', '250 ok');
INSERT INTO body VALUES (4096, 'short'), (8192, 'failed');
INSERT INTO trace VALUES (4096, 1, 1700000000500, '{"time":"2023-11-14T22:13:20.5Z","event":"deferred","attempt":1}');
INSERT INTO account VALUES ('a', 'held', '{"Name":"a","State":"held"}');`

// makeSchema1 makes a database as the first version made it, with mail in it.
func makeSchema1(t *testing.T, dir string) {
	t.Helper()
	check(t, makeLayout(dir))
	db := connect(dir, "mode=rw")
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, query := range []string{"PRAGMA page_size = 8192", "PRAGMA auto_vacuum = 2", "PRAGMA journal_mode = WAL",
		schema1, "PRAGMA user_version = 1", schema1Mail} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(query, err)
		}
	}
}

func TestMigrateFromSchema1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSchema1(t, dir)
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, errOutdated) {
		t.Fatalf("one who is not the owner got %v", err)
	}
	s := owner(t, dir)
	if v := one[int](t, s.reading, sqlUserVersion); v != len(migrations) {
		t.Errorf("the schema is %d", v)
	}
	inWriter(t, s, func(w *writer) {
		if w.used != 11 {
			t.Errorf("%d octets are in use, want 11", w.used)
		}
	})
	received := time.UnixMilli(1700000000000)
	m := get(t, s, 4096)
	if m.Attempts != 2 || !m.Since.Equal(received) || m.Reported || m.Warned || m.Envelope.Client.Name != "printer" || m.LastReply != "451 later" {
		t.Errorf("got %+v", m)
	}
	events, err := s.Trace(t.Context(), 4096)
	check(t, err)
	if len(events) != 2 || events[1].Event != mail.EventDeferred {
		t.Errorf("the trace is %+v", events)
	}
	list, err := s.Untold(t.Context(), 10)
	check(t, err)
	if len(list) != 1 || list[0].Envelope.ID != 8192 {
		t.Errorf("untold: %+v", list)
	}
	if late, err := s.Late(t.Context(), time.Now(), 10); err != nil || len(late) != 1 {
		t.Errorf("late: %+v, %v", late, err)
	}
	claimed := claimAll(t, s, time.Now())
	if len(claimed) != 1 || claimed[0].Attempt != 3 || !claimed[0].Since.Equal(received) {
		t.Fatalf("claimed %+v", claimed)
	}
	r, err := s.Open(t.Context(), 4096)
	check(t, err)
	if text, err := io.ReadAll(r); err != nil || string(text) != "short" {
		t.Errorf("the text is %q, %v", text, err)
	}
	settleAs(t, s, 4096, mail.Delivered)
	if n, err := s.Purge(t.Context(), time.Now().Add(time.Hour), time.Time{}, 10); n != 2 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	check(t, s.Close())
	owner(t, dir) // and it is done once
}

// A command that may make the spool may bring it up to date too, but never beside a relay that runs.
func TestMigrateBesideNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSchema1(t, dir)
	s := openTest(t, Options{Dir: dir, Create: true})
	put(t, s, 10, false)
	if list, err := s.List(t.Context(), spool.Filter{}); err != nil || len(list) != 3 {
		t.Errorf("listed %d, %v", len(list), err)
	}
}

// A migration that fails leaves the database as it was, and the next start does it again.
func TestMigrationThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSchema1(t, dir)
	raw(t, dir, `CREATE TABLE ledger (in_the_way INTEGER)`)
	_, err := Open(context.Background(), Options{Dir: dir, Owner: true})
	if err == nil || !strings.Contains(err.Error(), "migrate from schema 1") {
		t.Fatalf("got %v", err)
	}
	raw(t, dir, `DROP TABLE ledger`)
	raw(t, dir, `UPDATE message SET due = due`) // the columns of schema 1 are all there is
	db := connect(dir, "mode=ro")
	if n := one[int](t, db, `SELECT COUNT(*) FROM pragma_table_info('message') WHERE name = 'since'`); n != 0 {
		t.Error("half of the migration was kept")
	}
	check(t, db.Close())
	get(t, owner(t, dir), 4096)
}
