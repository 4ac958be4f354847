package main

import (
	"crypto/x509"
	"encoding/base64"
	"time"
)

// script is what the pages under templates are filled with. Every value in them is quoted for the page's language.
type script struct {
	Account, AppName, Config string
	Mailboxes                []string
	Tenant, ClientID         string // "" when not known yet
	Flow, Transport          string
	Classic                  bool
	Confidential             bool // a person's sign-in, by an app that has a credential too
	Cloud                    cloud

	SendAs     []string // addresses of devices that the first mailbox may send as
	Mark       string   // put on an app that the script registers, so that this script knows it again
	ConfigFlag string   // " --config FILE", when it was given

	TokenFile                 string // of a federated token; what is in it follows, "" when it cannot be read here
	Issuer, Subject, Audience string

	Certificate, CertificateName      string // base64 of the public half; "" without one
	CertificateFrom, CertificateUntil string
}

// cloud is what Microsoft's tools call one of its clouds.
type cloud struct{ Graph, Exchange, Azure, GraphURL, Portal string }

var clouds = map[string]cloud{
	"microsoft365":          {"Global", "O365Default", "AzureCloud", "https://graph.microsoft.com", "entra.microsoft.com"},
	"microsoft365-gcc-high": {"USGov", "O365USGovGCCHigh", "AzureUSGovernment", "https://graph.microsoft.us", "entra.microsoft.us"},
	"microsoft365-dod":      {"USGovDoD", "O365USGovDoD", "AzureUSGovernment", "https://dod-graph.microsoft.us", "entra.microsoft.us"},
	"microsoft365-china":    {"China", "O365China", "AzureChinaCloud", "https://microsoftgraph.chinacloudapi.cn", "portal.azure.cn"},
}

// permission is one of Entra's, by its name: its ID is looked up when the script runs.
type permission struct{ API, APIName, Name string }

// The applications that own permissions have the same IDs in every organization.
var (
	sendAsApp = permission{"00000002-0000-0ff1-ce00-000000000000", "Office 365 Exchange Online", "SMTP.SendAsApp"}
	mailSend  = permission{"00000003-0000-0000-c000-000000000000", "Microsoft Graph", "Mail.Send"}
)

func (s *script) Delegated() bool { return isDelegated(s.Flow) }
func (s *script) AppOnly() bool   { return !s.Delegated() }
func (s *script) SMTP() bool      { return s.Transport != "graph" }
func (s *script) Graph() bool     { return s.Transport != "smtp" }

// Registers says whether there is an app to register: a managed identity is made with its machine.
func (s *script) Registers() bool      { return s.Flow != "managed-identity" }
func (s *script) NoRegistration() bool { return !s.Registers() && s.Classic }

// Permissions are those of an app in Entra, for the classic way.
func (s *script) Permissions() (list []permission) {
	if s.SMTP() {
		list = append(list, sendAsApp)
	}
	if s.Graph() {
		list = append(list, mailSend)
	}
	return list
}

// Roles are what the app may do, in the words of Exchange's roles (after "Application ") or, for a person's sign-in, of
// Microsoft Graph's delegated permissions.
func (s *script) Roles() (roles []string) {
	if s.Delegated() && s.SMTP() {
		roles = append(roles, "SMTP.Send")
	} else if s.SMTP() {
		roles = append(roles, "SMTP.SendAsApp")
	}
	if s.Graph() {
		roles = append(roles, "Mail.Send")
	}
	return roles
}

// Customizes says whether the script makes what an organization must first be opened for.
func (s *script) Customizes() bool { return s.AppOnly() && (!s.Classic || s.Graph()) }

// platform is where Entra keeps the addresses that a browser may return to.
type platform struct {
	Name, Key, Flag string
	Redirects       []string
}

func (s *script) Platform() platform {
	const local = "http://localhost" // of any port, which Entra does not compare
	if s.Confidential {
		return platform{"Web", "web", "--web-redirect-uris", []string{"https://localhost:4443/authorize", local}}
	}
	return platform{"Mobile and desktop applications", "publicClient", "--public-client-redirect-uris", []string{local, "https://localhost:4443/authorize"}}
}

// ByHand are the steps that a script cannot do, since they would print a secret or depend on somebody else's system.
func (s *script) ByHand() []string {
	switch s.Flow {
	case "client-secret":
		return []string{"in Entra, App registrations > " + s.AppName + " > Certificates & secrets > New client secret. Copy the Value, not the Secret ID, " +
			"into the file that client_secret names in mailbearer.toml."}
	case "federated-token":
		if s.Issuer == "" {
			return s.federateByHand()
		}
	}
	return nil
}

// Next is the relay's own next command.
func (s *script) Next() string {
	if s.Delegated() {
		return "mailbearer authorize " + s.Account + s.ConfigFlag
	}
	return "mailbearer check --account " + s.Account + s.ConfigFlag
}

func (s *script) setCertificate(c *x509.Certificate) {
	s.Certificate, s.CertificateName = base64.StdEncoding.EncodeToString(c.Raw), c.Subject.String()
	s.CertificateFrom, s.CertificateUntil = c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339)
}
