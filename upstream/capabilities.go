package upstream

import (
	"slices"
	"strconv"
	"strings"
)

// capabilities are what a server's EHLO answer offers, as far as we use it.
type capabilities struct {
	startTLS   bool     // RFC 3207
	pipelining bool     // RFC 2920
	chunking   bool     // RFC 3030
	eightBit   bool     // RFC 6152
	smtputf8   bool     // RFC 6531
	dsn        bool     // RFC 3461
	sized      bool     // RFC 1870: MAIL may say the size
	size       int64    // the largest; 0: no limit is known
	mechanisms []string // RFC 4954, in upper case
}

// parseCapabilities reads the lines of an EHLO answer; the first is the greeting. Keywords are known in any case
// (RFC 5321 §4.1.1.1).
func parseCapabilities(lines []string) capabilities {
	var c capabilities
	for i, line := range lines {
		words := strings.Fields(strings.ToUpper(line))
		if i == 0 || len(words) == 0 {
			continue
		}
		c.add(words[0], words[1:])
	}
	return c
}

func (c *capabilities) add(keyword string, params []string) {
	switch keyword {
	case "STARTTLS":
		c.startTLS = true
	case "PIPELINING":
		c.pipelining = true
	case "CHUNKING":
		c.chunking = true
	case "8BITMIME":
		c.eightBit = true
	case "SMTPUTF8":
		c.smtputf8 = true
	case "DSN":
		c.dsn = true
	case "SIZE":
		c.sized = true
		if len(params) > 0 {
			if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
				c.size = n
			}
		}
	case "AUTH":
		c.mechanisms = append(c.mechanisms, params...)
	default:
		if first, ok := strings.CutPrefix(keyword, "AUTH="); ok { // as servers wrote it before RFC 2554
			c.mechanisms = append(append(c.mechanisms, first), params...)
		}
	}
}

// offers says whether a mechanism may be used.
func (c capabilities) offers(mechanism string) bool { return slices.Contains(c.mechanisms, mechanism) }
