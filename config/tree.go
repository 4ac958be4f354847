package config

import (
	"sort"

	"github.com/BurntSushi/toml"
	"github.com/pelletier/go-toml/v2/unstable"
)

// node is a value of the file with its place: a table, a list, or a scalar as BurntSushi/toml types it. Methods on a
// nil node are those of a key that is absent.
type node struct {
	line   int
	scalar any // string, int64, float64, bool or time.Time
	table  map[string]*node
	list   []*node
	isList bool // an empty list has no elements to show it
}

// get returns the value of a key, nil when it is absent.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	return n.table[key]
}

func (n *node) has(key string) bool { return n.get(key) != nil }

// item returns an element of a list; nil beyond its end.
func (n *node) item(i int) *node {
	if n == nil || i >= len(n.list) {
		return nil
	}
	return n.list[i]
}

// lineOf is the line of a key, or of its table when the key is absent.
func (n *node) lineOf(key string) int {
	switch {
	case n.has(key):
		return n.get(key).line
	case n == nil:
		return 1
	}
	return n.line
}

// parseTree reads a whole text twice: BurntSushi/toml says whether it is TOML and what the values are, go-toml's
// parser says where they stand, which the first does not tell.
func parseTree(text []byte) (*node, error) {
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return merge(values, places(text), 1), nil
}

// merge joins values and places. A value whose place is not known gets its table's line.
func merge(value any, at *place, line int) *node {
	if at == nil {
		at = &place{}
	}
	if at.line > 0 {
		line = at.line
	}
	n := &node{line: line}
	switch v := value.(type) {
	case map[string]any:
		n.table = make(map[string]*node, len(v))
		for key, inner := range v {
			n.table[key] = merge(inner, at.keys[key], line)
		}
	case []map[string]any:
		n.isList = true
		for i, inner := range v {
			n.list = append(n.list, merge(inner, at.item(i), line))
		}
	case []any:
		n.isList = true
		for i, inner := range v {
			n.list = append(n.list, merge(inner, at.item(i), line))
		}
	default:
		n.scalar = value
	}
	return n
}

// place is where a value stands: the line of its key, or of itself in a list.
type place struct {
	line  int
	keys  map[string]*place
	items []*place
}

func (p *place) item(i int) *place {
	if i >= len(p.items) {
		return nil
	}
	return p.items[i]
}

// key returns the place of a key, made when it is the first time.
func (p *place) key(name string, line int) *place {
	if p.keys == nil {
		p.keys = make(map[string]*place)
	}
	if p.keys[name] == nil {
		p.keys[name] = &place{line: line}
	}
	return p.keys[name]
}

// last is the table that a header means by this name: in a list of tables the latest one.
func (p *place) last() *place {
	if len(p.items) > 0 {
		return p.items[len(p.items)-1]
	}
	return p
}

// survey walks the expressions of a text that is known to be TOML.
type survey struct {
	parser   unstable.Parser
	newlines []int // offsets
}

func places(text []byte) *place {
	s := &survey{}
	for i, b := range text {
		if b == '\n' {
			s.newlines = append(s.newlines, i)
		}
	}
	root := &place{line: 1}
	table := root
	s.parser.Reset(text)
	for s.parser.NextExpression() {
		switch e := s.parser.Expression(); e.Kind {
		case unstable.Table:
			table = s.descend(root, e.Key(), s.openTable)
		case unstable.ArrayTable:
			table = s.descend(root, e.Key(), s.addTable)
		case unstable.KeyValue:
			s.keyValue(table, e)
		}
	}
	return root
}

// line of something in the text; 0 when the parser does not say.
func (s *survey) line(r unstable.Range) int {
	if r.Length == 0 {
		return 0
	}
	return 1 + sort.SearchInts(s.newlines, int(r.Offset))
}

// descend follows a dotted key; the last part is left to end, since only there the kinds of header differ.
func (s *survey) descend(from *place, key unstable.Iterator, end func(*place, int) *place) *place {
	for key.Next() {
		line := s.line(key.Node().Raw)
		next := from.key(string(key.Node().Data), line)
		if key.IsLast() {
			return end(next, line)
		}
		from = next.last()
	}
	return from
}

func (s *survey) openTable(p *place, line int) *place {
	p.line = line
	return p
}

func (s *survey) addTable(p *place, line int) *place {
	p.items = append(p.items, &place{line: line})
	return p.last()
}

func (s *survey) keyValue(table *place, e *unstable.Node) {
	value := e.Value()
	s.descend(table, e.Key(), func(p *place, _ int) *place {
		s.value(p, value)
		return p
	})
}

// value notes the places inside a list or an inline table.
func (s *survey) value(p *place, n *unstable.Node) {
	children := n.Children()
	switch n.Kind {
	case unstable.InlineTable:
		for children.Next() {
			s.keyValue(p, children.Node())
		}
	case unstable.Array:
		for children.Next() {
			item := &place{line: s.line(children.Node().Raw)}
			p.items = append(p.items, item)
			s.value(item, children.Node())
		}
	}
}
