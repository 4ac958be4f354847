package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// Matcher says whether an address matches a list of patterns.
type Matcher interface{ Match(address string) bool }

// Listener is one address that clients connect to, with its policy.
type Listener struct {
	Address     string         // host:port, or unix:/path
	Security    string         // none, starttls or tls
	Auth        string         // none, optional or required
	Allow       []netip.Prefix // who may send without AUTH
	Senders     Matcher        // for mail without AUTH
	Recipients  Matcher
	AnySender   bool // Senders lets everything through, so the header need not be read
	Account     string
	WaitFor     string        // upstream or spool
	WaitTimeout time.Duration // how long a client is made to wait for the provider's verdict

	MaxMessageSize           int64 // octets, after dot-unstuffing, inclusive
	MaxRecipients            int
	MaxConnections           int
	MaxConnectionsPerAddress int
	IdleTimeout              time.Duration
	TLS                      *tls.Config // for starttls and tls
}

// Listener words, as the configuration has them.
const (
	SecurityNone     = "none"
	SecurityStartTLS = "starttls"
	SecurityTLS      = "tls"
	AuthNone         = "none"
	AuthOptional     = "optional"
	AuthRequired     = "required"
	WaitUpstream     = "upstream"
)

// User may sign in.
type User struct {
	Name         string
	PasswordHash string // bcrypt; or
	Password     func() (string, error)
	Account      string
	Senders      Matcher
	AnySender    bool
}

// Query is what a message is routed by.
type Query struct {
	Listener, ListenerAccount string
	User, UserAccount         string
	Client                    netip.Addr
	Sender                    string
	Recipients                []string
}

// Options say what a relay works with.
type Options struct {
	Hostname  string // in the banner and in Received
	Listeners []Listener
	Users     []User
	Route     func(Query) string // the account of a message
	Spool     spool.Spool
	Log       zerolog.Logger
}

// Relay is the front door.
type Relay struct {
	opts    Options
	users   *users
	servers []*server
	// stop ends what waits for a verdict; a client whose message is durable then gets its 250.
	stop context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// server is one listener and the go-smtp server behind it.
type server struct {
	policy   *Listener
	smtp     *smtp.Server
	listener *listener
}

// Open binds every listener. Nothing is served until Serve.
func Open(o Options) (*Relay, error) {
	r := &Relay{opts: o, users: newUsers(o.Users)}
	r.stop, r.end = context.WithCancel(context.Background())
	for i := range o.Listeners {
		l := &o.Listeners[i]
		inner, err := listen(l.Address)
		if err != nil {
			r.closeListeners()
			return nil, err
		}
		r.servers = append(r.servers, r.newServer(l, inner))
	}
	return r, nil
}

// listen binds one address and says in words why it cannot.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		removeStaleSocket(path)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; is another mail server using it? Change `address` in [[listener]], or stop that server", address, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// removeStaleSocket takes away a socket that a killed relay left: nobody answers there.
func removeStaleSocket(path string) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
}

func (r *Relay) newServer(l *Listener, inner net.Listener) *server {
	s := &server{policy: l, listener: newListener(inner, l, r.opts.Hostname, r.opts.Log)}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return r.newSession(s, c), nil
	}))
	s.smtp.Domain = r.opts.Hostname
	s.smtp.MaxRecipients = l.MaxRecipients
	s.smtp.MaxMessageBytes = l.MaxMessageSize + 1 // the library refuses a message of just its limit
	s.smtp.MaxLineLength = maxLine
	s.smtp.EnableSMTPUTF8, s.smtp.EnableDSN = true, true
	s.smtp.AllowInsecureAuth = l.Security == SecurityNone
	s.smtp.ErrorLog = log.New(libraryLog{r.opts.Log}, "", 0)
	if l.Security == SecurityStartTLS {
		s.smtp.TLSConfig = l.TLS
	}
	return s
}

// maxLine bounds a line, in commands and in DATA: long HTML lines pass, an endless one does not.
const maxLine = 1<<20 + 2

// libraryLog passes the library's own words on, as a field, so that they cannot forge a line.
type libraryLog struct{ zerolog.Logger }

func (l libraryLog) Write(p []byte) (int, error) {
	l.Debug().Str("detail", strings.TrimSpace(string(p))).Msg("smtp library")
	return len(p), nil
}

// Addresses returns the addresses bound, in the order of the listeners: with port 0 they are found here.
func (r *Relay) Addresses() []string {
	var list []string
	for _, s := range r.servers {
		list = append(list, s.listener.Addr().String())
	}
	return list
}

// Serve begins to answer clients and returns.
func (r *Relay) Serve() {
	for _, s := range r.servers {
		l := net.Listener(s.listener)
		if s.policy.Security == SecurityTLS {
			l = tls.NewListener(l, s.policy.TLS) // outermost, or the library does not see that it is TLS
		}
		r.wg.Go(func() {
			if err := s.smtp.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
				r.opts.Log.Error().Err(err).Str("listener", s.policy.Address).Msg("a listener has failed")
			}
		})
	}
}

// Close stops accepting, tells idle clients 421, lets running transactions finish until ctx ends, and then cuts them.
func (r *Relay) Close(ctx context.Context) {
	r.end()
	r.closeListeners()
	for _, s := range r.servers {
		r.wg.Go(func() {
			if s.smtp.Shutdown(ctx) != nil {
				s.listener.cutAll()
			}
			s.listener.wait()
		})
	}
	r.wg.Wait()
}

func (r *Relay) closeListeners() {
	for _, s := range r.servers {
		s.listener.Close()
		s.listener.drain()
	}
}
