package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// way is how the network is reached: directly, by the configured proxy, or by what the environment names.
type way struct {
	timeout time.Duration
	choose  func(*url.URL) (*url.URL, error) // the proxy for a destination; nil is none
}

// openWay prefers the configured proxy, and takes it for loopback destinations too: whoever writes one down means it.
// The usual environment variables never apply to loopback.
func openWay(c config.Network) (way, error) {
	w := way{timeout: c.DialTimeout, choose: httpproxy.FromEnvironment().ProxyFunc()}
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil {
			return way{}, fmt.Errorf("network.proxy is not a URL: write http://host:port or socks5://host:port")
		}
		w.choose = func(*url.URL) (*url.URL, error) { return u, nil }
	}
	return w, nil
}

// http chooses the proxy of a token request.
func (w way) http(r *http.Request) (*url.URL, error) { return w.choose(r.URL) }

// dial connects to a mail server, by a proxy if one is to be used. What a proxy has to do with an error is a proxyError.
func (w way) dial(ctx context.Context, network, address string) (net.Conn, error) {
	by, err := w.choose(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("the proxy cannot be used: %w", err)
	}
	direct := &net.Dialer{Timeout: w.timeout}
	if by == nil {
		return direct.DialContext(ctx, network, address)
	}
	return w.through(ctx, direct, by, address)
}

// through connects by a proxy. The time-out is for the proxy and for its tunnel, each.
func (w way) through(ctx context.Context, direct *net.Dialer, by *url.URL, address string) (net.Conn, error) {
	c, err := direct.DialContext(ctx, "tcp", proxyAddress(by))
	if err != nil {
		return nil, &proxyError{proxy: by.Host, to: address, trouble: proxyUnreachable, err: err}
	}
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	through, err := tunnel(ctx, c, by, address)
	if !stop() && err == nil { // the deadline may still fall on the tunnel
		err = &proxyError{proxy: by.Host, to: address, trouble: proxyBroken, err: context.Cause(ctx)}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return through, nil
}

// proxyAddress is where a proxy listens: without a port, the usual one of its kind.
func proxyAddress(by *url.URL) string {
	port := by.Port()
	switch {
	case port != "":
	case socks(by):
		port = "1080"
	default:
		port = "80"
	}
	return net.JoinHostPort(by.Hostname(), port)
}

func socks(by *url.URL) bool { return by.Scheme == "socks5" || by.Scheme == "socks5h" }

// tunnel asks the proxy at the other end of c to connect it to address.
func tunnel(ctx context.Context, c net.Conn, by *url.URL, address string) (net.Conn, error) {
	failed := &proxyError{proxy: by.Host, to: address, trouble: proxyBroken}
	switch {
	case socks(by):
		return socksTunnel(ctx, c, by, failed)
	case by.Scheme == "http":
		return httpTunnel(c, by, failed)
	}
	failed.err = fmt.Errorf("a proxy of the kind %s:// is not supported: http:// and socks5:// are", by.Scheme)
	return nil, failed
}

// httpTunnel speaks to an HTTP proxy, RFC 9110 §9.3.6.
func httpTunnel(c net.Conn, by *url.URL, failed *proxyError) (net.Conn, error) {
	request := "CONNECT " + failed.to + " HTTP/1.1\r\nHost: " + failed.to + "\r\n"
	if by.User != nil {
		password, _ := by.User.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(by.User.Username()+":"+password)) + "\r\n"
	}
	if _, failed.err = c.Write([]byte(request + "\r\n")); failed.err != nil {
		return nil, failed
	}
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		failed.err = err
		return nil, failed
	}
	if answer.StatusCode/100 == 2 {
		return &tunnelled{c, r}, nil
	}
	failed.trouble, failed.said = proxyRefused, answer.Status
	switch answer.StatusCode {
	case http.StatusProxyAuthRequired:
		failed.trouble = proxyWantsCredentials
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		failed.trouble = proxyGetsNowhere
	}
	return nil, failed
}

// socksTunnel speaks to a SOCKS proxy, RFC 1928. The library says in words only what was refused, so what the proxy
// answered is read along.
func socksTunnel(ctx context.Context, c net.Conn, by *url.URL, failed *proxyError) (net.Conn, error) {
	heard := &overheard{Conn: c}
	d, err := proxy.FromURL(by, heard)
	if err == nil {
		var through net.Conn
		if through, err = d.(proxy.ContextDialer).DialContext(ctx, "tcp", failed.to); err == nil {
			return through, nil
		}
	}
	failed.trouble, failed.err = heard.trouble(), err
	return nil, failed
}

// overheard keeps what a SOCKS proxy answers first. It is its own dialer, since the connection is there already.
type overheard struct {
	net.Conn
	answers []byte
}

// Dial implements proxy.Dialer.
func (o *overheard) Dial(string, string) (net.Conn, error) { return o, nil }

// DialContext implements proxy.ContextDialer.
func (o *overheard) DialContext(context.Context, string, string) (net.Conn, error) { return o, nil }

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	const most = 6 // two octets each: method, verdict on the password, reply
	o.answers = append(o.answers, p[:min(n, most-len(o.answers))]...)
	return n, err
}

// trouble reads the answers: RFC 1928 §3 and §6, RFC 1929 §2.
func (o *overheard) trouble() proxyTrouble {
	a := o.answers
	if len(a) < 2 || a[0] != 5 {
		return proxyBroken
	}
	const password, none = 2, 0xff
	switch method := a[1]; {
	case method == none, method == password && len(a) >= 4 && a[3] != 0:
		return proxyWantsCredentials
	case method == password:
		a = a[min(len(a), 4):]
	default:
		a = a[2:]
	}
	if len(a) < 2 {
		return proxyBroken
	}
	switch a[1] {
	case 3, 4, 5, 6: // network or host unreachable, connection refused, TTL expired
		return proxyGetsNowhere
	}
	return proxyRefused
}

// tunnelled reads what came with the proxy's answer first: a mail server speaks at once.
type tunnelled struct {
	net.Conn
	r *bufio.Reader
}

func (t *tunnelled) Read(p []byte) (int, error) { return t.r.Read(p) }
