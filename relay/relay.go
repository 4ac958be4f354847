package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	Address     string         // host:port, unix:/path or systemd:NAME
	Security    string         // none, starttls or tls
	Auth        string         // none, optional or required
	Allow       []netip.Prefix // who may send without AUTH
	Senders     Matcher        // for mail without AUTH
	Recipients  Matcher
	AnySender   bool // Senders lets everything through, so the header need not be read
	Account     string
	WaitFor     string        // upstream or spool
	WaitTimeout time.Duration // how long a client is made to wait for the provider's verdict

	ProxyFrom []netip.Prefix // who must send a PROXY header, whose address is then the client's

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
	Route     func(Query) string     // the account of a message
	Accounts  map[string]AccountInfo // by name; without one its mail is sent on as whoever it is from
	Aliases   map[string][]string    // [aliases]: local names in lower case, or "*", to addresses
	Spool     spool.Spool
	Log       zerolog.Logger
	Seen      func(Visit) // each connection that said something, when it has ended; may be nil
	Stored    func(error) // each message that was made durable (nil), or could not be; may be nil
}

// Relay is the front door.
type Relay struct {
	opts     Options
	users    *users
	throttle *throttle
	servers  []*server
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
	served   chan struct{} // closed when nothing is accepted any more
}

// Open binds every listener. Nothing is served until Serve.
func Open(o Options) (*Relay, error) {
	r := newRelay(o)
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

func newRelay(o Options) *Relay {
	r := &Relay{opts: o, users: newUsers(o.Users, o.Log), throttle: newThrottle()}
	r.stop, r.end = context.WithCancel(context.Background())
	return r
}

func (r *Relay) newServer(l *Listener, inner net.Listener) *server {
	s := &server{policy: l, served: make(chan struct{}), listener: newListener(inner, l, r.opts.Hostname, r.opts.Log)}
	s.listener.seen = r.opts.Seen
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return r.newSession(s, c), nil
	}))
	s.smtp.Domain = r.opts.Hostname
	s.smtp.MaxRecipients = l.MaxRecipients
	s.smtp.MaxMessageBytes = l.MaxMessageSize // for EHLO and MAIL's SIZE; the text itself does not pass the library
	s.smtp.MaxLineLength = 0                  // the layer has limits of its own (input.go, body.go)
	s.smtp.EnableSMTPUTF8, s.smtp.EnableDSN = true, true
	s.smtp.AllowInsecureAuth = true // TLS is the layer's, and whether AUTH needs it the session's (auth.go)
	s.smtp.ErrorLog = libraryLog{r.opts.Log}
	return s
}

// libraryLog passes the library's own words on, as a field, so that they cannot forge a line. It recovers from a panic
// and says so here: that is a fault of ours, and somebody has to see it.
type libraryLog struct{ zerolog.Logger }

// Printf implements smtp.Logger.
func (l libraryLog) Printf(format string, args ...any) {
	if strings.HasPrefix(format, "panic") {
		l.Error().Str("detail", fmt.Sprintf(format, args...)).
			Str("fix", "Please report this as an issue, with this line.").Msg("a connection met a fault in mailbearer and was ended; mail that was accepted is safe")
		return
	}
	l.Debug().Str("detail", strings.TrimSpace(fmt.Sprintf(format, args...))).Msg("smtp library")
}

// Println implements smtp.Logger.
func (l libraryLog) Println(args ...any) { l.Printf("%s", fmt.Sprint(args...)) }

// Addresses returns the addresses bound, in the order of the listeners and as one would configure them: with port 0 the
// port is found here.
func (r *Relay) Addresses() []string {
	var list []string
	for _, s := range r.servers {
		address := s.policy.Address
		if !strings.HasPrefix(address, unixPrefix) && !strings.HasPrefix(address, systemdPrefix) {
			address = s.listener.Addr().String()
		}
		list = append(list, address)
	}
	return list
}

// Serve begins to answer clients and returns.
func (r *Relay) Serve() {
	for _, s := range r.servers {
		r.wg.Go(func() {
			defer close(s.served)
			if err := s.smtp.Serve(s.listener); err != nil && !errors.Is(err, net.ErrClosed) {
				r.opts.Log.Error().Err(err).Str("listener", s.policy.Address).Msg("a listener has failed")
			}
		})
	}
}

// Exchange makes a relay with other options take over the sockets of r, which serves already: whoever connects from
// now on meets the new one, and no connection is refused in between. Its listeners must be on addresses of r. r goes
// on with the connections it has, by the policy they began with, until it is closed.
func (r *Relay) Exchange(o Options) (*Relay, error) {
	next, taken := newRelay(o), []*server(nil)
	next.throttle = r.throttle // a new configuration gives nobody new guesses
	for i := range o.Listeners {
		l := &o.Listeners[i]
		old := r.server(l.Address, taken)
		if old == nil {
			next.end()
			return nil, fmt.Errorf("no listener is bound to %s", l.Address)
		}
		taken = append(taken, old)
		next.servers = append(next.servers, next.newServer(l, old.listener.Listener))
	}
	for _, s := range taken {
		s.listener.yield()
	}
	for _, s := range taken {
		<-s.served
		s.listener.acceptBy(time.Time{})
	}
	next.Serve()
	return next, nil
}

// server finds a listener by its address, besides those taken: with port 0 there may be several.
func (r *Relay) server(address string, taken []*server) *server {
	for _, s := range r.servers {
		if s.policy.Address == address && !slices.Contains(taken, s) {
			return s
		}
	}
	return nil
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

func (r *Relay) stored(err error) {
	if r.opts.Stored != nil {
		r.opts.Stored(err)
	}
}
