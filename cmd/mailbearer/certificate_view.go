package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/tokens"
)

// certificateView is the JSON of `certificate show`.
type certificateView struct {
	Account          string    `json:"account"`
	File             string    `json:"file"`
	Subject          string    `json:"subject"`
	Bits             int       `json:"bits"`
	Thumbprint       string    `json:"thumbprint"` // SHA-1, as Entra's list shows it
	ThumbprintSHA256 string    `json:"thumbprint_sha256"`
	NotBefore        time.Time `json:"not_before"`
	NotAfter         time.Time `json:"not_after"`
	DaysLeft         int       `json:"days_left"` // negative when it has expired

	where string // --config, as it was given
}

func viewCertificate(a *config.Account, c *appCertificate) certificateView {
	sum1, sum256 := sha1.Sum(c.cert.Raw), sha256.Sum256(c.cert.Raw)
	return certificateView{
		Account: a.Name, File: a.OAuth.Certificate, Subject: c.cert.Subject.String(), Bits: c.key.N.BitLen(),
		Thumbprint: strings.ToUpper(hex.EncodeToString(sum1[:])), ThumbprintSHA256: strings.ToUpper(hex.EncodeToString(sum256[:])),
		NotBefore: c.cert.NotBefore.UTC(), NotAfter: c.cert.NotAfter.UTC(), DaysLeft: tokens.DaysLeft(time.Until(c.cert.NotAfter)),
	}
}

func (v certificateView) print(w io.Writer) error {
	fmt.Fprintf(w, "The certificate of account %s: %s\n\n  subject       %s, RSA %d bits\n", v.Account, v.File, v.Subject, v.Bits)
	v.printFacts(w)
	var err error
	switch {
	case time.Now().Before(v.NotBefore):
		_, err = fmt.Fprintln(w, "\nIt is not valid yet. Is this machine's clock right?")
	case v.DaysLeft < 0:
		_, err = fmt.Fprintf(w, "\nIt has expired, and Microsoft no longer takes it. Make a new one under another name:\n%s\n", v.again())
	case v.DaysLeft <= 60:
		_, err = fmt.Fprintf(w, "\nIt expires soon. Make the next one now; both are valid while you change over:\n%s\n", v.again())
	}
	return err
}

func (v certificateView) again() string {
	return fmt.Sprintf("  mailbearer certificate new --account %s --out NEW-NAME.pfx%s", v.Account, v.where)
}

func (v certificateView) printFacts(w io.Writer) {
	fmt.Fprintf(w, "  thumbprint    %s  (SHA-1, as Entra shows it)\n  SHA-256       %s\n  valid until   %s, %s\n",
		v.Thumbprint, v.ThumbprintSHA256, v.NotAfter.Format("2006-01-02 15:04 MST"), inDays(v.DaysLeft))
}

func inDays(n int) string {
	switch {
	case n < 0:
		return "which is over"
	case n == 0:
		return "less than a day from now"
	case n == 1:
		return "1 day from now"
	}
	return fmt.Sprintf("%d days from now", n)
}
