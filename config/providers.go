package config

import (
	"slices"
	"strings"
)

// provider is what is known of one: a new provider is one row of the table below and needs no other code.
type provider struct {
	name      string
	endpoints Endpoints
	tenant    string   // in place of a missing oauth.tenant; "" when it has to be given, or there is none
	flows     []string // that it has
	app       []string // scopes of SMTP, for an application
	delegated []string // scopes of SMTP, for a person
}

// entra says whether the provider signs in through Microsoft Entra ID, which has tenants.
func (p *provider) entra() bool { return p.endpoints.Authority != "" }

// custom says whether the file has to tell everything.
func (p *provider) custom() bool { return p.endpoints.SMTP == "" }

var (
	entraFlows  = []string{"client-certificate", "client-secret", "device-code", "browser", "managed-identity", "federated-token"}
	personFlows = []string{"device-code", "browser"}
)

// providers: the first one is the default. Exchange Online's applications ask for /.default of office365.com, people
// for SMTP.Send of office.com; one request names one resource (AADSTS700022), and openid and the like are none.
var providers = []provider{
	{
		name: "microsoft365",
		endpoints: Endpoints{SMTP: "smtp.office365.com:587", Authority: "https://login.microsoftonline.com",
			Graph: "https://graph.microsoft.com", SASL: "xoauth2"},
		flows:     entraFlows,
		app:       []string{"https://outlook.office365.com/.default"},
		delegated: delegated("https://outlook.office.com/SMTP.Send"),
	},
	{
		name: "microsoft365-gcc-high",
		endpoints: Endpoints{SMTP: "smtp.office365.us:587", Authority: "https://login.microsoftonline.us",
			Graph: "https://graph.microsoft.us", SASL: "xoauth2"},
		flows:     entraFlows,
		app:       []string{"https://outlook.office365.us/.default"},
		delegated: delegated("https://outlook.office365.us/SMTP.Send"),
	},
	{
		name: "microsoft365-dod", // its resource is not confirmed by Microsoft's pages; scopes can be set
		endpoints: Endpoints{SMTP: "outlook-dod.office365.us:587", Authority: "https://login.microsoftonline.us",
			Graph: "https://dod-graph.microsoft.us", SASL: "xoauth2"},
		flows:     entraFlows,
		app:       []string{"https://outlook.office365.us/.default"},
		delegated: delegated("https://outlook.office365.us/SMTP.Send"),
	},
	{
		name: "microsoft365-china",
		endpoints: Endpoints{SMTP: "smtp.partner.outlook.cn:587", Authority: "https://login.partner.microsoftonline.cn",
			Graph: "https://microsoftgraph.chinacloudapi.cn", SASL: "xoauth2"},
		flows:     entraFlows,
		app:       []string{"https://partner.outlook.cn/.default"},
		delegated: delegated("https://partner.outlook.cn/SMTP.Send"),
	},
	{
		name: "outlook.com",
		endpoints: Endpoints{SMTP: "smtp-mail.outlook.com:587", Authority: "https://login.microsoftonline.com",
			Graph: "https://graph.microsoft.com", SASL: "xoauth2"},
		tenant:    "consumers",
		flows:     personFlows,
		delegated: delegated("https://outlook.office.com/SMTP.Send"),
	},
	{
		name: "google", // its device flow does not give the scope of mail
		endpoints: Endpoints{SMTP: "smtp.gmail.com:587", Authorize: "https://accounts.google.com/o/oauth2/v2/auth",
			Token: "https://oauth2.googleapis.com/token", SASL: "xoauth2"},
		flows:     []string{"browser", "service-account"},
		app:       []string{"https://mail.google.com/"},
		delegated: []string{"https://mail.google.com/", "openid", "https://www.googleapis.com/auth/userinfo.email"}, // the last two name who signs in
	},
	{
		name:      "custom",
		endpoints: Endpoints{SASL: "xoauth2"},
		flows:     []string{"client-certificate", "client-secret", "device-code", "browser"},
	},
}

// delegated adds what a refresh token needs.
func delegated(scope string) []string { return []string{scope, "offline_access", "openid", "profile"} }

func providerNamed(name string) *provider {
	for i := range providers {
		if providers[i].name == name {
			return &providers[i]
		}
	}
	return nil
}

// providerNames are the names of those that a predicate takes.
func providerNames(take func(*provider) bool) (names []string) {
	for i := range providers {
		if take(&providers[i]) {
			names = append(names, providers[i].name)
		}
	}
	return names
}

// fill adds to an account what its provider's row knows and the file does not say.
func (p *provider) fill(a *Account) {
	e, row := &a.Endpoints, p.endpoints
	for _, f := range []struct{ have, known *string }{
		{&e.SMTP, &row.SMTP}, {&e.Authority, &row.Authority}, {&e.Graph, &row.Graph},
		{&e.Token, &row.Token}, {&e.Authorize, &row.Authorize}, {&e.Device, &row.Device}, {&e.SASL, &row.SASL},
		{&a.OAuth.Tenant, &p.tenant},
	} {
		if *f.have == "" {
			*f.have = *f.known
		}
	}
	e.Authority, e.Graph = strings.TrimRight(e.Authority, "/"), strings.TrimRight(e.Graph, "/")
	if f := flowNamed(a.OAuth.Flow); len(a.OAuth.Scopes) == 0 && f != nil {
		a.OAuth.Scopes = slices.Clone(p.delegated)
		if f.app {
			a.OAuth.Scopes = slices.Clone(p.app)
		}
	}
}
