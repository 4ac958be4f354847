package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/upstream"
)

// checkMail goes to the mail server: one connection, which is closed as soon as the answer to AUTH is there.
func (c *checkup) checkMail(ctx context.Context) {
	if c.mail.blocked != "" {
		c.skip(c.mail.blocked, "tcp", "tls", "auth")
		return
	}
	conn := c.tunnel
	if conn == nil {
		if conn = c.checkTCP(ctx); conn == nil {
			c.skip("there is no connection to the mail server (tcp)", "tls", "auth")
			return
		}
	}
	heard := &firstWords{Conn: conn}
	d := &conversation{c: c, heard: heard}
	trouble := upstream.Probe(ctx, upstream.Options{
		Address: c.account.Endpoints.SMTP, Mailbox: c.account.Mailbox, Mechanism: c.account.Endpoints.SASL, Hostname: c.hello,
		RootCAs: c.roots, DialTimeout: c.limit(checkReplyLimit), CommandTimeout: checkReplyLimit,
		Dial:   func(context.Context, string, string) (net.Conn, error) { return heard, nil },
		Tokens: d,
	}, func(s upstream.Step) { d.steps = append(d.steps, s) })
	if d.asked {
		c.tell(c.auth(ctx, d.last(), trouble))
		return
	}
	c.tell(c.tlsFailed(ctx, d))
	c.skip("there is no encrypted connection to the mail server (tls)", "auth")
}

// checkTCP connects to the mail server.
func (c *checkup) checkTCP(ctx context.Context) net.Conn {
	ctx, cancel := context.WithTimeout(ctx, c.limit(checkDialLimit))
	defer cancel()
	dial := c.dial
	if dial == nil {
		dial = c.way.dial
	}
	s := checkStep{Step: "tcp", Status: checkOK, Tried: "connect to " + c.mail.address}
	conn, err := dial(ctx, "tcp", c.mail.address)
	if err != nil {
		cause, fix := c.noConnection(err)
		c.tell(failedStep(s, err.Error(), cause, fix))
		return nil
	}
	s.Said = "connected to " + conn.RemoteAddr().String()
	c.tell(s)
	return conn
}

func (c *checkup) noConnection(err error) (cause, fix string) {
	_, port, _ := net.SplitHostPort(c.mail.address)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("Port %s of %s does not answer: it is probably blocked by a firewall, or by the internet or cloud provider of this machine", port, c.mail.host),
			fmt.Sprintf("1. Allow outgoing TCP to %s in the firewall. 2. Many internet and cloud providers block mail ports: ask them to open %s, or use a proxy (network.proxy). 3. On Windows this shows the same without mailbearer: Test-NetConnection %s -Port %s", c.mail.address, port, c.mail.host, port)
	}
	e, ok := diagnose.Lookup(diagnose.SourceNetwork, err.Error())
	if !ok {
		return "The mail server cannot be reached", "1. Check this machine's network. 2. Check endpoints.smtp."
	}
	if e.ID == "net-connection-refused" {
		return fmt.Sprintf("%s refuses connections on port %s: nothing listens there, or a firewall answers in its place", capital(c.mail.name), port),
			"1. Check host and port in endpoints.smtp; Microsoft 365 is smtp.office365.com:587, and without the key that is used. 2. Check whether a firewall on this machine or in front of it refuses the port."
	}
	return e.Title, e.Fix
}

// conversation is what is said to the mail server. As a source of tokens it is asked when the connection is encrypted,
// and waits for the other way.
type conversation struct {
	c     *checkup
	heard *firstWords
	steps []upstream.Step
	asked bool // AUTH was reached
}

func (d *conversation) last() upstream.Step { return d.steps[len(d.steps)-1] }

// Token implements upstream.TokenSource.
func (d *conversation) Token(ctx context.Context, _ string) (string, error) {
	d.asked = true
	d.c.tell(d.encrypted())
	select {
	case <-d.c.signedIn:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if d.c.access == "" {
		return "", errNoToken
	}
	return d.c.access, nil
}

var errNoToken = errors.New("there is no token")

func (d *conversation) encrypted() checkStep {
	s := checkStep{Step: "tls", Status: checkOK, Tried: d.tried()}
	for _, step := range d.steps {
		if step.Stage == upstream.StageGreeting {
			s.Said = step.Said
		}
	}
	if state := d.last().TLS; state != nil && len(state.PeerCertificates) > 0 {
		s.Tried += fmt.Sprintf(" (%s, certificate from %s)", tls.VersionName(state.Version), nameOf(state.PeerCertificates[0].Issuer.Organization, state.PeerCertificates[0].Issuer.CommonName))
	}
	return s
}

func (d *conversation) tried() string {
	if strings.HasSuffix(d.c.mail.address, ":465") {
		return "TLS, greeting and EHLO " + d.c.hello
	}
	return "greeting, EHLO " + d.c.hello + ", STARTTLS"
}

func nameOf(organization []string, common string) string {
	if len(organization) > 0 {
		return organization[0]
	}
	return common
}

// tlsFailed explains why no encrypted connection came about.
func (c *checkup) tlsFailed(ctx context.Context, d *conversation) checkStep {
	last := d.last()
	s := failedStep(checkStep{Step: "tls", Tried: d.tried()}, last.Said, last.Trouble.Cause, last.Trouble.Fix)
	var untrusted *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return c.outOfTime(ctx, s)
	case errors.As(last.Err, &untrusted):
		s.Cause, s.Fix = c.interception(s.Cause, s.Fix, untrusted)
	case last.Reply.Code >= 400: // the server's own refusal, explained already
	case last.Stage == upstream.StageGreeting && c.speaksTLS(ctx):
		s.Cause = fmt.Sprintf("%s expects TLS from the first byte, and mailbearer begins there with the SMTP greeting and STARTTLS: TLS from the start is used on port 465 only", c.mail.address)
		s.Fix = "1. Set endpoints.smtp to the provider's port with STARTTLS (Microsoft 365: smtp.office365.com:587), or, where the provider offers it, to port 465. 2. If that is what it is set to, a firewall or proxy answers in the mail server's place: exclude this connection."
	case errors.Is(last.Err, upstream.ErrNotSMTP), isPlain(last.Err):
		s.Said = d.heard.words()
		s.Cause = fmt.Sprintf("What answers at %s does not speak SMTP the way this port should", c.mail.address)
		s.Fix = "1. Check host and port in endpoints.smtp: port 587 with STARTTLS; 465 is for TLS from the start. 2. If they are right, a firewall, a proxy or a captive portal answers in the mail server's place."
	case last.Stage == upstream.StageGreeting:
		s.Cause = fmt.Sprintf("%s takes the connection and says nothing: it is not a mail server, or something on the way swallows what it says", c.mail.address)
		s.Fix = "1. Check host and port in endpoints.smtp; Microsoft 365 is smtp.office365.com:587. 2. A firewall or antivirus that inspects mail may be in the way: exclude this connection."
	}
	return s
}

