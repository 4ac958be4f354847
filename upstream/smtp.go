package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// TokenSource gives an access token; rejected, if not "", is the token that the provider just refused.
type TokenSource interface {
	Token(ctx context.Context, rejected string) (string, error)
}

// Options say where a mailbox submits its mail and how. Zero durations and Connections take the default in brackets.
type Options struct {
	Address     string         // host:port; port 465 is TLS from the start, otherwise STARTTLS is required
	Mailbox     string         // who signs in: user= of XOAUTH2
	Account     string         // its name in the configuration, for advice
	Mechanism   string         // "xoauth2" (the default) or "oauthbearer"
	Hostname    string         // our name in EHLO; what is neither a dotted name nor an address literal is replaced
	RootCAs     *x509.CertPool // nil: the system's
	Connections int            // at most so many at once (3)

	DialTimeout      time.Duration // for each of connection, TLS handshake and greeting (10s)
	IdleTimeout      time.Duration // an unused connection is closed after so long (30s)
	CommandTimeout   time.Duration // for a reply, RFC 5321 §4.5.3.2 (5m)
	EndOfDataTimeout time.Duration // for the reply to the end of data, RFC 5321 §4.5.3.2.6 (10m)

	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: a net.Dialer
	Tokens TokenSource
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{
		{&o.DialTimeout, 10 * time.Second}, {&o.IdleTimeout, 30 * time.Second},
		{&o.CommandTimeout, 5 * time.Minute}, {&o.EndOfDataTimeout, 10 * time.Minute},
	} {
		if *d.of <= 0 {
			*d.of = d.is
		}
	}
	if o.Connections <= 0 {
		o.Connections = 3
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	o.Mechanism = strings.ToUpper(o.Mechanism)
	if o.Mechanism == "" {
		o.Mechanism = "XOAUTH2"
	}
	o.Hostname = helloName(o.Hostname)
	return o
}

// SMTP submits the mail of one mailbox. It may be used by many goroutines at once.
type SMTP struct {
	opts Options
	tls  *tls.Config
	pool pool

	mu      sync.Mutex
	refused string // the token of the last refusal: the next sign-in asks for a later one
	epoch   int    // grows with each refusal; connections of an earlier one are not used again

	life context.Context // ends with Close
	end  context.CancelFunc
}

// NewSMTP returns a transport that connects when its first message comes.
func NewSMTP(o Options) *SMTP {
	s := &SMTP{opts: o.withDefaults()}
	host, _, err := net.SplitHostPort(s.opts.Address)
	if err != nil {
		host = s.opts.Address // dialling will say what is wrong with it
	}
	s.tls = &tls.Config{
		ServerName: host, RootCAs: s.opts.RootCAs, MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(s.opts.Connections),
		// Full records from the start: the small first ones of Go would cut a flight into dozens.
		DynamicRecordSizingDisabled: true,
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.pool.limit = s.opts.Connections
	return s
}

// Deliver tries the message for its unsettled recipients. open is called once for each try and gives the text, which
// must have env.Size octets. When ctx ends before the end of data has been sent, nobody got the message (Stopped);
// after it, the reply is awaited all the same.
//
// A kept connection may turn out to be dead. While no reply has come the message is tried again at once, on a fresh
// one. If the whole of a small message had been written, the server may just have taken it and died: the courier would
// try it again a minute later in any case, so nothing is lost by doing it now, but the result says InDoubt.
func (s *SMTP) Deliver(ctx context.Context, env *mail.Envelope, open func() (io.ReadCloser, error)) mail.Result {
	d := newDelivery(env, open, s.opts)
	if d.settled() {
		return mail.Result{Outcomes: d.outcomes()}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(errClosed) })()
	c, err := s.pool.take(ctx)
	if err != nil {
		return mail.Result{Trouble: stopped(ctx)}
	}
	r, c := s.try(ctx, d, s.fit(c))
	s.give(c)
	return named(r, s.opts.Account)
}

// try sends the message over c, or over a new connection if c is nil, and returns the connection that is left.
func (s *SMTP) try(ctx context.Context, d *delivery, c *conn) (mail.Result, *conn) {
	var before mail.Result // of a kept connection that was dead
	for {
		kept := c != nil
		if !kept {
			var t *mail.Trouble
			if c, t = s.connect(ctx); t != nil {
				return orDoubt(before, mail.Result{Trouble: t}), nil
			}
		}
		heard := d.converse(ctx, c)
		r := heard.conclude(ctx)
		r.Connection, r.Reports = c.String(), c.caps.dsn
		if kept && heard.dead() && ctx.Err() == nil {
			c.cut()
			before, c = r, nil
			continue
		}
		return orDoubt(before, r), s.blame(c, r.Trouble, heard.keep)
	}
}

// orDoubt returns the result of a second try, or of the first if that one leaves a doubt which the second does not
// settle.
func orDoubt(first, second mail.Result) mail.Result {
	if first.InDoubt && second.Trouble != nil {
		return first
	}
	second.InDoubt = second.InDoubt || first.InDoubt
	return second
}

// errClosed is why a message that was under way when Close was called is not.
var errClosed = errors.New("the transport is closed")

// stopped is the trouble of a message that was given up before its end of data.
func stopped(ctx context.Context) *mail.Trouble {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &mail.Trouble{
			Kind: mail.Unreachable, Class: mail.ClassTransient,
			Cause: "the message could not be handed over within the time for one attempt",
			Fix:   "Nothing to do now: it is tried again. If it happens again, look at the speed of the line to the provider.",
		}
	}
	return &mail.Trouble{Kind: mail.Stopped, Class: mail.ClassTransient, Cause: "the attempt was stopped before the message was handed over"}
}

// Resize changes how many connections there may be at once: fewer, when the provider says that there are too many.
func (s *SMTP) Resize(connections int) { s.pool.resize(connections) }

// Close says QUIT on idle connections, cuts busy ones, and returns when its goroutines have ended.
func (s *SMTP) Close() error {
	s.pool.close()
	s.end()
	s.pool.watchers.Wait()
	return nil
}
