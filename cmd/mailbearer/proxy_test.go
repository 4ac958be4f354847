package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// httpProxy is a CONNECT proxy that wants a password and counts its tunnels.
func httpProxy(t *testing.T, tunnels *atomic.Int32) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relayTunnel(c, tunnels)
		}
	}()
	return l.Addr().String()
}

func relayTunnel(c net.Conn, tunnels *atomic.Int32) {
	defer c.Close()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.Header.Get("Proxy-Authorization") != "Basic dTpwdw==" { // u:pw
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	to, err := net.Dial("tcp", req.Host)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer to.Close()
	tunnels.Add(1)
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(to, r)
	io.Copy(c, to)
}

func TestProxy(t *testing.T) {
	t.Parallel()
	var tunnels atomic.Int32
	address := httpProxy(t, &tunnels)
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"log": fmt.Sprintf("level = \"trace\"\nformat = \"json\"\n[network]\nproxy = \"http://u:pw@%s\"", address)})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v\n%s", reply, err, tail(w.relay.logged()))
	}
	if n := tunnels.Load(); n < 2 {
		t.Errorf("%d tunnels, want one for tokens and one for mail", n)
	}
}

func TestProxyWantsAPassword(t *testing.T) {
	t.Parallel()
	var tunnels atomic.Int32
	address := httpProxy(t, &tunnels)
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"log": fmt.Sprintf("level = \"trace\"\nformat = \"json\"\n[network]\nproxy = \"http://u:wrongpw@%s\"", address)})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.eventually(func() bool { return strings.Contains(w.relay.logged(), `"event":"held"`) })
	if log := w.relay.logged(); strings.Contains(log, "wrongpw") || !strings.Contains(log, "roxy") {
		t.Errorf("the log shows the proxy's password, or does not say that it is the proxy:\n%s", tail(log))
	}
}
