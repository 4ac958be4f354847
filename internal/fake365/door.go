package fake365

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// door is a port that can be shut and opened again where it was. Calls of open and shut are made one at a time.
type door interface {
	open() error
	shut() error
}

// port listens on loopback, at first anywhere, later where it was.
type port struct {
	mu sync.Mutex
	at string
}

func (p *port) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ln, err := net.Listen("tcp", orElse(p.at, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("fake365: %w", err)
	}
	p.at = ln.Addr().String()
	return ln, nil
}

func (p *port) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// smtpDoor owns the goroutine of its listener and one for each connection.
type smtpDoor struct {
	port
	serve func(context.Context, net.Conn) // returns soon after the context ends and the connection is closed

	stop  func() // nil while shut
	wg    sync.WaitGroup
	conns map[net.Conn]bool // open ones, guarded by port.mu; nil while shut
}

func (d *smtpDoor) open() error {
	if d.stop != nil {
		return nil
	}
	ln, err := d.listen()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.conns = map[net.Conn]bool{}
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = func() { cancel(); ln.Close(); d.cut() }
	d.wg.Go(func() { d.accept(ctx, ln) })
	return nil
}

// accept gives each connection its goroutine.
func (d *smtpDoor) accept(ctx context.Context, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() {
			defer d.forget(conn)
			if d.admit(conn) {
				d.serve(ctx, conn)
			}
		})
	}
}

// admit says whether the door is still open for a connection that has just been accepted.
func (d *smtpDoor) admit(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		return false
	}
	d.conns[conn] = true
	return true
}

func (d *smtpDoor) forget(conn net.Conn) {
	conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, conn)
}

// cut closes all connections, and so ends whatever waits for their clients.
func (d *smtpDoor) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.Close()
	}
	d.conns = nil
}

func (d *smtpDoor) shut() error {
	if d.stop == nil {
		return nil
	}
	d.stop()
	d.stop = nil
	d.wg.Wait()
	return nil
}

// httpsDoor owns an http.Server, which cannot be used twice and is therefore made at each opening.
type httpsDoor struct {
	port
	handler http.Handler
	config  *tls.Config

	server *http.Server // nil while shut
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (d *httpsDoor) open() error {
	if d.server != nil {
		return nil
	}
	ln, err := d.listen()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Handler:           d.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		ConnState:         d.watch(ctx),
		ErrorLog:          log.New(io.Discard, "", 0), // a client that distrusts the CA is the client's news
		// HTTP/2 stays off, so that a dropped request is a cut connection and not a reset stream.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	d.server, d.cancel = server, cancel
	d.wg.Go(func() { server.Serve(tls.NewListener(ln, d.config)) })
	return nil
}

// watch counts the goroutines of connections, which net/http does not join by itself. New connections are made by
// the goroutine of Serve, which is counted too, so the count never grows from zero while shut waits. A connection
// that was accepted while the server closed is unknown to http.Server.Close; it is closed here.
func (d *httpsDoor) watch(ctx context.Context) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			d.wg.Add(1)
			if ctx.Err() != nil {
				conn.Close()
			}
		case http.StateClosed, http.StateHijacked:
			d.wg.Done()
		}
	}
}

func (d *httpsDoor) shut() error {
	if d.server == nil {
		return nil
	}
	d.cancel()
	err := d.server.Close()
	d.server = nil
	d.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
