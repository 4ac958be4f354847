package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/mailbearer/mailbearer/diagnose"
)

// checkDNS looks up the hosts that are reached without a proxy.
func (c *checkup) checkDNS(ctx context.Context) {
	if c.mail.proxy != nil {
		c.skip("the proxy looks names up", "dns")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkDNSLimit)
	defer cancel()
	targets := slices.CompactFunc(c.reachable(), func(a, b *checkTarget) bool { return a.host == b.host })
	found := make([]checkStep, len(targets))
	var lookups sync.WaitGroup
	for i, t := range targets {
		lookups.Go(func() { found[i] = c.resolve(ctx, t) })
	}
	lookups.Wait()
	if len(targets) == 1 && c.login != nil && c.login.proxy == nil { // the same host
		c.login.blocked = c.mail.blocked
	}
	s := joined("dns", "look up", found)
	if len(targets) > 1 && !slices.ContainsFunc(targets, func(t *checkTarget) bool { return !t.unknown }) {
		s.Cause = fmt.Sprintf("DNS knows neither %s nor %s: this machine's DNS server does not seem to know names of the internet", c.mail.host, c.login.host)
		s.Fix = "1. Check which DNS server this machine asks, and whether it knows any name of the internet. 2. If only a proxy gets out from here, set network.proxy: it then looks names up. 3. If endpoints.smtp and endpoints.authority are set, check their spelling."
	}
	c.tell(s)
}

// joined makes one step of those for each host. What failed says what and why; otherwise what was warned of does.
func joined(step, verb string, parts []checkStep) checkStep {
	s := checkStep{Step: step, Status: checkOK}
	if slices.ContainsFunc(parts, func(p checkStep) bool { return p.Status == checkFailed }) {
		s.Status = checkFailed
	}
	var tried, said, causes []string
	for _, p := range parts {
		tried = append(tried, p.Tried)
		if p.Status != s.Status {
			continue
		}
		if p.Said != "" {
			said = append(said, p.Said)
		}
		if p.Cause != "" {
			causes = append(causes, p.Cause)
			s.Fix = cmp.Or(s.Fix, p.Fix) // one thing at a time: each is numbered for itself
		}
	}
	s.Tried, s.Said, s.Cause = verb+" "+strings.Join(tried, " and "), strings.Join(said, "; "), strings.Join(causes, ". ")
	return s
}

// resolve looks up one host and what its name could be taken for.
func (c *checkup) resolve(ctx context.Context, t *checkTarget) checkStep {
	s := checkStep{Status: checkOK, Tried: t.host}
	if _, err := netip.ParseAddr(t.host); err == nil {
		s.Said = t.host + " is an address"
		return s
	}
	addresses, err := c.lookup(ctx, t.host)
	whole, wholeErr := c.lookupWhole(ctx, t.host)
	switch {
	case err != nil:
		s.Status, s.Said = checkFailed, err.Error()
		s.Cause, s.Fix = c.dnsTrouble(t, err, wholeErr == nil && len(whole) > 0)
		t.blocked = "the name " + t.host + " cannot be looked up (dns)"
	case slices.ContainsFunc(addresses, netip.Addr.IsUnspecified):
		s.Status = checkFailed
		s.Cause = fmt.Sprintf("DNS answers %s with an address that leads nowhere: a DNS filter (such as Pi-hole, or a firewall's) blocks the name", t.host)
		s.Fix = "Allow " + t.host + " in the DNS filter, or use another DNS server on this machine."
		t.blocked = "the name " + t.host + " is blocked by a DNS filter (dns)"
	default:
		s.Cause, s.Fix = oddName(t, addresses, whole, wholeErr)
	}
	if err == nil {
		s.Said = t.host + " is " + listed(addresses)
	}
	return s
}

// lookupWhole asks for the name as a whole one, with a final dot, so that no search domain is tried. Names of one label
// are never whole.
func (c *checkup) lookupWhole(ctx context.Context, host string) ([]netip.Addr, error) {
	if !strings.Contains(host, ".") || strings.HasSuffix(host, ".") {
		return nil, errors.New("not a whole name")
	}
	return c.lookup(ctx, host+".")
}

