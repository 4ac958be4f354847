package tokens

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// maxAnswer is the largest answer of a token endpoint that is read, in octets after decompression. Real ones are a
// few thousand.
const maxAnswer = 1 << 20

var (
	errAnswerTooLarge = errors.New("the answer is larger than 1 MiB")
	errNoTLS          = errors.New("the sign-in service named an address without TLS")
)

// HTTPOptions say how token endpoints are reached.
type HTTPOptions struct {
	RootCAs     *x509.CertPool                        // nil: those of the system
	Proxy       func(*http.Request) (*url.URL, error) // nil: no proxy
	DialTimeout time.Duration                         // of each of connect and TLS; 10 seconds when zero
}

// NewHTTPClient returns the client that Entra flows use; several may share it. It speaks HTTP/1.1 only, so that a
// connection that broke silently spoils one call and no other, and keeps idle connections shortly: fetches come in
// pairs of requests, and then not for half an hour.
func NewHTTPClient(o HTTPOptions) *http.Client {
	if o.DialTimeout <= 0 {
		o.DialTimeout = 10 * time.Second
	}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			Proxy:                  o.Proxy,
			DialContext:            (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.DialTimeout,
			ResponseHeaderTimeout:  fetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        5 * time.Second,
			MaxIdleConnsPerHost:    2,
		},
	}
}

// LoadCAFile returns the system's certificate authorities and those in the PEM file at path: a proxy that inspects
// TLS often inspects some hosts only.
func LoadCAFile(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ca_file cannot be read: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("ca_file %s holds no certificate: it must be PEM (-----BEGIN CERTIFICATE-----); "+
			"convert a DER file with: openssl x509 -inform der -in FILE -out ca.pem", path)
	}
	return pool, nil
}

// exchange is the transport of one fetch. It bounds answers, follows no redirect, refuses to send a secret without
// TLS, and remembers what the last answer said, whatever MSAL makes of it.
type exchange struct {
	next   http.RoundTripper
	vendor Vendor  // who is asked, for the words of what goes wrong
	local  bool    // to this machine's own identity service, which has no TLS
	last   *answer // nil: no answer came
	broken error   // why the last request got none
}

// requested names a request without its query and without a proxy's or a user's password.
func requested(req *http.Request) string {
	return req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
}

// answer is what matters of an HTTP answer when a fetch fails. It holds no body: that may be a token.
type answer struct {
	to         string // the request
	status     int
	retryAfter time.Duration
	oauth      oauthError
}

// oauthError is an error as RFC 6749 §5.2 has it, with what Entra adds.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	SubError    string `json:"suberror"`
}

// client wraps shared for one fetch. A redirect would send the secret to wherever a portal points; the answer that
// asks for one is taken as it is.
func (x *exchange) client(shared *http.Client) *http.Client {
	c := *shared
	x.next = c.Transport
	if x.next == nil {
		x.next = http.DefaultTransport
	}
	c.Transport = x
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	x.last, x.broken = nil, nil
	resp, err := x.roundTrip(req)
	if err != nil {
		x.broken = fmt.Errorf("%s: %w", requested(req), err)
	}
	return resp, err
}

func (x *exchange) roundTrip(req *http.Request) (*http.Response, error) {
	if err := x.allowed(req.URL); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	req, err := plainScope(req)
	if err != nil {
		return nil, err
	}
	resp, err := x.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errAnswerTooLarge
	}
	x.last = &answer{to: requested(req), status: resp.StatusCode, retryAfter: retryAfter(resp.Header)}
	if json.Unmarshal(body, &x.last.oauth) != nil {
		x.last.oauth = oauthError{}
	}
	body = withLife(body, time.Now())
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// allowed lets nothing leave this machine without TLS.
func (x *exchange) allowed(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		return nil
	case !x.local:
		return errNoTLS
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
		return nil
	}
	return errNotLocal
}

// retryAfter reads Retry-After, as seconds or as a date (RFC 9110 §10.2.3). A date is compared with the server's own
// Date when it sent one: our clock may be wrong.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if s, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}
