package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// What DNS may answer for smtp.office365.com, and for the same name with a final dot, which no search domain touches.
func TestCheckDNSOddities(t *testing.T) {
	t.Parallel()
	address := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	notFound := &net.DNSError{Err: "no such host", Name: "smtp.office365.com", IsNotFound: true}
	timeout := &net.DNSError{Err: "i/o timeout", Name: "smtp.office365.com", IsTimeout: true}
	for _, c := range []struct {
		name       string
		as         []netip.Addr
		asErr      error
		whole      []netip.Addr
		wholeErr   error
		state      checkStatus
		cause, fix string
	}{
		{"all is well", address("52.98.1.2"), nil, address("52.98.1.3"), nil, checkOK, "", ""},
		{"unknown", nil, notFound, nil, notFound, checkFailed, "does not know", "spelling of endpoints.smtp"},
		{"no answer", nil, timeout, nil, timeout, checkFailed, "DNS server does not answer", "port 53"},
		{"search domains break it", nil, &net.DNSError{Err: "server misbehaving"}, address("52.98.1.2"), nil, checkFailed, "search domains", "ndots"},
		{"a wildcard in the search domain", address("10.0.0.5"), nil, address("52.98.1.2"), nil, checkOK, "search domain", "ndots"},
		{"known with the search domain only", address("10.0.0.5"), nil, nil, notFound, checkOK, "only with a DNS search domain", "full name"},
		{"a DNS filter", address("0.0.0.0"), nil, address("0.0.0.0"), nil, checkFailed, "DNS filter", "Allow smtp.office365.com"},
		{"redirected", address("192.168.1.1"), nil, address("192.168.1.1"), nil, checkOK, "your own network", "on purpose"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := &checkup{lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
				if strings.HasSuffix(name, ".") {
					return c.whole, c.wholeErr
				}
				return c.as, c.asErr
			}}
			target := &checkTarget{name: "the mail server", key: "endpoints.smtp", host: "smtp.office365.com", address: "smtp.office365.com:587"}
			s := k.resolve(t.Context(), target)
			if s.Status != c.state || !strings.Contains(s.Cause, c.cause) || !strings.Contains(s.Fix, c.fix) || (s.Cause == "") != (c.cause == "") {
				t.Errorf("%+v", s)
			}
			if (target.blocked != "") != (c.state == checkFailed) {
				t.Errorf("blocked: %q", target.blocked)
			}
		})
	}
}

// The names of the two hosts are one step; when only the sign-in service's is wrong, the mail server is tried all the
// same.
func TestCheckDNSOfOneHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.change(`authority = "https://localhost`, `authority = "https://login.contoso.example`)
	steps := w.checkup(t.Context(), func(c *checkup) {
		look := c.lookup
		c.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			if strings.HasPrefix(name, "login.") {
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			return look(ctx, name)
		}
	})
	if got := status(steps); got != "dns failed, clock skipped, token skipped, claims skipped, auth skipped" || !strings.Contains(steps["dns"].Cause, "login.contoso.example") {
		t.Errorf("%s: %+v", got, steps["dns"])
	}
}
