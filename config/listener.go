package config

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Listener is one address that old clients speak to, and its policy.
type Listener struct {
	Address                  string         `toml:"address" default:"127.0.0.1:2525" check:"listen"` // host:port, unix:/path or systemd:NAME
	Security                 string         `toml:"security" values:"none|starttls|tls"`
	Auth                     string         `toml:"auth" values:"none|optional|required"`
	Allow                    []netip.Prefix `toml:"allow" default:"127.0.0.0/8,::1/128" check:"closed"` // who may send without AUTH; masked, never IPv4-mapped
	Senders                  Patterns       `toml:"senders" default:"*"`                                // of mail without AUTH
	Recipients               Patterns       `toml:"recipients" default:"*"`
	Account                  string         `toml:"account"` // default the first of the file
	WaitFor                  string         `toml:"wait_for" values:"upstream|spool"`
	WaitTimeout              time.Duration  `toml:"wait_timeout" default:"20s"`
	MaxMessageSize           int64          `toml:"max_message_size" default:"35MB"` // octets, inclusive
	MaxRecipients            int            `toml:"max_recipients" default:"500" min:"1"`
	MaxConnections           int            `toml:"max_connections" default:"256" min:"1"`
	MaxConnectionsPerAddress int            `toml:"max_connections_per_address" default:"64" min:"1"`
	IdleTimeout              time.Duration  `toml:"idle_timeout" default:"5m"`
	Certificate              string         `toml:"certificate" file:"exists"` // PEM; "" makes a self-signed one
	Key                      string         `toml:"key" file:"exists"`
	MinTLS                   string         `toml:"min_tls" values:"1.0|1.1|1.2|1.3" default:"1.2"`
	ProxyProtocolFrom        []netip.Prefix `toml:"proxy_protocol_from"` // load balancers that must send a PROXY header
}

// User is somebody who may sign in to a listener. Either hash or password is set.
type User struct {
	Name         string   `toml:"name" required:"yes" check:"word"`
	PasswordHash string   `toml:"password_hash" check:"bcrypt"`
	Password     Secret   `toml:"password"`            // needed for CRAM-MD5
	Account      string   `toml:"account"`             // "": the listener's
	Senders      Patterns `toml:"senders" default:"*"` // must match MAIL FROM and every From and Sender
}

// Route sends what meets all of its conditions by its account. A condition that is "" or empty is met by everything.
type Route struct {
	Listener  string         `toml:"listener"` // an address of a [[listener]], or "local" for sendmail and test
	User      string         `toml:"user"`
	Client    []netip.Prefix `toml:"client" single:"yes"`
	Sender    Patterns       `toml:"sender" single:"yes"`
	Recipient Patterns       `toml:"recipient" single:"yes"` // must match every recipient
	Account   string         `toml:"account" required:"yes"`
}

// listeners checks each, and gives the default one to a file without any.
func (r *reader) listeners(root *node, c *Config) {
	if len(c.Listeners) == 0 {
		c.Listeners = make([]Listener, 1)
		r.table(nil, "listener", reflect.ValueOf(&c.Listeners[0]).Elem())
	}
	addresses := make(map[string]bool)
	for i := range c.Listeners {
		l, n := &c.Listeners[i], root.get("listener").item(i)
		if _, port, _ := net.SplitHostPort(l.Address); port != "0" {
			r.unique(addresses, l.Address, n, "listener", "address")
		}
		held(r.err, c, l, n, "listener", listenerRules)
		held(r.warn, c, l, n, "listener", listenerWarnings)
		if l.Account == "" {
			l.Account = c.firstAccount()
		}
	}
}

var listenerRules = []rule[Listener]{
	{"account", func(c *Config, l *Listener, _ *node) string { return knownAccount(c, l.Account) }},
	{"allow", func(_ *Config, l *Listener, n *node) string {
		if l.Auth == "required" || n.has("allow") || !beyondLoopback(l.Address) {
			return ""
		}
		return quote(l.Address) + ` can be reached from other machines and auth = ` + quote(l.Auth) +
			` lets them send without a password: list who may, as in allow = ["192.168.1.0/24"], or set auth = "required"`
	}},
	{"auth", func(c *Config, l *Listener, _ *node) string {
		if l.Auth == "required" && len(c.Users) == 0 {
			return `"required" needs somebody who can sign in: add a [[user]]`
		}
		return ""
	}},
	together[Listener]("certificate", "key"),
	together[Listener]("key", "certificate"),
	{"security", func(_ *Config, l *Listener, n *node) string {
		if l.Security == "none" && n.has("certificate") {
			return `"none" never uses the certificate: set security = "starttls" or "tls", or remove certificate and key`
		}
		return ""
	}},
}

