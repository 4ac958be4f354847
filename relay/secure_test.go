package relay

import (
	"crypto/tls"
	"strings"
	"testing"
)

// TestOldTLSIsNamed: an old device fails at the handshake, and the log says which key lets it in.
func TestOldTLSIsNamed(t *testing.T) {
	t.Parallel()
	for _, security := range []string{SecurityTLS, SecurityStartTLS} {
		visits := make(chan Visit, 1)
		f := newFront(t, withTLS(policy(), security), func(o *Options) { o.Seen = func(v Visit) { visits <- v } })
		d := &dialog{t: t}
		d.connect(f.address, false)
		defer d.conn.Close()
		if security == SecurityStartTLS {
			d.expect("banner", "220")
			d.send("", "EHLO old\r\nSTARTTLS\r\n")
			d.expect("EHLO", "250")
			d.expect("STARTTLS", "220")
		}
		c := tls.Client(d.conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err := c.Handshake(); err == nil {
			t.Fatalf("%s: TLS 1.1 passes", security)
		}
		if v := <-visits; !strings.Contains(v.Trouble, "TLS handshake failed") {
			t.Errorf("%s: %+v", security, v)
		}
		if log := f.logged(); !strings.Contains(log, `"newest_version":"TLS 1.1"`) || !strings.Contains(log, "min_tls") {
			t.Errorf("%s: %s", security, log)
		}
	}
}
