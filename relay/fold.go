package relay

import "bytes"

// foldLong folds the lines of a field that are too long, at blanks (RFC 5322 §2.2.3): unfolding gives the same field
// back. A line without a blank where one is needed stays too long.
func foldLong(f rawField) rawField {
	if !hasLongLine(f) {
		return f
	}
	var out rawField
	from := bytes.IndexByte(f, ':') + 1
	for rest := []byte(f); len(rest) > 0; from = 1 {
		line := firstLine(rest)
		rest = rest[len(line):]
		end := len(bytes.TrimRight(line, " \t\r\n"))
		for len(bytes.TrimSuffix(line, crlf)) > lineLimit {
			at := foldPoint(line[:end], from)
			if at < 0 {
				break
			}
			out = append(append(out, line[:at]...), crlf...)
			line, end, from = line[at:], end-at, 1
		}
		out = append(out, line...)
	}
	return out
}

// foldPoint is the blank before which a line is broken: the last that keeps what is in front of it short enough, else
// the first there is; -1 when there is none. Neither half is nothing but blanks (RFC 5322 §3.2.2), for which the line
// comes without those at its end.
func foldPoint(line []byte, from int) int {
	best, text := -1, from > 1 // the field's name is text
	for i := 1; i < len(line); i++ {
		blank := line[i] == ' ' || line[i] == '\t'
		if i >= from && blank && text && line[i-1] != ' ' && line[i-1] != '\t' {
			if i > lineLimit && best >= 0 {
				return best
			}
			best = i
		}
		text = text || !blank
	}
	return best
}