func (c *checkup) dnsTrouble(t *checkTarget, err error, whole bool) (cause, fix string) {
	var d *net.DNSError
	switch {
	case whole:
		return fmt.Sprintf("The name %s exists, but not the way this machine looks it up: its DNS search domains get in the way", t.host),
			"1. Take the search domain out of /etc/resolv.conf (`search`), or lower `options ndots`; in Kubernetes set ndots:1 in dnsConfig. 2. On Windows see the DNS suffix list of the network adapter."
	case errors.As(err, &d) && d.IsNotFound:
		t.unknown = true
		return fmt.Sprintf("%s has a name that DNS does not know: %s", capital(t.name), t.host),
			fmt.Sprintf("1. Check the spelling of %s of account %q; without it the provider's own host is used. 2. Look the name up on another machine: if it is known there, this machine's DNS server is at fault.", t.key, c.account.Name)
	case errors.As(err, &d) && d.IsTimeout || errors.Is(err, context.DeadlineExceeded):
		return "The DNS server does not answer", "1. Check this machine's network and its DNS server's address. 2. Check that a firewall lets DNS (port 53) through. 3. Without DNS to the outside, set network.proxy: the proxy then looks names up."
	}
	if e, ok := diagnose.Lookup(diagnose.SourceNetwork, err.Error()); ok {
		return e.Title, e.Fix
	}
	return "The DNS server gave an error", "Check this machine's DNS server."
}

// oddName warns of an answer that may lead astray although there is one.
func oddName(t *checkTarget, addresses, whole []netip.Addr, wholeErr error) (cause, fix string) {
	var d *net.DNSError
	switch {
	case errors.As(wholeErr, &d) && d.IsNotFound:
		return fmt.Sprintf("%s is found only with a DNS search domain of this machine added; another machine may not find it, or find something else", t.host),
			fmt.Sprintf("Write the full name in %s.", t.key)
	case len(whole) > 0 && all(addresses, private) && !all(whole, private):
		return fmt.Sprintf("A DNS search domain of this machine leads %s to an address of your own network, not to the provider", t.host),
			"Take the search domain out of /etc/resolv.conf (`search`), or lower `options ndots`; in Kubernetes set ndots:1 in dnsConfig."
	case all(addresses, private) && strings.Contains(t.host, ".office"):
		return fmt.Sprintf("DNS leads %s to an address of your own network (%s), not to Microsoft's", t.host, listed(addresses)),
			"If nobody redirects it on purpose, ask whoever runs your DNS server; see also the hosts file of this machine."
	}
	return "", ""
}

func private(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }

func all(list []netip.Addr, is func(netip.Addr) bool) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(a netip.Addr) bool { return !is(a) })
}

