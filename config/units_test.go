package config

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"5m": 5 * time.Minute, "2d": 48 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0, "1w": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "250ms": 250 * time.Millisecond, "1.5h": 90 * time.Minute, "0.5d": 12 * time.Hour,
	} {
		if got, err := ParseDuration(text); got != want || err != nil {
			t.Errorf("%s is %v, %v, not %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "m", "5 m", "-5m", "+5m", "5x", "5m5", "5M", "1e3s", "1d-1h", ".d", "999999999d", "99999999999999999999h",
		"106751d106751d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func TestParseDurationRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, h, m, s := rapid.Int64Range(0, 10000).Draw(t, "d"), rapid.Int64Range(0, 99).Draw(t, "h"),
			rapid.Int64Range(0, 99).Draw(t, "m"), rapid.Int64Range(0, 99).Draw(t, "s")
		want := time.Duration(d*86400+h*3600+m*60+s) * time.Second
		if got, err := ParseDuration(fmt.Sprintf("%dd%dh%dm%ds", d, h, m, s)); got != want || err != nil {
			t.Fatalf("%v, %v, not %v", got, err, want)
		}
	})
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"35MB": 35 << 20, "10GB": 10 << 30, "512kb": 512 << 10, "1 KiB": 1024, "7B": 7, "2T": 2 << 40, "8388607TB": 8388607 << 40,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%s is %d, %v, not %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "35", "MB", "-1MB", "1.5GB", "1PB", "8388608TB", fmt.Sprint(uint64(math.MaxUint64), "B"), "1 2MB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was taken as %d", text, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		patterns Patterns
		addr     string
		want     bool
	}{
		{Patterns{"*"}, "", true},
		{Patterns{"*"}, "a@example.com", true},
		{Patterns{"*@example.com"}, "Printer@EXAMPLE.com", true},
		{Patterns{"*@example.com"}, "a@example.com.evil.test", false},
		{Patterns{"*@example.com"}, "a@sub.example.com", false},
		{Patterns{"*@example.com"}, "", false},
		{Patterns{"a*b*c@x.test"}, "aXbYbZc@x.test", true},
		{Patterns{"ab"}, "abc", false},
		{Patterns{"nobody", "SCAN-*@x.test"}, "scan-7@x.test", true},
		{Patterns{"k@x.test"}, "\u212a@x.test", false}, // the Kelvin sign is not a k
		{Patterns{"jörg@x.test"}, "JÖRG@x.test", true},
		{nil, "a@example.com", false},
	} {
		if got := test.patterns.Match(test.addr); got != test.want {
			t.Errorf("%v.Match(%q) is %v", test.patterns, test.addr, got)
		}
	}
	for _, p := range []Patterns{nil, {""}, {"*@*"}, {"a*"}} {
		if p.Any() {
			t.Errorf("%q.Any() is true", p)
		}
	}
	if !(Patterns{"a", "**"}).Any() {
		t.Error(`"**" is not any`)
	}
}

// TestPatternsAgreeWithRegexp: our matcher does what the slow and obvious one does.
func TestPatternsAgreeWithRegexp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab@*]{0,8}`).Draw(t, "pattern")
		addr := rapid.StringMatching(`[abAB@]{0,12}`).Draw(t, "addr")
		slow := regexp.MustCompile(`(?i)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
		if got := (Patterns{pattern}).Match(addr); got != slow.MatchString(addr) {
			t.Fatalf("Match is %v", got)
		}
	})
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	words := []string{"address", "max_connections", "max_connections_per_address", "key", "auth"}
	for word, want := range map[string]string{
		"adress": "address", "max-connections": "max_connections", "Auth": "auth", "kye": "key", "atuh": "auth",
		"max_connection": "max_connections", "zzz": "", "": "", "keys": "key",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := suggest(word, words); got != want {
			t.Errorf("suggest(%q) is %q, not %q", word, got, want)
		}
	}
}
