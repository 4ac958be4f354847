package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

func newCertificate(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "certificate",
		Short: "Make, show or export the certificate that an account signs in with",
		Long: `The certificate is how the relay proves to Microsoft that it is your app. The private key stays on this machine; its
public half, the .cer file, is uploaded to the app registration. A certificate is better than a secret: nothing that
could be copied from a screen or a mail is enough to send as your mailbox.`,
	}
	c.AddCommand(newCertificateNew(e), newCertificateShow(e), newCertificateExport(e))
	return c
}

// certificateArgs choose an account, by argument or flag.
type certificateArgs struct{ account string }

func (a *certificateArgs) flags(c *cobra.Command) {
	c.Args = cobra.MaximumNArgs(1)
	c.Flags().StringVar(&a.account, "account", "", "the `account`; not needed when the configuration has only one")
}

// choose loads the configuration and the account that is meant.
func (a *certificateArgs) choose(e *env, args []string) (*config.Config, *config.Account, error) {
	name := a.account
	if len(args) > 0 {
		if name != "" && name != args[0] {
			return nil, nil, fmt.Errorf("%q and --account %q are two accounts: name one", args[0], name)
		}
		name = args[0]
	}
	cfg, err := loadConfig(e.config, config.AllowMissingCertificate)
	if err != nil {
		return nil, nil, err
	}
	acc, err := oneAccount(cfg, name)
	return cfg, acc, err
}

// oneAccount is the account of that name, or the only one.
func oneAccount(cfg *config.Config, name string) (*config.Account, error) {
	if name == "" && len(cfg.Accounts) == 1 {
		return &cfg.Accounts[0], nil
	}
	if a := cfg.Account(name); a != nil {
		return a, nil
	}
	var names []string
	for _, a := range cfg.Accounts {
		names = append(names, a.Name)
	}
	if name == "" {
		return nil, fmt.Errorf("which account? Name one with --account: %s has %s", cfg.File, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%s has no account %q; it has %s", cfg.File, name, strings.Join(names, ", "))
}

// existingCertificate loads the account's certificate, or says how to come by one; where is the --config of that command.
func existingCertificate(a *config.Account, where string) (*appCertificate, error) {
	if a.OAuth.Certificate == "" {
		return nil, noCertificate(a)
	}
	load := certificateOf(a.OAuth)
	certs, key, err := load()
	if errors.Is(err, os.ErrNotExist) {
		return nil, fail("account %s has no certificate yet (%w); make one: mailbearer certificate new --account %s%s", a.Name, err, a.Name, where)
	}
	if err != nil {
		return nil, failure{err}
	}
	return &appCertificate{cert: certs[0], chain: certs[1:], key: key}, nil
}

func noCertificate(a *config.Account) error {
	return fmt.Errorf(`account %s signs in with flow = %q, and no certificate is set for it; to use one, set flow = "client-certificate" in the configuration`,
		a.Name, a.OAuth.Flow)
}

// certificatePassword is what protects the account's PFX, or nothing.
func certificatePassword(o config.OAuth) (string, error) {
	if !o.CertificatePassword.IsSet() {
		return "", nil
	}
	return o.CertificatePassword.Reveal()
}

func newCertificateShow(e *env) *cobra.Command {
	var which certificateArgs
	var asJSON bool
	c := &cobra.Command{
		Use:   "show [ACCOUNT]",
		Short: "Show the certificate's thumbprints and how long it is valid",
		RunE: func(_ *cobra.Command, args []string) error {
			_, acc, err := which.choose(e, args)
			if err != nil {
				return err
			}
			have, err := existingCertificate(acc, e.configFlag())
			if err != nil {
				return err
			}
			view := viewCertificate(acc, have)
			view.where = e.configFlag()
			if asJSON {
				return writeJSON(e.stdout, view)
			}
			return view.print(e.stdout)
		},
	}
	which.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	return c
}
