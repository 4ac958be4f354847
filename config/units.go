package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units of a duration that time.ParseDuration does not know, in hours.
var longUnits = map[string]time.Duration{"d": 24, "w": 7 * 24}

const durationHelp = `durations are strings such as "5m", "2d" or "1h30m"`

// ParseDuration reads "30s", "5m", "1h30m", "2d": numbers with ms, s, m, h, d (24 hours) or w, one after the other.
func ParseDuration(text string) (time.Duration, error) {
	var sum time.Duration
	for rest := text; rest != "" || text == ""; {
		number, unit, tail := cutUnit(rest)
		part, err := parsePart(number, unit)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %s", text, durationHelp)
		}
		if sum > math.MaxInt64-part {
			return 0, fmt.Errorf("%q is too long", text)
		}
		sum, rest = sum+part, tail
	}
	return sum, nil
}

// cutUnit takes the first number and its unit off.
func cutUnit(s string) (number, unit, rest string) {
	n := len(s) - len(strings.TrimLeft(s, "0123456789."))
	u := n + strings.IndexAny(s[n:]+"0", "0123456789.")
	return s[:n], s[n:u], s[u:]
}

func parsePart(number, unit string) (time.Duration, error) {
	hours, long := longUnits[unit]
	if !long {
		return time.ParseDuration(number + unit)
	}
	part, err := time.ParseDuration(number + "h")
	if err == nil && part > math.MaxInt64/hours {
		err = strconv.ErrRange
	}
	return part * hours, err
}

const sizeHelp = `sizes are strings such as "512KB", "35MB" or "10GB"`

// sizeUnits are powers of 1024, whatever the letters say: "MB" is what people write.
var sizeUnits = map[string]int64{
	"B": 1, "K": 1 << 10, "KB": 1 << 10, "KIB": 1 << 10, "M": 1 << 20, "MB": 1 << 20, "MIB": 1 << 20,
	"G": 1 << 30, "GB": 1 << 30, "GIB": 1 << 30, "T": 1 << 40, "TB": 1 << 40, "TIB": 1 << 40,
}

// ParseSize reads "512KB", "35MB", "10GB" into octets; units are powers of 1024, their case is ignored.
func ParseSize(text string) (int64, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	unit, known := sizeUnits[strings.ToUpper(strings.TrimSpace(text[digits:]))]
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	switch {
	case digits == 0, !known:
		return 0, fmt.Errorf("%q is not a size: %s", text, sizeHelp)
	case err != nil, n > math.MaxInt64/unit:
		return 0, fmt.Errorf("%q is too large", text)
	}
	return n * unit, nil
}
