package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in a configuration.
type Mistake struct {
	File string // as it was given to Load
	Line int    // from 1; 0 when the whole file is meant
	Key  string // as "listener.address"; "" for a mistake of syntax
	Text string // what is wrong and what to do, without a full stop
}

// String returns FILE:LINE: key: text, on one line.
func (m Mistake) String() string {
	where := m.File
	if m.Line > 0 {
		where = fmt.Sprintf("%s:%d", m.File, m.Line)
	}
	if m.Key != "" {
		where += ": " + oneLine(m.Key)
	}
	return where + ": " + oneLine(m.Text)
}

// oneLine keeps names and values from the file from starting lines, or terminal sequences, of their own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// Mistakes are all that was found wrong, sorted by line. It is the error of Load and Parse.
type Mistakes []Mistake

// Error returns one mistake a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// sort also removes what was found twice.
func (m Mistakes) sort() Mistakes {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(m)
}