var listenerWarnings = []rule[Listener]{
	{"allow", func(_ *Config, l *Listener, n *node) string {
		if l.Auth == "required" && n.has("allow") {
			return `has no effect with auth = "required": whoever signs in may come from anywhere`
		}
		return ""
	}},
	{"auth", func(_ *Config, l *Listener, _ *node) string {
		if l.Auth == "required" && l.Security == "none" && beyondLoopback(l.Address) {
			return `"required" with security = "none": passwords cross the network in clear; set security = "starttls" if the devices can`
		}
		return ""
	}},
	{"min_tls", func(_ *Config, l *Listener, _ *node) string {
		if l.MinTLS == "1.0" || l.MinTLS == "1.1" {
			return quote(l.MinTLS) + " is broken cryptography: use it only for devices that know nothing newer, on a network you trust"
		}
		return ""
	}},
}

func (r *reader) users(root *node, c *Config) {
	names := make(map[string]bool)
	for i := range c.Users {
		u, n := &c.Users[i], root.get("user").item(i)
		r.unique(names, u.Name, n, "user", "name")
		held(r.err, c, u, n, "user", userRules)
	}
	asked := slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Auth != "none" })
	if n := root.get("user").item(0); n != nil && !asked {
		r.warn(n.line, "user", `is never asked to sign in: no [[listener]] has auth = "optional" or "required"`)
	}
}

var userRules = []rule[User]{
	{"account", func(c *Config, u *User, _ *node) string { return knownAccount(c, u.Account) }},
	{"password", func(_ *Config, _ *User, n *node) string {
		if n.has("password") && n.has("password_hash") {
			return "is set beside password_hash: keep one of them"
		}
		return ""
	}},
	{"password_hash", func(_ *Config, _ *User, n *node) string {
		if !n.has("password") && !n.has("password_hash") {
			return `is missing: make one with "mailbearer hash-password", or set password for devices that use CRAM-MD5`
		}
		return ""
	}},
}

// conditions are the keys of a route of which at least one is needed: a route without any would hide all that follow.
var conditions = []string{"listener", "user", "client", "sender", "recipient"}

func (r *reader) routes(root *node, c *Config) {
	for i := range c.Routes {
		n := root.get("route").item(i)
		held(r.err, c, &c.Routes[i], n, "route", routeRules)
		if !slices.ContainsFunc(conditions, n.has) {
			r.err(n.line, "route", "has no condition: set at least one of "+strings.Join(conditions, ", "))
		}
		for _, key := range conditions {
			if v := n.get(key); v != nil && (v.isList && len(v.list) == 0 || v.scalar == "") {
				r.err(v.line, "route."+key, "is empty: write what to match, or remove the key")
			}
		}
	}
}

var routeRules = []rule[Route]{
	{"account", func(c *Config, t *Route, _ *node) string { return knownAccount(c, t.Account) }},
	{"listener", func(c *Config, t *Route, _ *node) string {
		addresses := []string{"local"} // sendmail and test
		for _, l := range c.Listeners {
			addresses = append(addresses, l.Address)
		}
		if t.Listener == "" || slices.Contains(addresses, t.Listener) {
			return ""
		}
		return quote(t.Listener) + " is the address of no [[listener]]: it must be " + orList(addresses) + suggest(t.Listener, addresses)
	}},
	{"user", func(c *Config, t *Route, _ *node) string {
		var names []string
		for _, u := range c.Users {
			names = append(names, u.Name)
		}
		if t.User == "" || slices.Contains(names, t.User) {
			return ""
		}
		return "there is no [[user]] with the name " + quote(t.User) + suggest(t.User, names)
	}},
}
