package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// bom is what Windows editors write before UTF-8.
const bom = "\uFEFF"

// isUTF16 knows what Windows PowerShell's `>` writes.
func isUTF16(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
}

// syntaxHints turn what the parser says into what to do, where its own words do not help. The first match wins.
var syntaxHints = []struct {
	said *regexp.Regexp
	hint string // replaces the words, $1 being what was matched
}{
	{regexp.MustCompile(`^expected (?:eight|four|two) hexadecimal digits after '(\\.)'`),
		`$1 in a string in double quotes starts an escape sequence; write Windows paths in single quotes: 'C:\path'`},
	{regexp.MustCompile(`^invalid escape.*'(\\.)'`),
		`$1 in a string in double quotes is not an escape sequence; write Windows paths in single quotes: 'C:\path'`},
	{regexp.MustCompile(`^expected value but found (.*?)(?: instead)?$`),
		`there is no value here, but $1: strings need quotes, as in name = "default"`},
	{regexp.MustCompile(`^(?:expected a top-level item to end|Invalid float|Invalid integer|invalid float)`),
		`the value does not end where it should: addresses, durations and sizes need quotes, as in "5m"`},
	{regexp.MustCompile(`^unexpected EOF; expected value`), `the file ends where a value belongs`},
	{regexp.MustCompile(`^expected a comma`), `a comma or the closing bracket is missing`},
	{regexp.MustCompile(`^unexpected EOF`), `the file ends inside a string: the closing quote is missing`},
	{regexp.MustCompile(`^expected (?:'\.' or '\]' to end table name|end of table array name)`), `the closing bracket of the table's name is missing`},
	{regexp.MustCompile(`^Key '(.*)' has already been defined`), `$1 is set twice; remove one of them`},
	{regexp.MustCompile(`^Key '(.*)' was already created`), `$1 is written both as a table and as something else; keep one of them`},
	{regexp.MustCompile(`^strings cannot contain newlines`), `a string ends on the line where it starts: the closing quote is missing`},
	{regexp.MustCompile(`^expected '\.' or '=', but got`), `there is no "=" after the key`},
	{regexp.MustCompile(`^invalid UTF-8`), `the file is not stored as UTF-8: save it as UTF-8`},
	{regexp.MustCompile(`^newlines not allowed within inline tables`), `a table in { } must stand on one line; or write it as [table] with a line for each key`},
}

// syntaxMistake says in plain words why a text is not TOML. The parser stops at the first such place.
func syntaxMistake(file string, err error) Mistakes {
	var p toml.ParseError
	if !errors.As(err, &p) {
		return Mistakes{{File: file, Text: "cannot be read as TOML: " + err.Error()}}
	}
	line := p.Position.Line
	if strings.Contains(p.Message, `'\n'`) {
		line-- // it is the end of the line before that is too early
	}
	return Mistakes{{File: file, Line: max(line, 1), Key: p.LastKey, Text: plainWords(p.Message)}}
}

func plainWords(said string) string {
	for _, h := range syntaxHints {
		if at := h.said.FindStringSubmatchIndex(said); at != nil {
			return string(h.said.ExpandString(nil, h.hint, said, at))
		}
	}
	return "this is not TOML: " + strings.TrimSuffix(said, ".")
}
