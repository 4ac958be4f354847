package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Account is one upstream mailbox and how mail is submitted as it.
type Account struct {
	Name      string    `toml:"name" required:"yes" check:"name"` // also in file names
	Mailbox   string    `toml:"mailbox" required:"yes" check:"address"`
	Provider  string    `toml:"provider"` // a row of providers.go
	Transport string    `toml:"transport" values:"smtp|graph|auto"`
	Domains   []string  `toml:"domains" check:"domain"` // in lower case; default the mailbox's
	From      string    `toml:"from" values:"keep|rewrite"`
	OAuth     OAuth     `toml:"oauth" required:"yes"`
	Limits    Limits    `toml:"limits"`
	Endpoints Endpoints `toml:"endpoints"`
}

// OAuth is how the account gets its tokens. Which keys belong to which flow: flows.go.
type OAuth struct {
	Flow                string    `toml:"flow" required:"yes" values:"client-certificate|client-secret|device-code|browser|managed-identity|federated-token|service-account"`
	Tenant              string    `toml:"tenant" check:"tenant"` // id or domain
	ClientID            string    `toml:"client_id"`
	ClientSecret        Secret    `toml:"client_secret"`
	ClientSecretExpires time.Time `toml:"client_secret_expires"`      // zero when unknown; only for warnings
	Certificate         string    `toml:"certificate" file:"any"`     // PFX or PEM; default data_dir/NAME.pfx where the flow needs one
	CertificateKey      string    `toml:"certificate_key" file:"any"` // PEM, when not inside Certificate
	CertificatePassword Secret    `toml:"certificate_password"`
	TokenFile           string    `toml:"token_file" file:"exists"`
	ServiceAccountFile  string    `toml:"service_account_file" file:"exists"`
	Scopes              []string  `toml:"scopes" check:"word"` // of SMTP; default the provider's for the flow
}

// Limits are the provider's own, kept here so that they are never met.
type Limits struct {
	Connections          int `toml:"connections" default:"3" min:"1"`
	MessagesPerMinute    int `toml:"messages_per_minute" default:"30" min:"0"` // in any 60s; 0: not limited
	RecipientsPerDay     int `toml:"recipients_per_day" default:"10000" min:"1"`
	RecipientsPerMessage int `toml:"recipients_per_message" default:"500" min:"1"`
}

// Endpoints are where the provider is: by default its row in providers.go.
type Endpoints struct {
	SMTP      string `toml:"smtp" check:"endpoint"` // host:port; STARTTLS unless the port is 465
	Authority string `toml:"authority" check:"url"` // base URL without tenant and without final slash
	Graph     string `toml:"graph" check:"url"`     // base URL without version and without final slash
	Token     string `toml:"token" check:"url"`
	Authorize string `toml:"authorize" check:"url"`
	Device    string `toml:"device" check:"url"`
	Redirect  string `toml:"redirect" check:"loopback"` // where a browser comes back to after a sign-in; default http://localhost, any port
	Issuer    string `toml:"issuer" check:"url"`        // as the provider writes itself; default the token endpoint for signed proofs
	SASL      string `toml:"sasl" values:"xoauth2|oauthbearer"`
	CAFile    string `toml:"ca_file" file:"exists"` // PEM, trusted besides the system's
}

func (r *reader) accounts(root *node, c *Config) {
	if len(c.Accounts) == 0 {
		r.mistake(root.lineOf("account"), "account", "is missing: at least one [[account]] is needed, the mailbox that sends")
	}
	names := make(map[string]bool)
	for i := range c.Accounts {
		a, n := &c.Accounts[i], root.get("account").item(i)
		r.unique(names, strings.ToLower(a.Name), n, "account", "name") // names are file names, on Windows too
		if len(a.Domains) == 0 {
			a.Domains = []string{a.Mailbox[strings.LastIndexByte(a.Mailbox, '@')+1:]}
		}
		for j, domain := range a.Domains {
			a.Domains[j] = strings.ToLower(domain)
		}
		r.account(c, a, n)
	}
}

func (r *reader) account(c *Config, a *Account, n *node) {
	if a.Provider == "" {
		a.Provider = providers[0].name
	}
	p := providerNamed(a.Provider)
	if p == nil {
		all := providerNames(func(*provider) bool { return true })
		r.err(n.lineOf("provider"), "account.provider",
			quote(a.Provider)+" is not known: it must be "+orList(all)+suggest(a.Provider, all))
		return
	}
	if a.Transport != "smtp" && !p.entra() {
		r.mistake(n.lineOf("transport"), "account.transport", "%q needs Microsoft Graph, which %s does not have: use \"smtp\"", a.Transport, p.name)
	}
	r.flow(a, p, n)
	r.endpoints(a, p, n)
	p.fill(a)
	r.certificate(c, a, n.get("oauth"))
	held(r.err, c, a, n.get("oauth"), "account.oauth", oauthRules)
	held(r.warn, c, a, n.get("oauth"), "account.oauth", oauthWarnings)
}

