package config

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setter reads a value of one type; it notes the mistake when it says false.
type setter func(r *reader, n *node, s spec) (value any, ok bool)

// setters are the types that a key can have. An int is a number; an int64 is a size.
var setters = map[reflect.Type]setter{
	reflect.TypeFor[string]():          one(str),
	reflect.TypeFor[int]():             one(number),
	reflect.TypeFor[int64]():           one(size),
	reflect.TypeFor[bool]():            one(boolean),
	reflect.TypeFor[time.Duration]():   one(duration),
	reflect.TypeFor[time.Time]():       one(date),
	reflect.TypeFor[Secret]():          one(secretValue),
	reflect.TypeFor[[]string]():        list[[]string](str),
	reflect.TypeFor[[]time.Duration](): list[[]time.Duration](duration),
	reflect.TypeFor[[]netip.Prefix]():  list[[]netip.Prefix](network),
	reflect.TypeFor[Patterns]():        list[Patterns](pattern),
}

// aliasesType is the one table whose keys are not known beforehand.
var aliasesType = reflect.TypeFor[map[string][]string]()

func one[T any](read func(*reader, *node, spec) (T, bool)) setter {
	return func(r *reader, n *node, s spec) (any, bool) { return read(r, n, s) }
}

// list reads every element, so that each mistake is found, and fails when one did.
func list[L ~[]T, T any](read func(*reader, *node, spec) (T, bool)) setter {
	return func(r *reader, n *node, s spec) (any, bool) {
		if _, isString := n.scalar.(string); isString && s.Get("single") != "" {
			n = &node{line: n.line, isList: true, list: []*node{n}}
		}
		if !n.isList {
			must := `a list of strings, as in ["a", "b"]`
			if s.Get("single") != "" {
				must = "a string in quotes, or " + must
			}
			r.mistake(n.line, s.key, "must be %s, not %s", must, describe(n))
			return L(nil), false
		}
		values, good := make(L, 0, len(n.list)), true
		for _, item := range n.list {
			v, ok := read(r, item, s)
			values, good = append(values, v), good && ok
		}
		return values, good
	}
}

// describe names the type of what stands in the file.
func describe(n *node) string {
	switch n.scalar.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number with a decimal point"
	case bool:
		return "true or false"
	case time.Time:
		return "a date or time"
	}
	if n.isList {
		return "a list"
	}
	return "a table"
}

// text is a string of any content.
func (r *reader) text(n *node, s spec, must string) (string, bool) {
	v, ok := n.scalar.(string)
	if !ok {
		r.mistake(n.line, s.key, "must be %s, not %s", must, describe(n))
	}
	return v, ok
}

// str reads a string and holds it against values, check and file of the spec. An empty one is as good as absent,
// except where it must be set.
func str(r *reader, n *node, s spec) (string, bool) {
	v, ok := r.text(n, s, "a string in quotes")
	if !ok {
		return "", false
	}
	problem := r.strProblem(v, s)
	if problem != "" {
		r.mistake(n.line, s.key, "%s", problem)
		return "", false
	}
	if s.Get("file") != "" {
		v = resolve(v, r.dir)
	}
	return v, true
}

func (r *reader) strProblem(v string, s spec) string {
	values := s.list("values", "|")
	switch {
	case oneLine(v) != v:
		return `contains a control character: in double quotes a backslash starts an escape sequence; write Windows paths in single quotes: 'C:\path'`
	case v == "" && (s.Get("required") != "" || values != nil):
		return "is empty: it must be set"
	case v == "":
		return ""
	case values != nil && !slices.Contains(values, v):
		return quote(v) + " is not allowed: it must be " + orList(values) + suggest(v, values)
	case s.Get("file") == "exists" && r.blind:
		return ""
	case s.Get("file") == "exists":
		return missingFile(resolve(v, r.dir))
	case s.Get("check") != "":
		return checks[s.Get("check")](v)
	}
	return ""
}

func secretValue(r *reader, n *node, s spec) (Secret, bool) {
	v, ok := r.text(n, s, `a string in quotes, or "env:NAME", or "file:/path"`)
	if !ok || r.blind {
		return Secret{}, ok
	}
	read := parseSecret
	if s.Get("key") != "" {
		read = parseKey
	}
	secret, err := read(v, r.dir, r.env)
	if err != nil {
		r.mistake(n.line, s.key, "%v", err)
	}
	return secret, err == nil
}

func pattern(r *reader, n *node, s spec) (string, bool) {
	v, ok := r.text(n, s, `a string in quotes, as in "*@example.com"`)
	if ok && (v == "" || strings.ContainsAny(v, " <>,;\t\r\n\x00")) {
		r.mistake(n.line, s.key, `%s is not a pattern: write one address, with * for any run of characters, as in "*@example.com"`, quote(v))
		return "", false
	}
	return v, ok
}

