package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// checks are what a string must be; each returns what is wrong and what to write, or "".
var checks = map[string]func(string) string{
	"address":  checkAddress,
	"bcrypt":   checkBcrypt,
	"console":  checkConsole,
	"domain":   checkDomain,
	"endpoint": checkEndpoint,
	"hostname": checkHostname,
	"listen":   checkListen,
	"loopback": checkLoopback,
	"name":     checkName,
	"proxy":    checkProxy,
	"tenant":   checkTenant,
	"url":      checkURL,
	"word":     checkWord,
}

var (
	ldhLabel = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	safeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	segment  = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)
)

// isDomain says whether a name is made of LDH labels (RFC 5890 §2.3.1), with at least so many of them.
func isDomain(s string, labels int) bool {
	parts := strings.Split(s, ".")
	for _, label := range parts {
		if !ldhLabel.MatchString(label) {
			return false
		}
	}
	return len(parts) >= labels && len(s) <= 253
}

func checkDomain(s string) string {
	if !isDomain(s, 2) {
		return quote(s) + ` is not a domain: write one as in "example.com"`
	}
	return ""
}

// checkAddress takes local@domain in plain characters: what every provider takes as a mailbox.
func checkAddress(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || strings.ContainsAny(s[:max(at, 0)], " \t\"(),:;<>@[\\]") || !isDomain(s[at+1:], 2) {
		return quote(s) + ` is not an address: write one as in "printer@example.com"`
	}
	return ""
}

// checkHostname takes what may be said in EHLO (RFC 5321 §4.1.1.1): a dotted name or an address literal.
func checkHostname(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner, isV6 := strings.CutPrefix(s[1:len(s)-1], "IPv6:")
		if a, err := netip.ParseAddr(inner); err == nil && a.Is6() == isV6 && a.Zone() == "" {
			return ""
		}
	}
	if !isDomain(s, 2) {
		return quote(s) + ` is not a host name: write a name with a dot, of letters, digits and hyphens, as in "relay.example.com", or an address in brackets, as in "[192.0.2.1]"`
	}
	return ""
}

// checkName keeps account names fit for file names and log lines.
func checkName(s string) string {
	if !safeName.MatchString(s) {
		return quote(s) + " is not a name: use letters, digits, dots, hyphens and underscores, at most 64"
	}
	return ""
}

func checkWord(s string) string {
	if strings.TrimSpace(s) != s {
		return quote(s) + " begins or ends with a space"
	}
	return ""
}

func checkTenant(s string) string {
	if !segment.MatchString(s) {
		return quote(s) + ` is not a tenant: write its id, or its domain as in "contoso.onmicrosoft.com"`
	}
	return ""
}

func checkBcrypt(s string) string {
	if _, err := bcrypt.Cost([]byte(s)); err != nil || len(s) != 60 {
		return `is not a bcrypt hash: make one with "mailbearer hash-password" and put all of its line here, in single quotes`
	}
	return ""
}

const listenHelp = `write host:port, as in "127.0.0.1:2525", or ":2525" for all addresses of this machine`

// checkListen leaves host names to the resolver, and allows port 0: a free one.
func checkListen(s string) string {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
			return quote(s) + ` has no whole path: write it as in "unix:/run/mailbearer.sock"`
		}
		return ""
	}
	if name, ok := strings.CutPrefix(s, "systemd:"); ok {
		if name == "" {
			return quote(s) + ` has no name: write the FileDescriptorName of the socket unit, as in "systemd:smtp"`
		}
		return ""
	}
	return checkHostPort(s, 0, listenHelp)
}

func checkConsole(s string) string {
	if s == "off" {
		return ""
	}
	return checkHostPort(s, 0, `write host:port, as in "127.0.0.1:4443", or "off"`)
}

func checkEndpoint(s string) string {
	const help = `write host:port, as in "smtp.office365.com:587"`
	if strings.HasPrefix(s, ":") {
		return quote(s) + " has no host: " + help
	}
	return checkHostPort(s, 1, help)
}

func checkHostPort(s string, leastPort int, help string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return quote(s) + " is not an address with a port: " + help
	}
	if n, err := strconv.Atoi(port); err != nil || n < leastPort || n > 65535 {
		return fmt.Sprintf("%q has the port %q: it must be a number from %d to 65535", s, port, leastPort)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !isDomain(host, 1) {
		return fmt.Sprintf("%q has the host %q, which is neither a name nor an address: %s", s, host, help)
	}
	return ""
}

// checkURL wants https, or http to this machine: a token or a secret goes there.
func checkURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return quote(s) + ` is not a URL: write it as in "https://login.example.com"`
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopbackHost(u.Hostname())):
		return quote(s) + " must begin with https://"
	}
	return ""
}

const loopbackHelp = `write the one that is registered for the app, as in "http://127.0.0.1:8400/callback"; without a port any free one is taken`

// checkLoopback wants an address of this machine alone (RFC 8252 §7.3): the code that comes to it is worth a sign-in, and
// the page there has no certificate.
func checkLoopback(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return quote(s) + " is not a URL: " + loopbackHelp
	case u.Scheme != "http":
		return quote(s) + " must begin with http://, since it is this machine's own: " + loopbackHelp
	case !isLoopbackHost(u.Hostname()):
		return quote(s) + " is not this machine's own address: " + loopbackHelp
	case u.Port() != "":
		return checkHostPort(u.Host, 1, loopbackHelp)
	}
	return ""
}

// proxySchemes are those that both tokens and mail can go through.
var proxySchemes = []string{"socks5", "socks5h", "http"}

// checkProxy never repeats the URL, which may hold a password.
func checkProxy(s string) string {
	const help = `write it as in "http://proxy.example.com:3128" or "socks5://127.0.0.1:1080"`
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "is not a proxy's URL: " + help
	}
	for _, scheme := range proxySchemes {
		if u.Scheme == scheme {
			return checkHostPort(u.Host, 1, help)
		}
	}
	return "begins with " + quote(u.Scheme+"://") + ": a proxy must be http:// or socks5://; " + help
}

// checkAlias takes what stands before the @ of an address, or "*".
func checkAlias(name string) string {
	switch {
	case name == "*":
		return ""
	case strings.ContainsRune(name, '@'):
		return `an alias is for recipients without a domain: write only what stands before the @`
	case checkAddress(name+"@example.com") != "":
		return quote(name) + ` is not a local name: write one as in root, or "*" for all others`
	}
	return ""
}

// missingFile says what keeps a file from being read.
func missingFile(path string) string {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return "the file " + path + " does not exist"
	case err != nil:
		return "the file cannot be read: " + err.Error()
	case info.IsDir():
		return path + " is a directory: write the path of a file"
	}
	return ""
}
