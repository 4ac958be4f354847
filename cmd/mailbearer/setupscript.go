package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

// scriptOptions are the flags of `setup-script`.
type scriptOptions struct {
	account, format, clientID, appName string
	sendAs                             []string
	classic                            bool
	config                             string // what --config was, when it was given
}

// scriptFormats are the languages, and the page of each.
var scriptFormats = map[string]string{"powershell": "setup.ps1.tmpl", "azcli": "setup.sh.tmpl"}

func newSetupScript(e *env) *cobra.Command {
	var o scriptOptions
	c := &cobra.Command{
		Use:   "setup-script",
		Short: "Print a script that sets Microsoft 365 up for an account",
		Long: `Print a script that does everything at Microsoft that an account needs: register the app, give it the certificate, let it
send as the account's mailbox and as no other, and allow that mailbox to send by SMTP. Each step looks first whether it is
done already, so the script can be run again at any time. Nothing in it is secret; read it before you run it.

  mailbearer setup-script --account default > setup.ps1                    then in PowerShell: ./setup.ps1
  mailbearer setup-script --account default --format azcli > setup.sh      then: bash setup.sh

The app gets a role of Exchange that reaches only the mailboxes of its accounts (RBAC for Applications). --classic uses
the permission in Entra instead, for organizations that do not have those roles.

Without a client_id in the configuration the script registers an app. If one of that name is there already, which neither
this script nor this relay has made, it asks first: it may be another relay's.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			o.config = e.config
			return printScript(e, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.account, "account", "", "the `account`; not needed when the configuration has only one")
	f.StringVar(&o.format, "format", "powershell", "`powershell`, or azcli: bash with the Azure CLI (and PowerShell for the Exchange part)")
	f.BoolVar(&o.classic, "classic", false, "grant the permission in Entra instead of the role in Exchange")
	f.StringVar(&o.clientID, "client-id", "", "the app's or identity's client `ID`, when the configuration has none")
	f.StringVar(&o.appName, "app-name", "", "the `name` of the app in Entra (default mailbearer and the account's name)")
	f.StringArrayVar(&o.sendAs, "send-as", nil, "an `address` of a device that the mailbox is to get the right Send As for; may be repeated")
	return c
}

func printScript(e *env, o scriptOptions) error {
	file, known := scriptFormats[o.format]
	if !known {
		return fmt.Errorf("--format %q is not known: use powershell or azcli", o.format)
	}
	cfg, err := loadConfig(e.config, config.AllowMissingCertificate)
	if err != nil {
		return err
	}
	acc, err := oneAccount(cfg, o.account)
	if err != nil {
		return err
	}
	s, err := newScript(cfg, acc, o)
	if err != nil {
		return err
	}
	if err := s.certificate(e, acc); err != nil {
		return err
	}
	s.Mark = "mailbearer-" + rand.Text()
	s.federation()
	return page(file, e.stdout, s)
}

// certificate puts the public half of the account's certificate into the script.
func (s *script) certificate(e *env, acc *config.Account) error {
	if acc.OAuth.Certificate == "" {
		return nil
	}
	have, err := existingCertificate(acc, e.configFlag())
	if err != nil {
		return err
	}
	s.setCertificate(have.cert)
	return nil
}

// newScript finds out what an account needs at Microsoft.
func newScript(cfg *config.Config, acc *config.Account, o scriptOptions) (*script, error) {
	cloud, known := clouds[acc.Provider]
	if !known {
		return nil, fmt.Errorf("account %s has provider = %q; a script exists for Microsoft 365 only. docs/setup.md has the steps for others, where there are any", acc.Name, acc.Provider)
	}
	s := &script{
		Account: acc.Name, AppName: o.appName, Mailboxes: sameApp(cfg, acc), Tenant: acc.OAuth.Tenant, ClientID: acc.OAuth.ClientID,
		Flow: acc.OAuth.Flow, Transport: acc.Transport, Classic: o.classic, Cloud: cloud,
		SendAs: o.sendAs, TokenFile: acc.OAuth.TokenFile, ConfigFlag: configFlag(o.config),
		Confidential: acc.OAuth.Certificate != "" || acc.OAuth.ClientSecret.IsSet(), Config: cfg.File,
	}
	if s.AppName == "" {
		s.AppName = "mailbearer " + acc.Name
	}
	if s.ClientID == noClientID {
		s.ClientID = ""
	}
	if o.clientID != "" {
		s.ClientID = o.clientID
	}
	if isShared(s.Tenant) {
		s.Tenant = ""
	}
	if err := checkSendAs(o.sendAs); err != nil {
		return nil, err
	}
	switch {
	case o.clientID != "" && !isID(o.clientID):
		return nil, fmt.Errorf("--client-id: %s", notAnID(o.clientID))
	case s.Delegated() && s.Classic:
		return nil, errors.New("--classic is for apps that sign in by themselves; here a person does, and no permission of that kind is needed: leave it out")
	case !s.Registers() && s.ClientID == "":
		return nil, errors.New("which managed identity? Give its client ID with --client-id: Azure portal > the identity > Overview, " +
			"or for a machine's own identity Entra > Enterprise applications > Managed identities > Application ID")
	}
	return s, nil
}

// isShared knows the tenants that stand for all organizations.
func isShared(tenant string) bool {
	t := strings.ToLower(tenant)
	return t == "common" || t == "organizations" || t == "consumers"
}

// sameApp are the mailboxes of all accounts that go by the same app in the same way: it has one scope in Exchange, and
// that has to hold them all. Accounts that a person signs in for need no scope, and those of another transport another
// role: what they need their own script adds.
func sameApp(cfg *config.Config, acc *config.Account) []string {
	mailboxes := []string{acc.Mailbox}
	if acc.OAuth.ClientID == noClientID || acc.OAuth.ClientID == "" && acc.OAuth.Flow != "managed-identity" { // a machine has one of its own
		return mailboxes
	}
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		same := strings.EqualFold(a.OAuth.ClientID, acc.OAuth.ClientID) && strings.EqualFold(a.OAuth.Tenant, acc.OAuth.Tenant) &&
			a.Provider == acc.Provider && a.Transport == acc.Transport && isDelegated(a.OAuth.Flow) == isDelegated(acc.OAuth.Flow)
		if same && !slices.ContainsFunc(mailboxes, func(m string) bool { return strings.EqualFold(m, a.Mailbox) }) {
			mailboxes = append(mailboxes, a.Mailbox)
		}
	}
	return mailboxes
}

// isDelegated says whether a person signs in.
func isDelegated(flow string) bool { return flow == "device-code" || flow == "browser" }
