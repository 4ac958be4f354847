package sqlite

import (
	"testing"
)

func TestRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if Running(dir) {
		t.Error("a relay runs where none ever did")
	}
	s, err := Open(t.Context(), Options{Dir: dir, Owner: true})
	if err != nil {
		t.Fatal(err)
	}
	if !Running(dir) {
		t.Error("the owner is not seen")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if Running(dir) {
		t.Error("the owner is still seen")
	}
	s, err = Open(t.Context(), Options{Dir: dir, Owner: true})
	if err != nil {
		t.Fatalf("to look must not take: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
