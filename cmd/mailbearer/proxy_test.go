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

const proxyPassword = "password-of-the-proxy"

func relayTunnel(c net.Conn, tunnels *atomic.Int32) {
	defer c.Close()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	_, password, _ := (&http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}).BasicAuth()
	if password != "pw" && password != proxyPassword {
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if req.Method != http.MethodConnect {
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
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

// throughProxy configures a proxy of a kind, with a password, that does only what serve does.
func throughProxy(kind string, serve func(net.Conn)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		w.change("[log]", "[network]\ndial_timeout = \"500ms\"\nproxy = \""+kind+"://u:wrongpw@"+local(t, serve)+"\"\n[log]")
	}
}

func answersConnect(status string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 1024))
		io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
		silent(c)
	}
}

// socksAnswers answers each flight of a SOCKS client with the next of the answers.
func socksAnswers(answers ...string) func(net.Conn) {
	return func(c net.Conn) {
		for _, answer := range answers {
			if _, err := c.Read(make([]byte, 1024)); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
		silent(c)
	}
}
