package relay

import (
	"fmt"
	"strings"
)

// encodeParams encodes the file names of a Content-Type or Content-Disposition field: `filename` as RFC 2231 has it,
// which today's mail programs read first, and `name` as encoded words in quotes. RFC 2047 §5 forbids the latter, but
// Outlook, Gmail and Thunderbird write and read it, and programs too old for RFC 2231 read nothing else. False when
// octets above 127 stand in anything but these two.
func encodeParams(value, charset string) (string, bool) {
	var out strings.Builder
	for i, param := range splitParams(value) {
		if i > 0 {
			out.WriteByte(';')
		}
		encoded, ok := encodeParam(param, charset)
		if !ok {
			return "", false
		}
		out.WriteString(encoded)
	}
	return out.String(), true
}

// splitParams cuts at the semicolons that stand outside quotes.
func splitParams(value string) (list []string) {
	start := 0
	for i := 0; i < len(value); {
		switch value[i] {
		case '"':
			i += quoteEnd(value[i:])
		case ';':
			list, start = append(list, value[start:i]), i+1
			i++
		default:
			i++
		}
	}
	return append(list, value[start:])
}

// longestName is how many octets of a file name are encoded, so that its line stays within lineLimit.
const longestName = 255

func encodeParam(param, charset string) (string, bool) {
	if !hasEight([]byte(param)) {
		return param, true
	}
	name, text, _ := strings.Cut(param, "=")
	text = strings.Trim(text, " \t")
	if strings.HasPrefix(text, `"`) {
		if quoteEnd(text) != len(text) || len(text) < 2 || text[len(text)-1] != '"' {
			return "", false
		}
		text = unescape(text[1 : len(text)-1])
	}
	if len(text) > longestName || strings.Contains(text, "=?") {
		return "", false
	}
	switch strings.ToLower(strings.Trim(name, " \t")) {
	case "filename":
		return " filename*=" + charset + "''" + percent(text), true
	case "name":
		return ` name="` + join(encodeWords(text, charset)) + `"`, true
	}
	return "", false
}

// percent is RFC 2231 §4's encoding of a parameter's value.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte("-._", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
