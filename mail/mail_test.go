package mail

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestIDsGrowAndNeverRepeat(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[ID]bool)
	var wg sync.WaitGroup
	now := time.Now()
	for range 8 {
		wg.Go(func() {
			last := ID(0)
			for i := range 2000 {
				id := NewID(now.Add(-time.Duration(i) * time.Hour)) // a clock that runs back
				if id <= last {
					t.Errorf("%s after %s", id, last)
				}
				last = id
				mu.Lock()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestIDTextSortsAndReads(t *testing.T) {
	t.Parallel()
	ids := []ID{1, 31, 32, 1 << 40, NewID(time.Now()), 1<<63 - 1}
	var texts []string
	for _, id := range ids {
		texts = append(texts, id.String())
		if got, err := ParseID(id.String()); err != nil || got != id {
			t.Errorf("%s reads as %d, %v", id, got, err)
		}
	}
	if !slices.IsSorted(texts) {
		t.Errorf("not in order: %q", texts)
	}
	for _, bad := range []string{"", "0", "0000000000000", "zzzzzzzzzzzzz", "000000000000u", "00000000000001"} {
		if id, err := ParseID(bad); err == nil {
			t.Errorf("%q reads as %s", bad, id)
		}
	}
	var back ID
	text, _ := json.Marshal(ids[4])
	if err := json.Unmarshal(text, &back); err != nil || back != ids[4] {
		t.Errorf("%s by JSON is %s, %v", ids[4], back, err)
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r         Reply
		text      string
		permanent bool
	}{
		{Reply{250, "2.0.0", "OK"}, "250 2.0.0 OK", false},
		{Reply{550, "", "no"}, "550 no", true},
		{Reply{451, "4.3.0", ""}, "451 4.3.0", false},
		{Reply{0, "", "invalid_client: AADSTS7000215"}, "invalid_client: AADSTS7000215", false},
		{Reply{999, "", "what"}, "999 what", false},
	} {
		if c.r.String() != c.text || c.r.Permanent() != c.permanent {
			t.Errorf("%+v: %q, permanent %v", c.r, c.r.String(), c.r.Permanent())
		}
		if got := ParseReply(c.text); c.r.Code < 600 && got != c.r {
			t.Errorf("%q reads as %+v, want %+v", c.text, got, c.r)
		}
	}
}
