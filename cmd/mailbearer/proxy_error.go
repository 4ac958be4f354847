package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// proxyTrouble is what went wrong on the way through a proxy.
type proxyTrouble int

const (
	proxyUnreachable      proxyTrouble = iota // no connection to the proxy itself
	proxyBroken                               // it went away, said nothing in time, or does not speak as such a proxy does
	proxyWantsCredentials                     // it wants a user name and password, or not those it was given
	proxyRefused                              // it does not let us through to this destination
	proxyGetsNowhere                          // it would, but cannot reach the destination
)

// proxyError is a connection that a proxy did not make. It names the proxy without user name and password.
type proxyError struct {
	proxy, to string // host:port
	trouble   proxyTrouble
	said      string // the answer of an HTTP proxy
	err       error  // of the network; nil after an answer of an HTTP proxy
}

func (e *proxyError) Unwrap() error { return e.err }

// late says that time ran out, which is no refusal.
func (e *proxyError) late() bool {
	var n net.Error
	return errors.Is(e.err, os.ErrDeadlineExceeded) || errors.As(e.err, &n) && n.Timeout()
}

func (e *proxyError) Error() string {
	detail := e.said
	if e.err != nil {
		detail = e.err.Error()
	}
	switch {
	case e.trouble == proxyUnreachable:
		return fmt.Sprintf("the proxy %s cannot be reached: %s", e.proxy, detail)
	case e.trouble == proxyWantsCredentials:
		return fmt.Sprintf("the proxy %s wants a user name and password in network.proxy, or others than are there: %s", e.proxy, detail)
	case e.trouble == proxyGetsNowhere:
		return fmt.Sprintf("the proxy %s cannot reach %s: %s", e.proxy, e.to, detail)
	case e.trouble == proxyRefused:
		return fmt.Sprintf("the proxy %s refuses a tunnel to %s: %s; allow it there", e.proxy, e.to, detail)
	case e.late():
		return fmt.Sprintf("the proxy %s did not answer in time when asked for a tunnel to %s: %s", e.proxy, e.to, detail)
	}
	return fmt.Sprintf("the proxy %s gave no tunnel to %s: %s", e.proxy, e.to, detail)
}
