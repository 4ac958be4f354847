package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

// exportOptions are the flags of `certificate export`.
type exportOptions struct {
	pem, pfx string
	private  bool
}

func newCertificateExport(e *env) *cobra.Command {
	var which certificateArgs
	var o exportOptions
	c := &cobra.Command{
		Use:   "export [ACCOUNT]",
		Short: "Write the public half of a certificate, to be uploaded",
		Long: `Write the public half of an account's certificate: the .cer file beside it, or a PEM file (--pem FILE; - is standard
output). The private key is written only with --private, to move it to another machine: --pem or --pfx FILE.`,
		RunE: func(_ *cobra.Command, args []string) error {
			_, acc, err := which.choose(e, args)
			if err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			have, err := existingCertificate(acc, e.configFlag())
			if err != nil {
				return err
			}
			return o.export(e, acc, have)
		},
	}
	which.flags(c)
	c.Flags().StringVar(&o.pem, "pem", "", "write PEM to this `file`; - is standard output")
	c.Flags().StringVar(&o.pfx, "pfx", "", "write a PFX with certificate and private key to this `file`; needs --private")
	c.Flags().BoolVar(&o.private, "private", false, "with the private key")
	c.MarkFlagsMutuallyExclusive("pem", "pfx")
	return c
}

func (o *exportOptions) check() error {
	switch {
	case o.pfx != "" && !o.private:
		return errors.New("a PFX file holds the private key, which can send as your mailbox: add --private if it is to leave its place; for an upload to Entra, leave --pfx out")
	case o.private && o.pem == "" && o.pfx == "":
		return errors.New("where is the private key to go? Name a file with --pfx FILE or --pem FILE")
	}
	return nil
}

func (o *exportOptions) export(e *env, acc *config.Account, c *appCertificate) error {
	data, path, err := o.encode(acc, c)
	switch {
	case err != nil:
		return failure{err}
	case path == "-":
		_, err := e.stdout.Write(data)
		return err
	case o.pem == "" && o.pfx == "":
		err = replaceDurably(path, data) // made from the key at any time, so nothing is lost
	default:
		err = createDurably(path, data)
	}
	if errors.Is(err, fs.ErrExist) {
		return fail("%s is there already, and might be a key: choose another name, or remove it first", path)
	}
	if err != nil {
		return failure{err}
	}
	if o.private {
		fmt.Fprintf(e.stdout, "%s holds certificate and private key, readable for this user only. Whoever has it can send as %s.\n", path, acc.Mailbox)
		return nil
	}
	fmt.Fprintf(e.stdout, "%s is ready to be uploaded; nothing in it is secret.\n", path)
	return nil
}

// encode gives what is to be written, and where.
func (o *exportOptions) encode(acc *config.Account, c *appCertificate) (data []byte, path string, err error) {
	switch {
	case o.pfx != "":
		password, err := certificatePassword(acc.OAuth)
		if err != nil {
			return nil, "", err
		}
		data, err = c.pfx(password)
		return data, o.pfx, err
	case o.pem != "" && o.private:
		private, err := c.privatePEM()
		return append(private, c.publicPEM()...), o.pem, err
	case o.pem != "":
		return c.publicPEM(), o.pem, nil
	}
	path = publicBeside(acc.OAuth.Certificate)
	if path == acc.OAuth.Certificate || path == acc.OAuth.CertificateKey {
		return nil, "", fmt.Errorf("%s holds the private key and has the name of the file to upload: name another with --pem FILE", path)
	}
	return c.cert.Raw, path, nil
}
