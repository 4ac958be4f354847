package mail

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// ID names one message for its whole life: a positive 63-bit number, microseconds since 2020 above twelve random
// bits. Numbers made in one process only ever grow, so the order of ids is the order of arrival; two processes on
// one spool (the relay and sendmail) would have to meet in the same microsecond and the same random bits to clash,
// and then the spool's primary key refuses the second.
type ID int64

// idEpoch is 2020-01-01T00:00:00Z in microseconds since 1970; 51 bits from there last until 2091.
const idEpoch = 1577836800 * 1_000_000

// idAlphabet is Crockford's base 32, lower case: no letters that read like digits.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// idLength is the length of every id as text: 13 digits of 5 bits hold 63.
const idLength = 13

var lastID struct {
	sync.Mutex
	id ID
}

// NewID returns an id greater than every id this process made before.
func NewID(now time.Time) ID {
	id := ID((now.UnixMicro()-idEpoch)<<12 | rand.Int64N(1<<12))
	lastID.Lock()
	defer lastID.Unlock()
	if id <= lastID.id {
		id = lastID.id + 1 // the clock stood still or went back
	}
	lastID.id = id
	return id
}

// String returns the id as people see it: 13 characters that sort as the ids do.
func (id ID) String() string {
	var b [idLength]byte
	for i := idLength - 1; i >= 0; i-- {
		b[i] = idAlphabet[id&31]
		id >>= 5
	}
	return string(b[:])
}

// ParseID reads what String wrote, in either case.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return 0, fmt.Errorf("%q is not a message id: an id has %d characters", s, idLength)
	}
	var id ID
	for _, c := range strings.ToLower(s) {
		d := strings.IndexRune(idAlphabet, c)
		if d < 0 {
			return 0, fmt.Errorf("%q is not a message id: %q does not occur in one", s, c)
		}
		id = id<<5 | ID(d)
	}
	if id <= 0 {
		return 0, fmt.Errorf("%q is not a message id: it is out of range", s)
	}
	return id, nil
}

// MarshalText makes ids read the same in JSON as everywhere else.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}
