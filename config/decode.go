package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// reader is one reading of one file.
type reader struct {
	file               string
	dir                string // where relative paths start
	env                func(string) (string, bool)
	missingCertificate bool // AllowMissingCertificate
	blind              bool // WithoutSecrets
	mistakes           Mistakes
	warnings           Mistakes
}

// mistake notes what is wrong; key is the whole key, as "listener.address".
func (r *reader) mistake(line int, key, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{r.file, line, key, fmt.Sprintf(format, args...)})
}

func (r *reader) warn(line int, key, text string) {
	r.warnings = append(r.warnings, Mistake{r.file, line, key, text})
}

// spec is a field of a struct as its tags describe it:
//
//	toml      the key; "-" for what is not in the file
//	default   its value when absent, lists with commas; without it the first of values, else the zero value
//	values    what is allowed, with bars
//	required  "yes" when absence is a mistake
//	check     the name of a check in checks.go that a string, or each of a list, must pass; "closed" for networks
//	min, max  the bounds of a number; of a duration, where 0 is not allowed unless min says so
//	single    "yes" when a list may be written as one string
//	file      a path: "exists" when it must, "any" when not
//	key       "yes" for a secret that is an encryption key (see Tokens)
type spec struct {
	key   string // the whole key
	index int    // of the field
	reflect.StructTag
}

// name is the last part of the key.
func (s spec) name() string { return s.Get("toml") }

// list returns a tag's parts, none when it is absent.
func (s spec) list(tag, separator string) []string {
	if text := s.Get(tag); text != "" {
		return strings.Split(text, separator)
	}
	return nil
}

// defaultText is the default as it would be written, without quotes.
func (s spec) defaultText() string {
	if text, ok := s.Lookup("default"); ok || s.Get("required") != "" {
		return text
	}
	first, _, _ := strings.Cut(s.Get("values"), "|")
	return first
}

// specs are the keys of a table.
func specs(table reflect.Type, key string) []spec {
	var list []spec
	for i := range table.NumField() {
		s := spec{index: i, StructTag: table.Field(i).Tag}
		if s.name() == "-" {
			continue
		}
		s.key = strings.TrimPrefix(key+"."+s.name(), ".")
		list = append(list, s)
	}
	return list
}

func (r *reader) decode(root *node, c *Config) { r.table(root, "", reflect.ValueOf(c).Elem()) }

// table fills a struct. n is nil when the table is absent: its defaults are still wanted.
func (r *reader) table(n *node, key string, dst reflect.Value) {
	keys := specs(dst.Type(), key)
	if n != nil {
		r.unknownKeys(n, key, keys)
	}
	for _, s := range keys {
		r.field(n.get(s.name()), n, s, dst.Field(s.index))
	}
}

// field sets the default first, so that a mistake in the value leaves a sane one for the rules to look at.
func (r *reader) field(n, table *node, s spec, dst reflect.Value) {
	if n == nil && s.Get("required") != "" {
		r.mistake(table.lineOf(""), s.key, "is missing: it must be %s", cmp.Or(orList(s.list("values", "|")), "set"))
		return
	}
	switch {
	case isTable(dst.Type()):
		r.subTable(n, s, dst)
	case isTable(elem(dst.Type())):
		r.tables(n, s, dst)
	case dst.Type() == aliasesType:
		dst.Set(reflect.ValueOf(r.aliases(n, s)))
	default:
		r.scalar(n, s, dst)
	}
}

func (r *reader) scalar(n *node, s spec, dst reflect.Value) {
	set := setters[dst.Type()]
	if text := s.defaultText(); text != "" {
		v, _ := set(r, defaultNode(text, dst.Type()), s)
		dst.Set(reflect.ValueOf(v))
	}
	if n == nil {
		return
	}
	if v, ok := set(r, n, s); ok {
		dst.Set(reflect.ValueOf(v))
	}
}

