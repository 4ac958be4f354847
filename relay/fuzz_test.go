package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// memory is a spool that remembers envelopes until they are taken.
type memory struct {
	spool.Spool
	mu   sync.Mutex
	list []mail.Envelope
}

type memoryBody struct{ bytes.Buffer }

func (b *memoryBody) Size() int64 { return int64(b.Len()) }
func (b *memoryBody) Reader() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.Bytes())), nil
}
func (b *memoryBody) Discard() {}

func (m *memory) NewBody(mail.ID) spool.Body { return &memoryBody{} }

func (m *memory) Put(_ context.Context, e *mail.Envelope, _ spool.Body, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, *e)
	return nil
}

func (m *memory) take() []mail.Envelope {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}

// arena is a relay that whole conversations are thrown at.
type arena struct {
	relay  *Relay
	spool  *memory
	log    lockedLog
	prefix string // what the client says before the fuzzer's octets
	secure bool   // inside TLS
}

func newArena(t testing.TB, l Listener, prefix string) *arena {
	a := &arena{spool: &memory{}, prefix: prefix, secure: l.Security == SecurityTLS}
	l.IdleTimeout, l.MaxMessageSize = 2*time.Second, 1<<16
	var err error
	a.relay, err = Open(Options{
		Hostname: "relay.example.test", Listeners: []Listener{l}, Spool: a.spool, Log: zerolog.New(&a.log).Level(zerolog.DebugLevel),
		Users:    []User{{Name: "u", Password: func() (string, error) { return "never guessed 7a1f", nil }, AnySender: true}},
		Route:    func(Query) string { return "default" },
		Accounts: map[string]AccountInfo{"default": {Mailbox: "m@example.test", Rewrite: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Int64 // so fast that no failure is remembered
	a.relay.throttle.now = func() time.Time { return time.Unix(clock.Add(int64(guessWindow/time.Second)), 0) }
	a.relay.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		a.relay.Close(ctx)
	})
	return a
}

// play says prefix and octets and returns everything that was answered.
func (a *arena) play(t testing.TB, octets []byte) string {
	t.Helper()
	raw, err := net.Dial("tcp", a.relay.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := raw
	if a.secure {
		c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	}
	go func() {
		io.WriteString(c, a.prefix)
		c.Write(octets)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}()
	all, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("%q hangs after %q", octets, all)
	}
	return string(all)
}

// judge holds what came out against what may never be.
func (a *arena) judge(t testing.TB, octets []byte, answers string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(answers, "\r\n"), "\r\n") {
		if len(line) < 4 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' || strings.ContainsAny(line, "\r\n\x00") {
			if !strings.HasSuffix(answers, "\r\n") {
				continue // cut by a reset
			}
			t.Errorf("%q is answered with the line %q", octets, line)
		}
	}
	ends := strings.Count(a.prefix+string(octets), ".\r\n")
	list := a.spool.take()
	if len(list) > ends {
		t.Errorf("%q makes %d messages with %d ends", octets, len(list), ends)
	}
	for _, e := range list {
		for _, r := range e.Recipients {
			p, rest, err := parsePath("<" + r.Address + ">")
			if err != nil || rest != "" || p.domain == "" || p.String() != r.Address {
				t.Errorf("%q reaches the recipient %q", octets, r.Address)
			}
		}
		if e.Sender != "m@example.test" {
			t.Errorf("%q leaves as %q", octets, e.Sender)
		}
	}
	if a.relay.opts.Listeners[0].Auth == AuthRequired && len(list) > 0 {
		t.Errorf("%q was relayed for a stranger", octets)
	}
	if log := a.log.take(); strings.Contains(log, "panic") {
		t.Fatalf("%q: %s", octets, log)
	}
}

// lockedLog is what the relay logged since it was last looked at: a connection may still be ending.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

func fuzzConversation(f *testing.F, l Listener, prefix string) {
	a := newArena(f, l, prefix)
	for _, s := range conversations(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		a.judge(t, octets, a.play(t, octets))
	})
}

// conversations are the clients' halves of all dialogs.
func conversations(t testing.TB) (list []string) {
	files, _ := filepath.Glob("../testdata/dialogs/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for line := range strings.SplitSeq(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "C: "); ok {
				b.WriteString(rest + "\r\n")
			} else if line == "C:" {
				b.WriteString("\r\n")
			}
		}
		if s := b.String(); !strings.Contains(s, "GET /") {
			list = append(list, s)
		}
	}
	return append(list, "AUTH CRAM-MD5\r\n=\r\n", "STARTTLS\r\n\x16\x03\x01\x02\x00\x01", "BDAT 10 LAST\r\n1234567890QUIT\r\n", "\r\r\n.\r\nMAIL FROM:<a@b.c>\r\n")
}

func signedInOnly(l Listener) Listener { l.Auth = AuthRequired; return l }

const transactionOpen = "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"

func FuzzConversationStart(f *testing.F) { fuzzConversation(f, signedInOnly(policy()), "") }
func FuzzConversationAuth(f *testing.F) {
	fuzzConversation(f, signedInOnly(policy()), "EHLO x\r\nAUTH LOGIN\r\n")
}
func FuzzConversationTransaction(f *testing.F) { fuzzConversation(f, policy(), transactionOpen) }
func FuzzConversationData(f *testing.F)        { fuzzConversation(f, policy(), transactionOpen+"DATA\r\n") }
func FuzzConversationTLS(f *testing.F) {
	fuzzConversation(f, withTLS(policy(), SecurityTLS), "")
}
func FuzzConversationStartTLS(f *testing.F) {
	fuzzConversation(f, signedInOnly(withTLS(policy(), SecurityStartTLS)), "EHLO x\r\n")
}
func FuzzConversationProxy(f *testing.F) {
	l := signedInOnly(policy())
	l.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	fuzzConversation(f, l, "")
}
