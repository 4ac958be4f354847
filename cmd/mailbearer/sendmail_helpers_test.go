package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// openTestSpool opens the world's spool as a command does.
func openTestSpool(t *testing.T, w *world) *sqlite.Spool {
	t.Helper()
	sp, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(w.dir, "data"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sp.Close() })
	return sp
}

func filterAll() spool.Filter { return spool.Filter{Now: time.Now()} }
