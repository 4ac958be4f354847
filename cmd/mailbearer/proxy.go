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

// dial connects to a mail server, by a proxy if one is to be used.
func (w way) dial(ctx context.Context, network, address string) (net.Conn, error) {
	by, err := w.choose(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("the proxy cannot be used: %w", err)
	}
	direct := &net.Dialer{Timeout: w.timeout}
	switch {
	case by == nil:
		return direct.DialContext(ctx, network, address)
	case by.Scheme == "socks5" || by.Scheme == "socks5h":
		d, err := proxy.FromURL(by, direct)
		if err != nil {
			return nil, fmt.Errorf("the proxy cannot be used: %w", err)
		}
		return d.(proxy.ContextDialer).DialContext(ctx, network, address)
	}
	return w.connect(ctx, direct, by, address)
}

// connect asks an HTTP proxy for a tunnel (RFC 9110 §9.3.6).
func (w way) connect(ctx context.Context, direct *net.Dialer, by *url.URL, address string) (net.Conn, error) {
	c, err := direct.DialContext(ctx, "tcp", by.Host)
	if err != nil {
		return nil, fmt.Errorf("the proxy %s cannot be reached: %w", by.Host, err)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.SetDeadline(time.Now().Add(w.timeout))
	r := bufio.NewReader(c)
	if err := tunnel(c, r, by, address); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return &tunnelled{c, r}, nil
}

func tunnel(c net.Conn, r *bufio.Reader, by *url.URL, address string) error {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if by.User != nil {
		password, _ := by.User.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(by.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return fmt.Errorf("the proxy %s went away: %w", by.Host, err)
	}
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return fmt.Errorf("the proxy %s gave no answer: %w", by.Host, err)
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return fmt.Errorf("the proxy %s wants a user name and password: write them into network.proxy as http://user:password@host:port", by.Host)
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("the proxy %s refuses a tunnel to %s: %s; allow it there", by.Host, address, answer.Status)
	}
	return nil
}

// tunnelled reads what came with the proxy's answer first: a mail server speaks at once.
type tunnelled struct {
	net.Conn
	r *bufio.Reader
}

func (t *tunnelled) Read(p []byte) (int, error) { return t.r.Read(p) }
