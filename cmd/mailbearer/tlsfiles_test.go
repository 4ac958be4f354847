package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// served is the name in the certificate that a TLS listener answers with.
func served(t *testing.T, address string) string {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestListenerCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	cert, key := filepath.Join(w.dir, "l.crt"), filepath.Join(w.dir, "l.key")
	for _, name := range []string{"first", "second"} {
		if err := makeSelfSigned(cert+"."+name, key+"."+name, name); err != nil {
			t.Fatal(err)
		}
	}
	use := func(name string) {
		for _, f := range []string{key, cert} {
			if err := os.Rename(f+"."+name, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	use("first")
	w.configure(map[string]string{"listener": fmt.Sprintf("address = \"127.0.0.1:0\"\nsecurity = \"tls\"\nauth = \"required\"\ncertificate = '%s'\nkey = '%s'", cert, key)})
	w.start()
	if got := served(t, w.relay.address); got != "mailbearer first" {
		t.Fatalf("the listener answers with %q", got)
	}
	use("second")
	if got := served(t, w.relay.address); got != "mailbearer second" {
		t.Errorf("after the change it answers with %q", got)
	}
}

// An old HP or Xerox speaks TLS 1.0 with RSA key exchange and nothing newer; openssl can play one.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	for version, works := range map[string]bool{"1.0": true, "1.2": false} {
		t.Run("min_tls "+version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			w.configure(map[string]string{"listener": fmt.Sprintf("address = \"127.0.0.1:0\"\nsecurity = \"starttls\"\nauth = \"required\"\nmin_tls = \"%s\"", version)})
			w.start()
			c := exec.Command("openssl", "s_client", "-connect", w.relay.address, "-starttls", "smtp", "-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0", "-quiet")
			c.Stdin = strings.NewReader("EHLO printer\r\nQUIT\r\n")
			out, _ := c.CombinedOutput()
			if strings.Contains(string(out), "AUTH PLAIN LOGIN") != works {
				t.Errorf("TLS 1.0 with RSA key exchange, min_tls = %s:\n%s", version, out)
			}
			atStart, _, _ := strings.Cut(w.relay.logged(), "mailbearer is ready")
			if warned := strings.Contains(atStart, "min_tls"); warned != works {
				t.Errorf("min_tls = %s: warned about at start: %v", version, warned)
			}
		})
	}
}
