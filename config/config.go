package config

import "time"

// Config is a whole configuration: checked, with the defaults in it. It is a value of its moment; SIGHUP loads
// another one.
type Config struct {
	File      string              `toml:"-"` // the name it was loaded by
	Digest    string              `toml:"-"` // SHA-256 of its text in hex: two readings of the same text have the same
	Relay     Relay               `toml:"relay"`
	Listeners []Listener          `toml:"listener"` // at least one: without a [[listener]] the default one
	Users     []User              `toml:"user"`
	Routes    []Route             `toml:"route"`   // in order; the first match wins
	Aliases   map[string][]string `toml:"aliases"` // local name in lower case, or "*", to addresses
	Accounts  []Account           `toml:"account"` // at least one; the first is the default of everything
	Spool     Spool               `toml:"spool"`
	Tokens    Tokens              `toml:"tokens"`
	Console   Console             `toml:"console"`
	Alerts    Alerts              `toml:"alerts"`
	Network   Network             `toml:"network"`
	Log       Log                 `toml:"log"`
	Warnings  []string            `toml:"-"` // each as a mistake prints: FILE:LINE: key: text
}

// Account returns the account of that name, or nil.
func (c *Config) Account(name string) *Account {
	for i := range c.Accounts {
		if c.Accounts[i].Name == name {
			return &c.Accounts[i]
		}
	}
	return nil
}

// Relay is the process itself.
type Relay struct {
	Hostname string        `toml:"hostname" check:"hostname"`            // a dotted name or an address literal; "" is for cmd to find
	DataDir  string        `toml:"data_dir" file:"any"`                  // absolute or as given; default by operating system
	Grace    time.Duration `toml:"grace" default:"10s" min:"0" max:"1h"` // how long attempts may finish after SIGTERM
}

// Spool is where mail waits, for how long, and how often it is tried.
type Spool struct {
	Engine           string          `toml:"engine" values:"sqlite|postgres"`
	URL              Secret          `toml:"url"`                                 // of postgres: it usually holds a password
	Retry            []time.Duration `toml:"retry" default:"1m,5m,15m,30m,1h,2h"` // never empty; the last repeats
	MaxAge           time.Duration   `toml:"max_age" default:"5d"`                // of a message, while its account is not held
	FailedRetention  time.Duration   `toml:"failed_retention" default:"30d"`      // of failed messages
	HistoryRetention time.Duration   `toml:"history_retention" default:"30d"`     // of traces of what was delivered
	MaxSize          int64           `toml:"max_size" default:"10GB"`             // octets of the whole spool
}

// Tokens is where refresh tokens are kept, and what they are encrypted with.
type Tokens struct {
	Store string `toml:"store" file:"any"` // the directory; default data_dir
	Key   Secret `toml:"key" key:"yes"`    // not set: data_dir/key, made on first use
}

// Console is the web page.
type Console struct {
	Address      string `toml:"address" default:"127.0.0.1:4443" check:"console"` // host:port, or "off"
	PasswordHash string `toml:"password_hash" check:"bcrypt"`                     // "" makes one at first start
	Certificate  string `toml:"certificate" file:"exists"`                        // PEM; "" makes a self-signed one
	Key          string `toml:"key" file:"exists"`
	Metrics      bool   `toml:"metrics" default:"true"`
}

// Alerts says who is told when an account is held or a message failed.
type Alerts struct {
	Email         []string        `toml:"email" check:"address" single:"yes"`
	Account       string          `toml:"account"` // that sends them; default the first of the file
	Webhook       Secret          `toml:"webhook"` // a URL; the usual ones contain a key, so it prints as a secret
	WebhookSecret Secret          `toml:"webhook_secret"`
	ExpiryWarning []time.Duration `toml:"expiry_warning" default:"60d,30d,7d,1d"` // before a credential expires
}

// Network is the way out, for tokens and mail alike.
type Network struct {
	Proxy       string        `toml:"proxy" check:"proxy"`        // a URL, perhaps with a password; "" is for the environment to say
	DialTimeout time.Duration `toml:"dial_timeout" default:"10s"` // each of connect, TLS and greeting
}

// Log is what is written to standard error.
type Log struct {
	Level  string `toml:"level" values:"trace|debug|info|warn|error" default:"info"`
	Format string `toml:"format" values:"auto|console|json"` // auto: console on a terminal, JSON otherwise
}
