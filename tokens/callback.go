package tokens

import (
	"context"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// callback is the page on this machine that a browser comes back to. Whatever else asks for something there (a
// favicon, a preconnect, a port scan, an old tab) gets an answer and changes nothing: only the state, which nobody
// else can know, ends the waiting.
type callback struct {
	redirect string // as registered, with the port
	state    string
	server   *http.Server
	back     chan comeback // one slot: the first is the one
	served   chan struct{} // closed when the listeners are
}

// comeback is what the browser brought. answer tells it how that ended.
type comeback struct {
	values url.Values
	answer func(SignedIn, error)
}

// openCallback listens on the redirect address.
func openCallback(redirect, state string) (*callback, error) {
	u, err := url.Parse(first(redirect, "http://localhost"))
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return nil, misconfigured("The address to come back to is no loopback address", "1. It must be http://localhost or http://127.0.0.1, with or without port and path.", err)
	}
	listeners, err := listenLoopback(u)
	if err != nil {
		return nil, misconfigured("The page for the browser cannot be opened on this machine", "1. Free the port, or let any be used. 2. Or sign in by --device-code.", err)
	}
	c := &callback{redirect: u.String(), state: state, back: make(chan comeback, 1), served: make(chan struct{})}
	c.server = &http.Server{
		Handler: c, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	go c.serve(listeners)
	return c, nil
}

// listenLoopback listens on u's port of 127.0.0.1, and of ::1 where there is one and the name may mean it; it puts
// the port into u.
func listenLoopback(u *url.URL) ([]net.Listener, error) {
	host, port := u.Hostname(), u.Port()
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%q is not this machine alone", host)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, first(port, "0")))
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{ln}
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	if u.Hostname() == "localhost" {
		if six, err := net.Listen("tcp", net.JoinHostPort("::1", port)); err == nil {
			listeners = append(listeners, six)
		}
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return listeners, nil
}

func (c *callback) serve(listeners []net.Listener) {
	defer close(c.served)
	done := make(chan struct{})
	for _, ln := range listeners {
		go func() { c.server.Serve(ln); done <- struct{}{} }()
	}
	for range listeners {
		<-done
	}
}

// close lets the last page reach the browser, and takes the server down.
func (c *callback) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond) // browsers preconnect, and say nothing
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
	<-c.served
}

// wait returns what the browser, or a person with its address bar, brought.
func (c *callback) wait(ctx context.Context, o SignInOptions) (comeback, error) {
	pasted := o.Pasted
	for {
		select {
		case back := <-c.back:
			return back, nil
		case text, open := <-pasted:
			if !open {
				pasted = nil
				continue
			}
			values, why := c.pasted(text)
			if why == "" {
				return comeback{values, func(SignedIn, error) {}}, nil
			}
			if o.Mispasted != nil {
				o.Mispasted(why)
			}
		case <-ctx.Done():
			return comeback{}, context.Cause(ctx)
		}
	}
}

// pasted reads what a person pasted, or says why it is not what is waited for. Nothing of it is repeated: it may hold
// the code.
func (c *callback) pasted(text string) (values url.Values, why string) {
	const copyAll = "copy the whole of the browser's address bar, from http:// to its end"
	u, err := url.Parse(strings.Trim(strings.TrimSpace(text), `"'<>`))
	if err != nil {
		return nil, "That is no address: " + copyAll + "."
	}
	values = u.Query()
	state, ended := values.Get("state"), values.Get("code") != "" || values.Get("error") != ""
	switch {
	case state == c.state && ended:
		return values, ""
	case state == c.state:
		return nil, "That is the address to open. Paste the one that the browser shows after the sign-in; it begins with " + c.redirect + " and has code= in it."
	case ended && state == "":
		return nil, "The end of that address is missing: " + copyAll + "."
	case ended:
		return nil, "That address belongs to another sign-in, perhaps an earlier try, or its end is missing: open the address above, sign in there, then " + copyAll + "."
	}
	return nil, "That is not where the sign-in ends, which is an address that begins with " + c.redirect + " and has code= in it: " + copyAll + "."
}

// ours says whether these are the values of the sign-in that is waited for.
func (c *callback) ours(values url.Values) (url.Values, bool) {
	return values, values.Get("state") == c.state && (values.Get("code") != "" || values.Get("error") != "")
}

// ServeHTTP implements http.Handler.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address has the code
	h.Set("Content-Security-Policy", "default-src 'none'")
	values, ours := c.ours(r.URL.Query())
	if r.Method != http.MethodGet || !ours {
		w.WriteHeader(http.StatusNotFound)
		writePage(w, "Nothing here", "This page waits for a sign-in to mailbearer. It still does; the sign-in is in another window.")
		return
	}
	ended := make(chan error, 1)
	var in SignedIn
	select {
	case c.back <- comeback{values, func(s SignedIn, err error) { in = s; ended <- err }}:
	default:
		writePage(w, "Signed in already", "This window can be closed.")
		return
	}
	select {
	case err := <-ended:
		writeOutcome(w, in, err)
	case <-r.Context().Done():
	case <-time.After(fetchTimeout):
		writePage(w, "Please look at the terminal", "The sign-in service takes its time.")
	}
}

func writeOutcome(w http.ResponseWriter, in SignedIn, err error) {
	if err == nil {
		writePage(w, "Signed in", "mailbearer can send mail as "+first(in.User, "this user")+". This window can be closed.")
		return
	}
	p := asProblem(err, Other)
	w.WriteHeader(http.StatusBadRequest)
	writePage(w, "The sign-in did not succeed", p.Error()+". "+p.Fix)
}

func writePage(w http.ResponseWriter, title, text string) {
	fmt.Fprintf(w, "<!doctype html><html lang=en><meta charset=utf-8><title>%[1]s</title><h1>%[1]s</h1><p>%[2]s</p></html>\n",
		html.EscapeString(title), html.EscapeString(text))
}
