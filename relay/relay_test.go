package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/netip"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"
)

// glob matches addresses as the configuration's patterns do, well enough for tests.
type glob []string

func (g glob) Match(a string) bool {
	for _, p := range g {
		if ok, _ := path.Match(strings.ToLower(p), strings.ToLower(a)); ok {
			return true
		}
	}
	return false
}

// front is a relay with one listener on a real spool.
type front struct {
	t       testing.TB
	relay   *Relay
	spool   *sqlite.Spool
	address string
	log     *bytes.Buffer
	logMu   sync.Mutex
}

func (f *front) Write(p []byte) (int, error) {
	f.logMu.Lock()
	defer f.logMu.Unlock()
	return f.log.Write(p)
}

func (f *front) logged() string {
	f.logMu.Lock()
	defer f.logMu.Unlock()
	return f.log.String()
}

func policy() Listener {
	return Listener{
		Address: "127.0.0.1:0", Security: SecurityNone, Auth: AuthOptional,
		Allow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Senders: glob{"*"}, AnySender: true, Recipients: glob{"*"}, WaitFor: "spool", WaitTimeout: 2 * time.Second,
		MaxMessageSize: 1 << 20, MaxRecipients: 10, MaxConnections: 20, MaxConnectionsPerAddress: 20, IdleTimeout: 10 * time.Second,
	}
}

func newFront(t testing.TB, l Listener, tweaks ...func(*Options)) *front {
	t.Helper()
	sp, err := sqlite.Open(context.Background(), sqlite.Options{Dir: t.TempDir(), Owner: true})
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := bcrypt.GenerateFromPassword([]byte("geheim"), bcrypt.MinCost)
	f := &front{t: t, spool: sp, log: new(bytes.Buffer)}
	o := Options{
		Hostname: "relay.example.test", Listeners: []Listener{l}, Spool: sp, Log: zerolog.New(f),
		Users: []User{
			{Name: "scanner", PasswordHash: string(hash), Senders: glob{"*"}, AnySender: true},
			{Name: "backup", PasswordHash: string(hash), Senders: glob{"backup@example.test"}},
		},
		Route: func(Query) string { return "default" },
	}
	for _, tweak := range tweaks {
		tweak(&o)
	}
	f.relay, err = Open(o)
	if err != nil {
		t.Fatal(err)
	}
	f.address = f.relay.Addresses()[0]
	f.relay.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.relay.Close(ctx)
		sp.Close()
	})
	return f
}

// spooled returns the messages in the spool, with their texts.
func (f *front) spooled() (list []spool.Message, texts []string) {
	f.t.Helper()
	list, err := f.spool.List(context.Background(), spool.Filter{Now: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range list {
		r, err := f.spool.Open(context.Background(), m.Envelope.ID)
		if err != nil {
			f.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			f.t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return list, texts
}

// courier settles what is put, as scripted, until the test ends.
func (f *front) courier(outcome mail.Outcome) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.spool.Changed():
			}
			claimed, _, _ := f.spool.Claim(ctx, spool.ClaimRequest{
				Account: "default", Limit: 10, Now: time.Now(), Lease: time.Hour,
				Next: func(int) time.Time { return time.Now().Add(time.Minute) },
			})
			for _, c := range claimed {
				s := spool.Settlement{ID: c.Envelope.ID, Now: time.Now(), Outcomes: map[int]mail.Outcome{}}
				for i := range c.Envelope.Recipients {
					s.Outcomes[i] = outcome
				}
				if err := f.spool.Settle(context.Background(), s); err != nil {
					f.t.Error(err)
				}
			}
		}
	})
	f.t.Cleanup(func() { cancel(); wg.Wait() })
}

var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func withTLS(l Listener, security string) Listener {
	l.Security = security
	l.TLS = &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12}
	return l
}