// flow holds the keys of [account.oauth] against the table of flows.
func (r *reader) flow(a *Account, p *provider, n *node) {
	f, o := flowNamed(a.OAuth.Flow), n.get("oauth")
	if f == nil || o == nil {
		return // said already
	}
	if !slices.Contains(p.flows, f.name) {
		r.mistake(o.lineOf("flow"), "account.oauth.flow", "provider %q does not have %q: use %s", p.name, f.name, orList(p.flows))
		return
	}
	for _, key := range f.needs {
		if key == "tenant" && (p.tenant != "" || !p.entra()) {
			continue
		}
		if v := o.get(key); v == nil || v.scalar == "" {
			r.mistake(o.lineOf(key), "account.oauth."+key, "is missing: flow = %q needs it", f.name)
		}
	}
	for _, s := range specs(reflect.TypeFor[OAuth](), "account.oauth") {
		if o.has(s.name()) && !f.takes(s.name()) {
			r.mistake(o.lineOf(s.name()), s.key, "does not belong to flow = %q, but to %s: remove it, or change flow",
				f.name, orList(flowsTaking(s.name())))
		}
	}
}

// endpoints holds the keys of [account.endpoints] against the provider and the flow.
func (r *reader) endpoints(a *Account, p *provider, n *node) {
	e := n.get("endpoints")
	if p.custom() {
		needed := func(key, by string) {
			if v := e.get(key); v == nil || v.scalar == "" {
				r.mistake(n.lineOf("endpoints"), "account.endpoints."+key, `is missing: provider = "custom"%s needs it`, by)
			}
		}
		needed("smtp", "")
		needed("token", "")
		if page := map[string]string{"device-code": "device", "browser": "authorize"}[a.OAuth.Flow]; page != "" {
			needed(page, fmt.Sprintf(" with flow = %q", a.OAuth.Flow))
		}
	}
	of := map[bool][]string{true: {"authority", "graph"}, false: {"token", "authorize", "device", "issuer"}}
	for _, key := range of[!p.entra()] {
		if e.has(key) {
			others := providerNames(func(q *provider) bool { return q.entra() != p.entra() })
			r.mistake(e.lineOf(key), "account.endpoints."+key, "does not belong to provider = %q, but to %s", p.name, orList(others))
		}
	}
	if f := flowNamed(a.OAuth.Flow); f != nil && f.app && e.has("redirect") {
		r.mistake(e.lineOf("redirect"), "account.endpoints.redirect", `does not belong to flow = %q, in which nobody signs in with a browser, but to "browser": remove it`, f.name)
	}
}

// certificate gives the flow that cannot do without one its default, and looks whether the files are there.
func (r *reader) certificate(c *Config, a *Account, n *node) {
	o := &a.OAuth
	if o.Certificate == "" && o.Flow == "client-certificate" && a.Name != "" {
		o.Certificate = defaultCertificate(c.Relay.DataDir, a.Name)
	}
	if r.missingCertificate {
		return
	}
	for _, file := range []struct{ key, path string }{{"certificate", o.Certificate}, {"certificate_key", o.CertificateKey}} {
		if f := flowNamed(o.Flow); file.path == "" || f == nil || !f.takes(file.key) {
			continue
		}
		if problem := missingFile(file.path); problem != "" {
			r.mistake(n.lineOf(file.key), "account.oauth."+file.key, `%s; make one with "mailbearer certificate new --account %s"`, problem, a.Name)
		}
	}
}

// manyTenants are the names that stand for all tenants; only people can sign in there.
var manyTenants = []string{"common", "organizations", "consumers"}

var oauthRules = []rule[Account]{
	{"tenant", func(_ *Config, a *Account, n *node) string {
		f, p := flowNamed(a.OAuth.Flow), providerNamed(a.Provider)
		switch {
		case n.has("tenant") && !p.entra():
			return "does not belong to provider = " + quote(p.name) + ", which has no tenants: remove it"
		case f != nil && f.app && slices.Contains(manyTenants, strings.ToLower(a.OAuth.Tenant)):
			return quote(a.OAuth.Tenant) + ` stands for all tenants: an application needs the id of its own, or its domain as in "contoso.onmicrosoft.com"`
		}
		return ""
	}},
	{"client_secret", func(_ *Config, a *Account, n *node) string {
		f := flowNamed(a.OAuth.Flow)
		if f != nil && f.takes("client_secret") && f.takes("certificate") && n.has("client_secret") && n.has("certificate") {
			return "stands beside certificate: an app proves who it is by one of them; keep the one that is registered at the provider, and remove the other"
		}
		return ""
	}},
}

var oauthWarnings = []rule[Account]{
	{"client_id", func(_ *Config, a *Account, n *node) string {
		if providerNamed(a.Provider).entra() && n.has("client_id") && !looksLikeID(a.OAuth.ClientID) {
			return `does not look like an "Application (client) ID" of Entra, which has the form 00000000-0000-0000-0000-000000000000`
		}
		return ""
	}},
	{"client_secret", func(_ *Config, a *Account, _ *node) string {
		secret, err := a.OAuth.ClientSecret.Reveal()
		if err == nil && providerNamed(a.Provider).entra() && looksLikeID(secret) {
			return `looks like the "Secret ID": Entra wants the "Value", which it shows only once, when the secret is made`
		}
		return ""
	}},
	{"scopes", func(_ *Config, a *Account, _ *node) string {
		f, p := flowNamed(a.OAuth.Flow), providerNamed(a.Provider)
		if f != nil && !f.app && p.custom() && len(a.OAuth.Scopes) == 0 {
			return "is missing: the provider decides by itself what the sign-in is good for, which is often not sending mail, and may end it within the hour; " +
				`write the scope for SMTP from the provider's documentation, and what it wants for a refresh token, often "offline_access"`
		}
		return ""
	}},
}
