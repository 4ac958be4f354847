package fake365

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options says what the fake tenant looks like. The zero value is a tenant with one app that may use any mailbox,
// as that mailbox.
type Options struct {
	Tenant                 string        // verified domain of the tenant; default "contoso.onmicrosoft.com"
	ClientID, ClientSecret string        // the registered app; defaults: a new GUID, a new random secret
	ClientCertificate      []byte        // PEM certificate(s) registered on the app, for private_key_jwt
	RefreshToken           string        // one refresh token that is valid to begin with; "" = none
	KeepRefreshTokens      bool          // a refresh token that was used stays good, as at Entra; false: it is revoked, so that a lost one is found out
	DeviceInterval         time.Duration // interval of the device code, in whole seconds; default 5s
	User                   string        // who signs in (refresh token, device code, browser); default the first mailbox, else "user@" + Tenant
	Mailboxes              []string      // mailboxes that exist and that the app may use; empty: any
	AnyFrom                bool          // false: a sender other than the mailbox is SendAsDenied; true: any sender
	NoConsent              bool          // app-only tokens come without roles, as when admin consent was forgotten
	TokenLifetime          time.Duration // life of an access token; default 1h
	RefreshIn              time.Duration // when > 0 answered as refresh_in, in whole seconds
	MaxConnections         int           // authenticated SMTP connections per mailbox, more get 432 4.3.2; 0 = no limit
	NoChunking             bool          // leave CHUNKING and BINARYMIME out of the EHLO answer, and know no BDAT
	NoPipelining           bool          // leave PIPELINING out of the EHLO answer
	MaxSize                int64         // largest SMTP message in octets; default 157286400
	Latency                time.Duration // SMTP: round-trip time, one delay for each flight of replies
	DataLatency            time.Duration // delay before the answer to a whole message (end of data, sendMail)
	Keep                   int           // messages kept for Messages and Wait, the newest; 0 = all
	Observe                func(Event)   // called for each notable thing, from many goroutines at once; may be nil
}

// defaultMaxSize is what smtp.office365.com announces as SIZE: 150 MiB.
const defaultMaxSize = 157286400

// withDefaults fills in what the caller left open.
func (o Options) withDefaults() Options {
	o.Tenant = orElse(o.Tenant, "contoso.onmicrosoft.com")
	o.ClientID = orElse(o.ClientID, newGUID())
	o.ClientSecret = orElse(o.ClientSecret, randomText(30))
	if o.User == "" {
		o.User = "user@" + o.Tenant
		if len(o.Mailboxes) > 0 {
			o.User = o.Mailboxes[0]
		}
	}
	if o.DeviceInterval <= 0 {
		o.DeviceInterval = deviceInterval
	}
	if o.TokenLifetime <= 0 {
		o.TokenLifetime = time.Hour
	}
	if o.MaxSize <= 0 {
		o.MaxSize = defaultMaxSize
	}
	return o
}

// hasMailbox says whether the mailbox exists and the app may use it.
func (o Options) hasMailbox(address string) bool {
	if len(o.Mailboxes) == 0 {
		return strings.Contains(address, "@")
	}
	return slices.ContainsFunc(o.Mailboxes, func(m string) bool { return strings.EqualFold(m, address) })
}

// maySendAs says whether mail from sender may leave through the mailbox.
func (o Options) maySendAs(mailbox, sender string) bool {
	return o.AnyFrom || strings.EqualFold(mailbox, sender)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// newGUID returns a random version 4 UUID, RFC 9562 §5.4.
func newGUID() string {
	b := randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// randomText returns n random bytes as URL-safe text.
func randomText(n int) string { return base64.RawURLEncoding.EncodeToString(randomBytes(n)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program instead, since Go 1.24
	return b
}
