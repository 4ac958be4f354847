package config

import (
	"strconv"
	"strings"
)

// rule is one thing that keys must not say together, or must not leave out. It speaks about a key of its table; the
// mistake stands at that key, or at the table when the key is absent.
type rule[T any] struct {
	key    string
	broken func(c *Config, t *T, n *node) string // what is wrong and what to do; "" when nothing is
}

// held holds a table against its rules.
func held[T any](say func(line int, key, text string), c *Config, t *T, n *node, table string, rules []rule[T]) {
	for _, rule := range rules {
		if text := rule.broken(c, t, n); text != "" {
			say(n.lineOf(rule.key), table+"."+rule.key, text)
		}
	}
}

// err is mistake for a text that is complete.
func (r *reader) err(line int, key, text string) { r.mistake(line, key, "%s", text) }

// rules checks what keys say together, and completes what other keys give a default to. Listeners and users may name
// accounts, so those are first.
func (r *reader) rules(root *node, c *Config) {
	r.dataDir(c)
	r.accounts(root, c)
	r.listeners(root, c)
	r.users(root, c)
	r.routes(root, c)
	r.sections(root, c)
}

// unique notes the second use of a name.
func (r *reader) unique(seen map[string]bool, name string, n *node, table, key string) {
	if name != "" && seen[name] {
		r.mistake(n.lineOf(key), table+"."+key, "%s is used twice: give each [[%s]] its own", quote(name), table)
	}
	seen[name] = true
}

// knownAccount is the rule of every key that names an account.
func knownAccount(c *Config, name string) string {
	if name == "" || c.Account(name) != nil {
		return ""
	}
	var names []string
	for _, a := range c.Accounts {
		names = append(names, a.Name)
	}
	return "there is no [[account]] with the name " + quote(name) + suggest(name, names)
}

// together is the rule of a certificate and its key: what lacks is needed when the other one is there.
func together[T any](lacks, other string) rule[T] {
	return rule[T]{lacks, func(_ *Config, _ *T, n *node) string {
		if n.has(other) && !n.has(lacks) {
			return "is missing: certificate and key belong together; set both, or neither to have a self-signed one made"
		}
		return ""
	}}
}

// firstAccount is the default of keys that name an account.
func (c *Config) firstAccount() string {
	if len(c.Accounts) == 0 {
		return ""
	}
	return c.Accounts[0].Name
}

func itoa(n int) string { return strconv.Itoa(n) }

// looksLikeID knows the form of Microsoft's ids: 8-4-4-4-12 hexadecimal digits.
func looksLikeID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}