func network(r *reader, n *node, s spec) (netip.Prefix, bool) {
	v, ok := r.text(n, s, `a string in quotes, as in "192.168.1.0/24"`)
	if !ok {
		return netip.Prefix{}, false
	}
	p, problem := parseNetwork(v)
	if problem == "" && s.Get("check") == "closed" {
		problem = openNetwork(p)
	}
	if problem != "" {
		r.mistake(n.line, s.key, "%s", problem)
	}
	return p, problem == ""
}

func boolean(r *reader, n *node, s spec) (bool, bool) {
	v, ok := n.scalar.(bool)
	if !ok {
		r.mistake(n.line, s.key, "must be true or false, without quotes, not %s", describe(n))
	}
	return v, ok
}

func number(r *reader, n *node, s spec) (int, bool) {
	v, ok := n.scalar.(int64)
	if !ok {
		r.mistake(n.line, s.key, "must be a whole number, without quotes, not %s", describe(n))
		return 0, false
	}
	const most = 1_000_000_000 // fits every int, and is beyond every purpose
	least, _ := strconv.ParseInt(s.Get("min"), 10, 64)
	switch {
	case v < least:
		r.mistake(n.line, s.key, "%d is not allowed: it must be at least %d", v, least)
	case v > most:
		r.mistake(n.line, s.key, "%d is not allowed: it must be at most %d", v, most)
	}
	return int(v), v >= least && v <= most
}

func size(r *reader, n *node, s spec) (int64, bool) {
	v, ok := n.scalar.(string)
	if !ok {
		r.mistake(n.line, s.key, "%s, not %s", sizeHelp, describe(n))
		return 0, false
	}
	octets, err := ParseSize(v)
	switch {
	case err != nil:
		r.mistake(n.line, s.key, "%v", err)
	case octets == 0:
		r.mistake(n.line, s.key, "%s is not allowed: it must be more than nothing", quote(v))
	}
	return octets, err == nil && octets > 0
}

func duration(r *reader, n *node, s spec) (time.Duration, bool) {
	v, ok := n.scalar.(string)
	if !ok {
		r.mistake(n.line, s.key, "%s, not %s", durationHelp, describe(n))
		return 0, false
	}
	d, err := ParseDuration(v)
	switch {
	case err != nil:
		r.mistake(n.line, s.key, "%v", err)
		return 0, false
	case d <= 0 && s.Get("min") == "":
		r.mistake(n.line, s.key, "%s is not allowed: it must be more than nothing", quote(v))
		return 0, false
	}
	if most, err := ParseDuration(s.Get("max")); err == nil && d > most {
		r.mistake(n.line, s.key, "%s is not allowed: it must be at most %s", quote(v), quote(s.Get("max")))
		return 0, false
	}
	return d, true
}

// date reads a date with or without quotes and time; without a zone it is UTC.
func date(r *reader, n *node, s spec) (time.Time, bool) {
	switch v := n.scalar.(type) {
	case time.Time:
		if v.Year() > 0 { // TOML has times without a date
			return inUTC(v), true
		}
	case string:
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), true
			}
		}
	}
	r.mistake(n.line, s.key, "must be a date, as in 2027-01-31")
	return time.Time{}, false
}

// inUTC takes a date without a zone, which the parser puts in the machine's, as it is written.
func inUTC(v time.Time) time.Time {
	if strings.HasSuffix(v.Location().String(), "-local") {
		return time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), 0, time.UTC)
	}
	return v.UTC()
}

// aliases reads local names and their addresses.
func (r *reader) aliases(n *node, s spec) map[string][]string {
	aliases := make(map[string][]string)
	if n != nil && n.table == nil {
		r.mistake(n.line, s.key, "is a table that exists once: write [aliases], not %s", describe(n))
		return aliases
	}
	if n == nil {
		return aliases
	}
	for name, value := range n.table {
		key := s.key + "." + name
		local := foldCase(name)
		if problem := checkAlias(name); problem != "" {
			r.mistake(value.line, key, "%s", problem)
		}
		if _, twice := aliases[local]; twice {
			r.mistake(value.line, key, "is set twice, since case is ignored; keep one of them")
		}
		to := spec{key: key, StructTag: `single:"yes" check:"address" required:"yes"`}
		v, _ := list[[]string](str)(r, value, to)
		if aliases[local], _ = v.([]string); len(value.list) == 0 && value.isList {
			r.mistake(value.line, key, `has no address; write one, as in "it@example.com"`)
		}
	}
	return aliases
}

// defaultCertificate is where `certificate new` writes.
func defaultCertificate(dataDir, account string) string {
	return filepath.Join(dataDir, account+".pfx")
}
