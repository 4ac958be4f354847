package config

import "strings"

// unbuilt are values that the documentation has and this version cannot do yet. None of them is silently ignored:
// each is a mistake, or a warning where the relay does its work without it. Delete a row when its feature is built.
var unbuilt = []struct {
	key     string
	value   func(*node) bool // of what is written in the file; defaults are never unbuilt
	instead string
	warning bool
}{
	{key: "account.transport", value: is("graph"), instead: `use "smtp"`},
	{key: "account.transport", value: is("auto"), instead: `"smtp" is used`, warning: true},
	{key: "spool.engine", value: is("postgres"), instead: `use "sqlite"`},
	{key: "account.limits.recipients_per_day", value: isNot(int64(10000)), instead: "the provider's own limit holds", warning: true},
	{key: "console.address", value: isNot("off"), instead: "there is no console", warning: true},
}

func is(value string) func(*node) bool { return func(n *node) bool { return n.scalar == value } }
func isNot(value any) func(*node) bool { return func(n *node) bool { return n.scalar != value } }

// unbuilt looks for the rows in what the file says.
func (r *reader) unbuilt(root *node, c *Config) {
	for _, row := range unbuilt {
		for _, n := range root.find(strings.Split(row.key, ".")) {
			what := "is"
			if s, ok := n.scalar.(string); ok {
				what = quote(s) + " is"
			}
			if text := what + " not available in this version; " + row.instead; !row.value(n) {
				continue
			} else if row.warning {
				r.warn(n.line, row.key, text)
			} else {
				r.err(n.line, row.key, text)
			}
		}
	}
	for i := range c.Accounts {
		if c.Accounts[i].Transport == "auto" {
			c.Accounts[i].Transport = "smtp" // as the warning says
		}
	}
}

// find returns the values of a key, in every table of a list of tables.
func (n *node) find(path []string) []*node {
	switch {
	case n == nil:
		return nil
	case len(path) == 0:
		return []*node{n}
	case n.isList:
		var all []*node
		for _, item := range n.list {
			all = append(all, item.find(path)...)
		}
		return all
	}
	return n.get(path[0]).find(path[1:])
}
