package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/tokens"
)

// How long an account may take, and the parts of it. Those that run one after the other come to less than the whole;
// where a slow peer makes them longer, the whole ends them.
const (
	checkBudget     = 18 * time.Second
	checkDNSLimit   = 5 * time.Second
	checkDialLimit  = 7 * time.Second
	checkReplyLimit = 5 * time.Second // of the mail server, for each reply and for the handshake
	checkClockLimit = 5 * time.Second
	checkTokenLimit = 10 * time.Second
)

// checksAtOnce is how many accounts are checked at a time.
const checksAtOnce = 4

// checkup is the check of one account. After the configuration, DNS and a proxy it goes two ways at once: to the
// sign-in service (clock, token, claims) and to the mail server (tcp, tls), which meet in auth. So one time-out does not
// hide what else is known.
type checkup struct {
	account config.Account
	dataDir string
	hello   string // our name in EHLO
	network config.Network

	warnings []time.Duration // before a credential ends

	// Tests replace these.
	now    func() time.Time
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: by way

	steps map[string]chan checkStep // one slot each

	// Made by the config step.
	way         way
	roots       *x509.CertPool
	flow        tokens.Flow
	store       *tokens.Store
	expires     time.Time // of the credential, when known
	mail, login *checkTarget

	tunnel   net.Conn      // to the mail server by a proxy, made by the proxy step
	signedIn chan struct{} // closed when access or noToken is known
	access   string        // the token
	noToken  string        // why there is none
	claims   claimsReport
	tenantID string // of the configured tenant, as the sign-in service knows it; "" when it did not say
	issuer   string // who issued the sign-in service's certificate, when it is not trusted
}

// checkTarget is one of the two hosts that have to be reached.
type checkTarget struct {
	name    string // for people
	key     string // of the configuration
	host    string
	address string   // host:port
	proxy   *url.URL // nil: directly
	blocked string   // why it is known that it cannot be reached
	unknown bool     // DNS says that there is no such name
}

// startCheckups begins the check of each account. Their steps come in order; nobody has to wait for them.
func startCheckups(ctx context.Context, cfg *config.Config, accounts []config.Account) []*checkup {
	name := cfg.Relay.Hostname
	if name == "" {
		name = hostname(ctx)
	}
	places := make(chan struct{}, checksAtOnce)
	var list []*checkup
	for _, a := range accounts {
		c := newCheckup(cfg, a, name)
		list = append(list, c)
		go func() { // ends within checkBudget, and nothing is left waiting for it: every step has its slot
			places <- struct{}{}
			defer func() { <-places }()
			c.run(ctx)
		}()
	}
	return list
}

func newCheckup(cfg *config.Config, a config.Account, hello string) *checkup {
	c := &checkup{
		account: a, dataDir: cfg.Relay.DataDir, hello: hello, network: cfg.Network, warnings: cfg.Alerts.ExpiryWarning, now: time.Now,
		lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		steps: map[string]chan checkStep{}, signedIn: make(chan struct{}),
	}
	for _, name := range checkOrder {
		c.steps[name] = make(chan checkStep, 1)
	}
	c.tell(c.checkConfig(cfg))
	return c
}

// run goes the whole way. Every step has been told of when it returns.
func (c *checkup) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	defer c.skip("nothing is known of it: the check ended before", checkOrder...)
	if c.flow == nil {
		c.skip("the configuration has to be right first", checkOrder[1:]...)
		return
	}
	c.skip(c.whyNoGraph(), "graph")
	c.checkDNS(ctx)
	c.checkProxy(ctx)
	var ways sync.WaitGroup
	ways.Go(func() {
		defer close(c.signedIn)
		c.checkSignIn(ctx)
	})
	ways.Go(func() { c.checkMail(ctx) })
	ways.Wait()
	c.tell(c.claims.step) // AUTH may have shown what to make of it
}

func (c *checkup) whyNoGraph() string {
	if c.account.Transport == "smtp" {
		return `not used: this account sends by SMTP (transport = "smtp")`
	}
	return "this version does not check Microsoft Graph"
}

// tell fills a step's slot. The first word counts.
func (c *checkup) tell(s checkStep) {
	if s.Step == "" {
		return
	}
	s.Fix = diagnose.ForAccount(strings.ReplaceAll(s.Fix, "<mailbox>", c.account.Mailbox), c.account.Name) // commands can be pasted as they stand
	select {
	case c.steps[s.Step] <- s:
	default:
	}
}

func (c *checkup) skip(why string, steps ...string) {
	for _, step := range steps {
		c.tell(checkStep{Step: step, Status: checkSkipped, Cause: why})
	}
}

