package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestSchema: tags are only strings to the compiler; a wrong one would be found by the first user of its key.
func TestSchema(t *testing.T) {
	t.Parallel()
	tags := []string{"toml", "default", "values", "required", "check", "min", "max", "single", "file", "key"}
	for _, table := range allTables() {
		for _, s := range table.keys {
			if check := s.Get("check"); check != "" && check != "closed" && checks[check] == nil {
				t.Errorf("%s: there is no check %q", s.key, check)
			}
			for pair := range strings.SplitSeq(string(s.StructTag), `" `) {
				if name, _, _ := strings.Cut(pair, ":"); !slices.Contains(tags, name) {
					t.Errorf("%s: there is no tag %q", s.key, name)
				}
			}
			if text := s.Get("default"); s.Get("values") != "" && text != "" && !slices.Contains(s.list("values", "|"), text) {
				t.Errorf("%s: the default %q is not allowed", s.key, text)
			}
		}
	}
}

// TestSchemaDefaults: no default of a tag is refused by the reader of its own type.
func TestSchemaDefaults(t *testing.T) {
	t.Parallel()
	r := &reader{}
	for _, table := range []any{&Listener{}, &User{}, &Route{}, &Account{}, &Config{}} {
		for _, s := range specs(reflect.TypeOf(table).Elem(), "") {
			if s.Get("required") == "" {
				r.field(nil, nil, s, reflect.ValueOf(table).Elem().Field(s.index))
			}
		}
	}
	if len(r.mistakes) > 0 {
		t.Errorf("%v", r.mistakes)
	}
}

// TestProviders: every row can be used with every flow it claims.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, p := range providers {
		for _, name := range p.flows {
			f := flowNamed(name)
			if f == nil {
				t.Errorf("%s: there is no flow %q", p.name, name)
				continue
			}
			a := &Account{OAuth: OAuth{Flow: name}}
			p.fill(a)
			if !p.custom() && (len(a.OAuth.Scopes) == 0 || a.Endpoints.SMTP == "") {
				t.Errorf("%s with %s has no scopes or no server", p.name, name)
			}
			if f.app && p.entra() && !strings.HasSuffix(a.OAuth.Scopes[0], "/.default") {
				t.Errorf("%s with %s asks for %v", p.name, name, a.OAuth.Scopes)
			}
		}
		for key, url := range map[string]string{"authority": p.endpoints.Authority, "graph": p.endpoints.Graph,
			"token": p.endpoints.Token, "authorize": p.endpoints.Authorize} {
			if url != "" && checkURL(url) != "" {
				t.Errorf("%s: %s: %s", p.name, key, checkURL(url))
			}
		}
	}
}

// TestFlows: the documentation's list, the table and the keys of the struct are the same.
func TestFlows(t *testing.T) {
	t.Parallel()
	var names, keys []string
	for _, f := range flows {
		names = append(names, f.name)
	}
	for _, s := range specs(reflect.TypeFor[OAuth](), "") {
		keys = append(keys, s.name())
		if s.name() == "flow" && !slices.Equal(s.list("values", "|"), names) {
			t.Errorf("the flows are %v, the key allows %v", names, s.list("values", "|"))
		}
		if len(flowsTaking(s.name())) == 0 {
			t.Errorf("%s belongs to no flow", s.name())
		}
	}
	for _, f := range flows {
		for _, key := range slices.Concat(f.needs, f.may) {
			if !slices.Contains(keys, key) {
				t.Errorf("flow %s: there is no key %q", f.name, key)
			}
		}
	}
}

// TestUnbuiltKeys: a row with a typing mistake would never refuse anything.
func TestUnbuiltKeys(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, table := range allTables() {
		for _, s := range table.keys {
			keys = append(keys, s.key)
		}
	}
	for _, row := range unbuilt {
		if !slices.Contains(keys, row.key) {
			t.Errorf("there is no key %q", row.key)
		}
	}
}

func TestBeyondLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:25": false, "127.9.9.9:25": false, "[::1]:25": false, "localhost:25": false, "LocalHost:25": false,
		"[::ffff:127.0.0.1]:25": false, "unix:/run/x": false,
		":25": true, "0.0.0.0:25": true, "[::]:25": true, "192.168.1.1:25": true, "relay.example.com:25": true, "systemd:smtp": true,
	} {
		if got := beyondLoopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestOpenNetworkEdges: the widest public networks that pass, and the narrowest that do not.
func TestOpenNetworkEdges(t *testing.T) {
	t.Parallel()
	for network, open := range map[string]bool{
		"203.0.113.0/24": false, "203.0.112.0/23": true, "2001:db8::/48": false, "2001:db8::/47": true,
		"172.16.0.0/12": false, "172.0.0.0/8": true, "127.0.0.0/8": false, "126.0.0.0/7": true, "fc00::/7": false, "f000::/4": true, "0.0.0.0/0": true,
	} {
		if got := openNetwork(netip.MustParsePrefix(network)); (got != "") != open {
			t.Errorf("%s: %q", network, got)
		}
	}
}