// isPlain says whether a TLS handshake was answered without TLS.
func isPlain(err error) bool {
	var r tls.RecordHeaderError
	return errors.As(err, &r)
}

// outOfTime is the word for a step that the end of the check cut off.
func (c *checkup) outOfTime(ctx context.Context, s checkStep) checkStep {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return failedStep(s, s.Said, "The answer did not come within the time of this check", "1. Run it again. 2. If it stays so, a firewall slows the connection down or holds it up.")
	}
	return checkStep{Step: s.Step, Status: checkSkipped, Cause: "interrupted"}
}

// interception adds to a certificate's trouble who issued it, and what has to be done with a ca_file that is there.
func (c *checkup) interception(cause, fix string, untrusted *tls.CertificateVerificationError) (string, string) {
	if issuer := issuerOf(untrusted); issuer != "" {
		cause += fmt.Sprintf("; the certificate was issued by %q", issuer)
	}
	if file := c.account.Endpoints.CAFile; file != "" {
		fix += fmt.Sprintf(" The ca_file %s is read already, and this certificate comes from none of its authorities: put the right one into it.", file)
	}
	return cause, fix
}

func issuerOf(e *tls.CertificateVerificationError) string {
	if e == nil || len(e.UnverifiedCertificates) == 0 {
		return ""
	}
	name := e.UnverifiedCertificates[0].Issuer
	return nameOf(nil, name.CommonName+withComma(name.Organization))
}

func withComma(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", " + strings.Join(list, ", ")
}

// speaksTLS tries a handshake on a second connection, to tell a port with TLS from the start from one that is silent.
func (c *checkup) speaksTLS(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.limit(3*time.Second))
	defer cancel()
	conn, err := c.way.dial(ctx, "tcp", c.mail.address)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{ServerName: c.mail.host, RootCAs: c.roots, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	return err == nil || errors.As(err, &invalid) || errors.As(err, &unknown)
}

// auth explains the answer to AUTH.
func (c *checkup) auth(ctx context.Context, last upstream.Step, t *mail.Trouble) checkStep {
	s := checkStep{Step: "auth", Status: checkOK, Tried: fmt.Sprintf("AUTH %s as %s", strings.ToUpper(c.account.Endpoints.SASL), c.account.Mailbox), Said: last.Said}
	switch {
	case t == nil:
		c.claims.passed()
		return s
	case errors.Is(last.Err, errNoToken) || c.access == "":
		return checkStep{Step: "auth", Status: checkSkipped, Cause: c.noToken}
	case ctx.Err() != nil:
		return c.outOfTime(ctx, s)
	case t.Kind == mail.Throttled:
		s.Status, s.Cause = checkSkipped, "busy: "+c.whoIsBusy()+"; the sign-in was not refused"
		s.Fix = "Nothing is wrong. To see the sign-in pass, run it again when less mail is under way."
		return s
	}
	s = failedStep(s, last.Said, t.Cause, t.Fix)
	if c.refusedToken(t) {
		s.Cause, s.Fix = c.claims.blame(s.Cause, s.Fix)
	}
	return s
}

// refusedToken says whether the server did not accept the token for the mailbox, rather than sign-in as such.
func (c *checkup) refusedToken(t *mail.Trouble) bool {
	return t.Kind == mail.Refused && t.Reply.Code == 535 && t.Reply.Enhanced != "5.7.139"
}

// firstWords is a connection that keeps the first line it heard.
type firstWords struct {
	net.Conn
	mu   sync.Mutex
	text []byte
}

func (f *firstWords) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if room := 200 - len(f.text); room > 0 {
		f.text = append(f.text, p[:min(n, room)]...)
	}
	return n, err
}

func (f *firstWords) words() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	line, _, _ := strings.Cut(string(f.text), "\n")
	return strings.TrimSpace(safe(strings.ToValidUTF8(line, "?")))
}
