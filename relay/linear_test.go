package relay

import (
	"strings"
	"testing"
	"time"
)

// TestLinearWork: four times the text is about four times the work, not sixteen times, whatever a client sends.
func TestLinearWork(t *testing.T) {
	for name, work := range map[string]func(n int){
		"encoded text":    func(n int) { encodeField(rawField("Subject: " + strings.Repeat("é ", n) + "\r\n")) },
		"encoded comment": func(n int) { encodeField(rawField("To: a@b (" + strings.Repeat("é ", n) + ")\r\n")) },
		"trailing blanks": func(n int) {
			foldLong(rawField("Subject: " + strings.Repeat("a ", n) + strings.Repeat(" ", 2*n) + "\r\n"))
		},
		"a long word": func(n int) {
			foldLong(rawField("Subject: " + strings.Repeat("a ", n) + strings.Repeat("b", 2*n) + "\r\n"))
		},
		"folded lines": func(n int) {
			foldLong(rawField("Subject: " + strings.Repeat("a b\r\n ", n) + strings.Repeat(" a", n) + "\r\n"))
		},
		"open shifts":   func(n int) { readAuthors(strings.Repeat("\x1b$B;3", n)) },
		"shifts":        func(n int) { readAuthors(strings.Repeat("\x1b$B;3\x1b(B ", n/2) + "<>") },
		"foreign words": func(n int) { formatAuthors(readAuthors(strings.Repeat("=?x?q?a?= ", n/2) + "<>")) },
		"hidden":        func(n int) { withSpelled(nil, "\x1b"+strings.Repeat("a@b.", n)) },
	} {
		small, large := quickest(work, 15_000), quickest(work, 60_000)
		if large > 9*small+5*time.Millisecond {
			t.Errorf("%s: %v became %v at four times the length", name, small, large)
		}
	}
}

// quickest is the shortest of some runs, which other work of the machine has disturbed least.
func quickest(work func(int), n int) time.Duration {
	least := time.Hour
	for range 4 {
		began := time.Now()
		work(n)
		least = min(least, time.Since(began))
	}
	return least
}
