package upstream

import (
	"bufio"
	"errors"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// Bounds of what a server may say, so that one that never stops costs us no memory. RFC 5321 §4.5.3.1.5 allows 512
// octets a line; Exchange's diagnostics are longer.
const (
	maxReplyLine = 8 << 10
	maxReply     = 64 << 10
	maxText      = 4 << 10 // of this we keep
)

var (
	errGarbage = errors.New("the server's answer is not an SMTP reply")
	errEndless = errors.New("the server's answer does not end")
)

// readReply reads one reply, RFC 5321 §4.2, and its lines without codes. net/textproto would do it without bounds.
func readReply(r *bufio.Reader) (mail.Reply, []string, error) {
	var code, size int
	var lines []string
	for {
		line, err := r.ReadSlice('\n')
		if size += len(line); errors.Is(err, bufio.ErrBufferFull) || size > maxReply {
			return mail.Reply{}, nil, errEndless
		} else if err != nil {
			return mail.Reply{}, nil, err
		}
		c, text, more, ok := parseLine(strings.TrimRight(string(line), "\r\n"))
		if !ok || code != 0 && c != code {
			return mail.Reply{}, nil, errGarbage
		}
		code, lines = c, append(lines, text)
		if !more {
			return newReply(code, lines), lines, nil
		}
	}
}

// parseLine takes one line of a reply apart.
func parseLine(line string) (code int, text string, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, "", false, false
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(line[i]-'0')
	}
	if len(line) == 3 {
		return code, "", false, true // RFC 5321 §4.2: a sender has to take this too
	}
	return code, line[4:], line[3] == '-', true
}

// newReply joins the lines and takes the enhanced code (RFC 2034 §4: on every line) off them.
func newReply(code int, lines []string) mail.Reply {
	reply := mail.Reply{Code: code}
	texts := make([]string, 0, len(lines))
	for i, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		if i == 0 && isEnhanced(word, code) {
			reply.Enhanced = word
		}
		if word == reply.Enhanced {
			line = rest
		}
		if line = strings.TrimSpace(printable(line)); line != "" {
			texts = append(texts, line)
		}
	}
	reply.Text = strings.Join(texts, " ")
	return reply
}

// isEnhanced knows a status code of RFC 3463 §2 whose class agrees with the reply code.
func isEnhanced(s string, code int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != string(rune('0'+code/100)) {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// printable makes text safe for a terminal and a log: valid UTF-8, without controls.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// cutText bounds text without breaking a character.
func cutText(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText-len("…")], "") + "…"
	}
	return s
}
