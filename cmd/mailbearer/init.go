package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

// initOptions are what `init` does besides asking.
type initOptions struct {
	answers
	silent bool // --non-interactive
	force  bool
	secret string // typed in, never a flag: command lines are seen by others
}

func newInit(e *env) *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Ask a few questions, write the configuration, and say what to do at Microsoft",
		Long: `Ask a few questions, write a configuration (mailbearer.toml here, or --config FILE), make the app's certificate, and print
the steps in Entra and Exchange for exactly these answers. What a flag answers is not asked; with --non-interactive nothing is:

  mailbearer init --non-interactive --mailbox noreply@example.com --network 192.168.1.0/24`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return initialize(e, newPrompts(c.Context(), e.stdin), o) },
	}
	f := c.Flags()
	f.StringVar(&o.Mailbox, "mailbox", "", "the `address` of the mailbox that sends")
	f.StringVar(&o.Tenant, "tenant", "", "a `domain` of your organization, or its Directory (tenant) ID; default the mailbox's domain")
	f.StringVar(&o.ClientID, "client-id", "", "the app's Application (client) `ID`; may be left for later")
	f.StringVar(&o.Flow, "flow", "", "how to sign in: a `word` of client-certificate (recommended), client-secret, device-code, browser; for a mailbox of outlook.com only the last two, of Google only the last")
	f.StringArrayVar(&o.Networks, "network", nil, "a `network` of devices, as 192.168.1.0/24; may be repeated; without one only this machine may send")
	f.StringVar(&o.OwnFrom, "own-from", "", "whether devices have senders of their own: `no`, rewrite (the mailbox takes their place) or send-as (it may send as them)")
	f.StringArrayVar(&o.SendAs, "send-as", nil, "for --own-from send-as: an `address` of a device; may be repeated")
	f.StringVar(&o.Account, "account", "default", "a `name` for the account")
	f.StringVar(&o.Provider, "provider", "", "`who` has the mailbox: microsoft365, microsoft365-gcc-high, microsoft365-dod, microsoft365-china, outlook.com or google; default what the mailbox's domain says, else microsoft365")
	f.StringVar(&o.DataDir, "data-dir", "", "the `directory` for waiting mail and keys")
	f.StringVar(&o.SecretFile, "secret-file", "", "for client-secret and Google: the `file` with the secret; made when it is not there")
	f.BoolVar(&o.silent, "non-interactive", false, "ask nothing: take flags and defaults")
	f.BoolVar(&o.force, "force", false, "overwrite a configuration that exists; keys and secrets are never overwritten")
	return c
}

func initialize(e *env, in *prompts, o initOptions) error {
	path := e.config
	if path == "" {
		path = places[0]
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if exists(path) && !o.force {
		return fail("%s is there already: edit it, name another with --config FILE, or overwrite it with --force", path)
	}
	if err := o.ask(e, in, path); err != nil {
		return err
	}
	made, err := o.write(path)
	if err != nil {
		return err
	}
	return o.report(e, path, made)
}

// write makes secret or certificate first and the configuration last, so that what it names is there when it appears.
// Everything that can be refused is refused before: then nothing has been made. It returns the certificate where the
// flow has one.
func (o *initOptions) write(path string) (*appCertificate, error) {
	text, err := o.render()
	if err != nil {
		return nil, err
	}
	if err := o.validate(path, text); err != nil {
		return nil, err
	}
	made, err := o.writeCredential()
	if err != nil {
		return nil, err
	}
	if o.force {
		err = replaceDurably(path, text)
	} else {
		err = createDurably(path, text)
	}
	if err != nil {
		return nil, failure{err}
	}
	return made, nil
}

// validate holds the text against the configuration's rules, with the secret or the certificate that is there already;
// one that is still to be made cannot be wrong. Then it looks whether everything can be written where it is to go.
func (o *initOptions) validate(path string, text []byte) error {
	credential, options := o.credential(), []config.Option(nil)
	if !exists(credential) {
		options = []config.Option{config.AllowMissingCertificate, config.WithoutSecrets}
	}
	if _, err := config.Parse(path, text, options...); err != nil {
		return err
	}
	if o.Flow == "client-certificate" && exists(credential) {
		if _, err := existingCertificate(o.account(), ""); err != nil {
			return err
		}
	}
	for _, file := range []string{path, credential, filepath.Join(o.DataDir, "spool.db")} {
		if file != "" && !exists(file) && !writable(filepath.Dir(file)) {
			return fail("this user may not write %s: run this as the relay's user, or as root, or choose another place with --config, --data-dir or --secret-file", filepath.Dir(file))
		}
	}
	return nil
}

// credential is the file of what the flow signs in with; "" where a person does.
func (o *initOptions) credential() string {
	switch {
	case o.UsesSecret():
		return o.SecretFile
	case o.Flow == "client-certificate":
		return o.Certificate()
	}
	return ""
}

func (o *initOptions) account() *config.Account {
	return &config.Account{Name: o.Account, OAuth: config.OAuth{Flow: o.Flow, Certificate: o.Certificate()}}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// notASecret stands in the secret's file until there is one. The provider refuses it with a code that `explain` knows.
const notASecret = "put-the-Value-of-the-client-secret-here"

// writeCredential makes what the flow signs in with, unless it is there.
func (o *initOptions) writeCredential() (*appCertificate, error) {
	switch {
	case o.UsesSecret():
		secret := o.secret
		if secret == "" {
			secret = notASecret
		}
		if err := createDurably(o.SecretFile, []byte(secret+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, failure{err}
		}
	case o.Flow == "client-certificate":
		if exists(o.Certificate()) {
			return existingCertificate(o.account(), "")
		}
		made, err := makeCertificate("mailbearer "+o.Account, 3072, 730)
		if err != nil {
			return nil, err
		}
		files, err := filesFor(o.Certificate(), "")
		if err != nil {
			return nil, err
		}
		if err := files.write(made, ""); err != nil {
			return nil, failure{err}
		}
		return made, nil
	}
	return nil, nil
}

// report says what was made, and what is to be done at Microsoft.
func (o *initOptions) report(e *env, path string, made *appCertificate) error {
	fmt.Fprintf(e.stdout, "\n%s is written.\n", path)
	if made != nil {
		fmt.Fprintf(e.stdout, "\n  private key   %s\n  to upload     %s\n", o.Certificate(), publicBeside(o.Certificate()))
		viewCertificate(o.account(), made).printFacts(e.stdout)
	}
	s, err := stepsOf(o.answers, path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(e.stdout, "\n", s)
	return err
}
