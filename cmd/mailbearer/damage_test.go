package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

func TestDamagedSpool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	if reply, err := send(w.relay.address, message("before", 300)); err != nil || !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.arrived(1, 10*time.Second)
	w.relay.stop()
	data := filepath.Join(w.dir, "data")
	if err := os.WriteFile(filepath.Join(data, "spool.db"), []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(data, "spool.db-wal"))
	os.Remove(filepath.Join(data, "spool.db-shm"))
	_, errs, code := output("run", "--config", w.config)
	if code != exitUsage || !strings.Contains(errs, "damaged") || !strings.Contains(errs, "--reset-corrupt-spool") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if kept, _ := os.ReadFile(filepath.Join(data, "spool.db")); !strings.HasPrefix(string(kept), "this is no database") {
		t.Error("the damaged database was touched without being asked")
	}
	w.start("--reset-corrupt-spool")
	if reply, err := send(w.relay.address, message("after", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err)
	}
	if aside, _ := filepath.Glob(filepath.Join(data, "spool.db.corrupt-*")); len(aside) == 0 {
		t.Error("the damaged database was not kept")
	}
}