func listed(addresses []netip.Addr) string {
	const most = 4
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.Unmap().String())
	}
	if n := len(texts) - most; n > 0 {
		texts = append(texts[:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, ", ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// checkProxy asks the proxy for a tunnel to each host that is reached by one. The tunnel to the mail server is kept.
func (c *checkup) checkProxy(ctx context.Context) {
	if c.mail.proxy != nil {
		c.skip("the connection goes by a proxy", "tcp")
	}
	var parts []checkStep
	for _, t := range []*checkTarget{c.mail, c.login} {
		if t == nil || t.proxy == nil {
			continue
		}
		s := c.tunnelTo(ctx, t)
		parts = append(parts, s)
		if s.Status == checkFailed {
			break
		}
	}
	if len(parts) == 0 {
		c.skip("no proxy is set: connections are direct", "proxy")
		return
	}
	c.tell(joined("proxy", "ask", parts))
}

// tunnelTo asks for one tunnel. A proxy that does nothing for us blocks both hosts, one that refuses this tunnel only
// this host.
func (c *checkup) tunnelTo(ctx context.Context, t *checkTarget) checkStep {
	ctx, cancel := context.WithTimeout(ctx, c.limit(checkDialLimit))
	defer cancel()
	s := checkStep{Status: checkOK, Tried: fmt.Sprintf("%s://%s%s for a tunnel to %s", t.proxy.Scheme, t.proxy.Host, c.fromEnvironment(), t.address)}
	conn, err := c.way.dial(ctx, "tcp", t.address)
	switch {
	case err != nil:
		return c.noTunnel(s, t, err)
	case t == c.mail:
		c.tunnel = conn
	default:
		conn.Close()
	}
	return s
}

// noTunnel says why there is none.
func (c *checkup) noTunnel(s checkStep, t *checkTarget, err error) checkStep {
	var p *proxyError
	if !errors.As(err, &p) {
		p = &proxyError{trouble: proxyBroken, err: err}
	}
	t.blocked = fmt.Sprintf("the proxy does not let us through to %s (proxy)", t.address)
	without := fmt.Sprintf("Or let this machine reach it without the proxy: set NO_PROXY=%s in the environment instead of network.proxy.", t.host)
	switch {
	case p.trouble == proxyUnreachable:
		c.noProxy("the proxy cannot be reached (proxy)", t.proxy)
		return failedStep(s, err.Error(), "The proxy cannot be reached", c.proxyFix("1. Check host and port of the proxy, and that it runs. 2. If none is needed, remove it."))
	case p.trouble == proxyWantsCredentials:
		c.noProxy("the proxy wants a user name and password (proxy)", t.proxy)
		return failedStep(s, err.Error(), "The proxy wants a user name and password, or does not accept the ones it was given",
			c.proxyFix("Write them into the proxy's address, as in "+t.proxy.Scheme+"://user:password@host:port (special characters as %XX)."))
	case p.trouble == proxyRefused:
		return failedStep(s, err.Error(), fmt.Sprintf("The proxy refuses a connection to %s (%s)", t.address, t.name),
			fmt.Sprintf("1. Have %s allowed at the proxy; many allow port 443 only. 2. %s", t.address, without))
	case p.trouble == proxyGetsNowhere:
		return failedStep(s, err.Error(), fmt.Sprintf("The proxy takes the request, but cannot reach %s (%s) itself", t.address, t.name),
			fmt.Sprintf("1. Have whoever runs the proxy let it reach %s: DNS there, and the firewall behind it. 2. %s", t.address, without))
	case p.late():
		t.blocked = fmt.Sprintf("the proxy does not answer when asked for a connection to %s (proxy)", t.address)
		return failedStep(s, err.Error(), fmt.Sprintf("The proxy did not answer in time when asked for a connection to %s (%s)", t.address, t.name),
			fmt.Sprintf("1. A firewall behind the proxy may swallow connections to %s: have it allowed there. 2. Check that the proxy is one of the kind %s://, and not overloaded. 3. %s", t.address, t.proxy.Scheme, without))
	}
	t.blocked = fmt.Sprintf("the proxy makes no connection to %s (proxy)", t.address)
	return failedStep(s, err.Error(), "What answers at the proxy's address does not speak as a proxy of this kind does, or went away",
		c.proxyFix(fmt.Sprintf("1. Check host and port, and whether it is an HTTP proxy (http://) or a SOCKS5 proxy (socks5://); now it is %s://.", t.proxy.Scheme)))
}

func failedStep(s checkStep, said, cause, fix string) checkStep {
	s.Status, s.Said, s.Cause, s.Fix = checkFailed, said, cause, fix
	return s
}

// noProxy blocks whatever goes by this proxy.
func (c *checkup) noProxy(why string, by *url.URL) {
	for _, t := range []*checkTarget{c.mail, c.login} {
		if t != nil && t.proxy != nil && t.proxy.Host == by.Host {
			t.blocked = why
		}
	}
}

func (c *checkup) fromEnvironment() string {
	if c.network.Proxy != "" {
		return ""
	}
	return " (from the environment)"
}

// proxyFix says where the proxy is written down.
func (c *checkup) proxyFix(what string) string {
	if c.network.Proxy != "" {
		return what + " It is network.proxy in the configuration."
	}
	return what + " It comes from the environment variables (HTTPS_PROXY, NO_PROXY) of this command; those of the service may be others, network.proxy in the configuration counts for both."
}