// limit is a time-out of ours, unless the configured one is shorter.
func (c *checkup) limit(d time.Duration) time.Duration {
	if t := c.network.DialTimeout; t > 0 {
		d = min(d, t)
	}
	return d
}

// checkConfig translates the account as `run` does, so that what run would stumble over is found.
func (c *checkup) checkConfig(cfg *config.Config) checkStep {
	s := checkStep{Step: "config", Status: checkOK, Tried: "read " + cfg.File}
	if err := c.open(cfg); err != nil {
		s.Status, s.Cause = checkFailed, err.Error()
		s.Fix = fmt.Sprintf("Correct the account %q in %s: the file or value named here cannot be used.", c.account.Name, cfg.File)
		return s
	}
	s.Cause = strings.Join(cfg.Warnings, "\n")
	if cause, fix := olderConfig(cfg); cause != "" {
		s.Cause, s.Fix = strings.TrimPrefix(s.Cause+"\n"+cause, "\n"), fix
	}
	return s
}

func (c *checkup) open(cfg *config.Config) (err error) {
	if err := filledIn(c.account); err != nil {
		return err
	}
	if c.way, err = openWay(c.network); err != nil {
		return err
	}
	if c.roots, err = rootCAs(c.account.Endpoints.CAFile); err != nil {
		return err
	}
	if c.mail, c.login, err = c.targets(); err != nil {
		return err
	}
	if c.store, err = tokens.OpenStore(storeOptions(cfg)); err != nil {
		return err
	}
	c.flow, c.expires, err = openFlow(c.account, c.roots, c.way, c.store)
	return err
}

// filledIn looks for what `init` has left to be filled in: the provider's words about it would be of no help.
func filledIn(a config.Account) error {
	where := map[tokens.Vendor][2]string{
		tokens.Microsoft: {"It stands in Entra under App registrations > your app > Overview",
			"put the secret's Value (not its Secret ID) there. It is made in Entra under App registrations > your app > Certificates & secrets > New client secret"},
		tokens.Google: {"It stands in the Google Cloud console under APIs & Services > Credentials",
			"put the client secret there. It stands in the Google Cloud console under APIs & Services > Credentials > your client"},
	}[vendorOf(a)]
	if a.OAuth.ClientID == noClientID {
		return errors.New("oauth.client_id is still the zeros that init wrote: put the app's client ID there. " + where[0])
	}
	if secret, err := a.OAuth.ClientSecret.Reveal(); a.OAuth.ClientSecret.IsSet() && err == nil && secret == notASecret {
		return errors.New("the file of oauth.client_secret still has the words that init wrote: " + where[1])
	}
	return nil
}

// targets are the hosts of the account and how they are reached.
func (c *checkup) targets() (mailServer, signIn *checkTarget, err error) {
	e := c.account.Endpoints
	host, _, err := net.SplitHostPort(e.SMTP)
	if err != nil {
		return nil, nil, fmt.Errorf("endpoints.smtp %q must be host:port: %w", e.SMTP, err)
	}
	mailServer = &checkTarget{name: "the mail server", key: "endpoints.smtp", host: host, address: e.SMTP}
	if mailServer.proxy, err = c.way.choose(&url.URL{Scheme: "https", Host: e.SMTP}); err != nil {
		return nil, nil, fmt.Errorf("the proxy cannot be used: %w", err)
	}
	u, key, err := c.signInURL()
	if err != nil || u == nil {
		return mailServer, nil, err
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	signIn = &checkTarget{name: "the sign-in service", key: key, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port)}
	if signIn.proxy, err = c.way.choose(u); err != nil {
		return nil, nil, fmt.Errorf("the proxy cannot be used: %w", err)
	}
	return mailServer, signIn, nil
}

// signInURL is where the sign-in service is: nil for flows that have none on the network.
func (c *checkup) signInURL() (*url.URL, string, error) {
	e, key, base := c.account.Endpoints, "endpoints.authority", c.account.Endpoints.Authority
	if base == "" {
		key, base = "endpoints.token", e.Token
	}
	if base == "" || c.account.OAuth.Flow == "managed-identity" {
		return nil, "", nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, "", fmt.Errorf("%s %q is not a URL: %w", key, base, err)
	}
	return u, key, nil
}

// reachable are the targets that are reached without a proxy.
func (c *checkup) reachable() []*checkTarget {
	return slices.DeleteFunc([]*checkTarget{c.mail, c.login}, func(t *checkTarget) bool { return t == nil || t.proxy != nil })
}
