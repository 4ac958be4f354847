package config

import (
	"cmp"
	"strings"
)

// unbuilt are values that the documentation has and this version cannot do yet. None of them is silently ignored:
// each is a mistake, or a warning where the relay does its work without it. Delete a row when its feature is built.
var unbuilt = []struct {
	key     string
	value   func(*node) bool // of what is written in the file; defaults are never unbuilt
	instead string
	says    string // the whole text, where "not available" would be too much
	warning bool
}{
	{key: "account.transport", value: is("graph"), instead: `use "smtp"`},
	{key: "account.transport", value: is("auto"), instead: `"smtp" is used`, warning: true},
	{key: "spool.engine", value: is("postgres"), instead: `use "sqlite"`},
	{key: "listener.address", value: begins("systemd:"), instead: `write host:port, as in "127.0.0.1:2525"`},
	{key: "account.from", value: is("rewrite"), instead: `use "keep", and set the devices' sender to the mailbox`},
	{key: "account.limits.recipients_per_day", value: isNot(int64(10000)), instead: "the provider's own limit holds", warning: true},
	{key: "aliases", value: notEmpty, says: "is for sendmail only in this version; recipients by SMTP need a domain", warning: true},
	{key: "listener.proxy_protocol_from", value: notEmpty, instead: "remove it"},
	{key: "console.address", value: isNot("off"), instead: "there is no console", warning: true},
}

func is(value string) func(*node) bool { return func(n *node) bool { return n.scalar == value } }
func isNot(value any) func(*node) bool { return func(n *node) bool { return n.scalar != value } }
func notEmpty(n *node) bool            { return len(n.list) > 0 || len(n.table) > 0 }
func always(*node) bool                { return true }

func begins(prefix string) func(*node) bool {
	return func(n *node) bool {
		s, ok := n.scalar.(string)
		return ok && strings.HasPrefix(s, prefix)
	}
}

// unbuilt looks for the rows in what the file says.
func (r *reader) unbuilt(root *node, c *Config) {
	for _, row := range unbuilt {
		for _, n := range root.find(strings.Split(row.key, ".")) {
			what := "is"
			if s, ok := n.scalar.(string); ok && !strings.HasPrefix(row.key, "alerts.") {
				what = quote(s) + " is"
			}
			if text := cmp.Or(row.says, what+" not available in this version; "+row.instead); !row.value(n) {
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