// defaultNode is a default as if it had been read from the file.
func defaultNode(text string, t reflect.Type) *node {
	if t.Kind() == reflect.Slice {
		n := &node{isList: true}
		for part := range strings.SplitSeq(text, ",") {
			n.list = append(n.list, &node{scalar: part})
		}
		return n
	}
	switch t.Kind() {
	case reflect.Int:
		i, _ := strconv.ParseInt(text, 10, 64)
		return &node{scalar: i}
	case reflect.Bool:
		return &node{scalar: text == "true"}
	}
	return &node{scalar: text}
}

// subTable decodes a table that exists once. [[relay]] instead of [relay] is read as if the first were meant.
func (r *reader) subTable(n *node, s spec, dst reflect.Value) {
	if n != nil && n.table == nil {
		r.mistake(n.line, s.key, "is a table that exists once: write [%s], not %s", s.key, describe(n))
		if n = n.item(0); n != nil && n.table == nil {
			n = nil
		}
	}
	r.table(n, s.key, dst)
}

// tables decodes a list of tables. [account] instead of [[account]] is read as a list of one.
func (r *reader) tables(n *node, s spec, dst reflect.Value) {
	if n == nil {
		return
	}
	if n.table != nil {
		r.mistake(n.line, s.key, "is a list of tables: write [[%s]] with two brackets", s.key)
		*n = node{line: n.line, isList: true, list: []*node{{line: n.line, table: n.table}}}
	}
	if !n.isList {
		r.mistake(n.line, s.key, "is a list of tables: write [[%s]], not %s", s.key, describe(n))
	}
	n.list = slices.DeleteFunc(n.list, func(item *node) bool {
		if item.table == nil {
			r.mistake(item.line, s.key, "is a list of tables: write [[%s]], not %s", s.key, describe(item))
		}
		return item.table == nil
	})
	for _, item := range n.list {
		dst.Set(reflect.Append(dst, reflect.Zero(dst.Type().Elem())))
		r.table(item, s.key, dst.Index(dst.Len()-1))
	}
}

// unknownKeys names the key that was meant: one of this table, or the same word in another one.
func (r *reader) unknownKeys(n *node, key string, known []spec) {
	names := make([]string, len(known))
	for i, s := range known {
		names[i] = s.name()
	}
	for name, value := range n.table {
		if slices.Contains(names, name) {
			continue
		}
		hint := suggest(name, names)
		if hint == "" {
			hint = belongs(name)
		}
		r.mistake(value.line, strings.TrimPrefix(key+"."+name, "."), "unknown key%s", hint)
	}
}

// belongs says which tables have a key of that name.
func belongs(name string) string {
	var in []string
	for _, t := range allTables() {
		if slices.ContainsFunc(t.keys, func(s spec) bool { return s.name() == name }) {
			in = append(in, t.title)
		}
	}
	if len(in) == 0 || len(in) > 2 {
		return ""
	}
	return "; it belongs in " + strings.Join(in, " or ")
}

// tableSpec is a table of the schema.
type tableSpec struct {
	title string // "[relay]", "[[listener]]", "[account.oauth]"
	keys  []spec
}

// allTables lists the schema, in the order of the structs.
func allTables() []tableSpec { return tablesOf(reflect.TypeFor[Config](), "", "") }

func tablesOf(t reflect.Type, key, title string) []tableSpec {
	list := []tableSpec{{title, specs(t, key)}}
	for _, s := range list[0].keys {
		switch field := t.Field(s.index).Type; {
		case isTable(field):
			list = append(list, tablesOf(field, s.key, "["+s.key+"]")...)
		case isTable(elem(field)):
			list = append(list, tablesOf(elem(field), s.key, "[["+s.key+"]]")...)
		}
	}
	return list
}

// isTable says whether a type is a table of the file: a struct that is no value of its own, as a date is.
func isTable(t reflect.Type) bool { return t.Kind() == reflect.Struct && setters[t] == nil }

// elem is the type of the tables in a list of tables; of anything else, the type itself.
func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice && setters[t] == nil {
		return t.Elem()
	}
	return t
}
