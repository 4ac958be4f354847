package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

// certificateOptions are the flags of `certificate new`.
type certificateOptions struct {
	bits, days int
	out        string
}

func newCertificateNew(e *env) *cobra.Command {
	var which certificateArgs
	var o certificateOptions
	c := &cobra.Command{
		Use:   "new [ACCOUNT]",
		Short: "Make a key and a certificate for an account",
		Long: `Make a private key and a certificate for an account. They go where the account's "certificate" in the configuration says
(by default data_dir/ACCOUNT.pfx), readable for this user only. Beside it goes the public half, a .cer file to upload.

A key that exists is never overwritten. When a certificate is about to expire, make the next one under a new name:

  mailbearer certificate new --account default --out /var/lib/mailbearer/default-2028.pfx

The relay goes on with the old one until you change "certificate"; what this prints says what to do in which order.`,
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, acc, err := which.choose(e, args)
			if err != nil {
				return err
			}
			return certificateNew(e, cfg, acc, o)
		},
	}
	which.flags(c)
	c.Flags().IntVar(&o.bits, "bits", 3072, "`bits` of the RSA key")
	c.Flags().IntVar(&o.days, "days", 730, "how many `days` it is valid")
	c.Flags().StringVar(&o.out, "out", "", "another `file` than the account's own, for the next certificate before the old one expires")
	return c
}

func certificateNew(e *env, cfg *config.Config, acc *config.Account, o certificateOptions) error {
	files, err := newFiles(acc, o.out)
	if err != nil {
		return err
	}
	for _, path := range []string{files.cert, files.key} {
		if _, err := os.Lstat(path); path != "" && err == nil {
			return certificateExists(acc, path, e.configFlag())
		}
	}
	password, err := certificatePassword(acc.OAuth)
	if err != nil {
		return err
	}
	made, err := makeCertificate("mailbearer "+acc.Name, o.bits, o.days)
	if err != nil {
		return err
	}
	if err := files.write(made, password); errors.Is(err, fs.ErrExist) {
		return certificateExists(acc, files.private(), e.configFlag())
	} else if err != nil {
		return failure{err}
	}
	printMade(e.stdout, acc, files, made)
	if o.out != "" {
		printRollover(e.stdout, cfg, files, e.configFlag())
		return nil
	}
	printUpload(e.stdout, acc, files, e.configFlag())
	return nil
}

// newFiles are the account's own, or those beside the name that --out gives.
func newFiles(acc *config.Account, out string) (certificateFiles, error) {
	if out == "" {
		if acc.OAuth.Certificate == "" {
			return certificateFiles{}, noCertificate(acc)
		}
		return filesFor(acc.OAuth.Certificate, acc.OAuth.CertificateKey)
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return certificateFiles{}, err
	}
	files, err := filesFor(out, "")
	if err == nil && files.isPEM() && acc.OAuth.CertificateKey != "" {
		files.key = strings.TrimSuffix(out, filepath.Ext(out)) + ".key"
	}
	return files, err
}

// certificateExists refuses to overwrite, and says how certificates are changed without a gap.
func certificateExists(acc *config.Account, path, where string) error {
	ext := filepath.Ext(acc.OAuth.Certificate)
	next := strings.TrimSuffix(acc.OAuth.Certificate, ext) + "-new" + ext
	if acc.OAuth.Certificate == "" {
		next = acc.Name + ".pfx"
	}
	return fail(`%s is there already, and a key is never overwritten. mailbearer certificate show --account %s%s shows it.
For a new one before it expires, choose a new name; both are valid while you change over:
  mailbearer certificate new --account %s --out %s%s`, path, acc.Name, where, acc.Name, quotePath(next), where)
}

func printMade(w io.Writer, acc *config.Account, f certificateFiles, c *appCertificate) {
	v := viewCertificate(acc, c)
	fmt.Fprintf(w, "The certificate of account %s is made.\n\n", acc.Name)
	fmt.Fprintf(w, "  private key   %s\n                keep it here and secret: whoever has it can send as your mailbox\n", f.private())
	if f.key != "" {
		fmt.Fprintf(w, "  certificate   %s\n", f.cert)
	}
	fmt.Fprintf(w, "  to upload     %s\n                nothing in it is secret\n", f.public)
	v.printFacts(w)
}

func printUpload(w io.Writer, acc *config.Account, f certificateFiles, where string) {
	fmt.Fprintf(w, `
Next: give the certificate to your app at Microsoft, in one of two ways.
  by a script   mailbearer setup-script --account %s%s > setup.ps1
                Run setup.ps1 in PowerShell, on any computer. It does the other steps as well.
  by hand       entra.microsoft.com > App registrations > your app > Certificates & secrets > Certificates >
                Upload certificate: %s
                Entra then shows the SHA-1 thumbprint above.
`, acc.Name, where, f.public)
}

func printRollover(w io.Writer, cfg *config.Config, f certificateFiles, where string) {
	fmt.Fprintf(w, `
The relay still uses the old one. Next, in this order, so that no mail has to wait:
  1. entra.microsoft.com > App registrations > your app > Certificates & secrets > Certificates > Upload certificate: %s
     Leave the old certificate there.
  2. In %s, under this account's oauth, change to
         certificate = '%s'
`, f.public, cfg.File, f.cert)
	if f.key != "" {
		fmt.Fprintf(w, "         certificate_key = '%s'\n", f.key)
	}
	fmt.Fprintf(w, `     and make the relay read it: %s.
  3. When mailbearer status%s shows the account as ready, remove the old certificate in Entra, and its file here.
`, rereads, where)
}

// configFlag is what a command that is recommended has to say to mean the same configuration; nothing where none was given.
func (e *env) configFlag() string { return configFlag(e.config) }

func configFlag(path string) string {
	if path == "" {
		return ""
	}
	if whole, err := filepath.Abs(path); err == nil { // the next command may be run elsewhere
		path = whole
	}
	return " --config " + quotePath(path)
}

// quotePath makes a path one word of a command line, on Windows too.
func quotePath(p string) string {
	if strings.ContainsAny(p, " \t'&;()$`|<>*?") {
		return `"` + p + `"`
	}
	return p
}
