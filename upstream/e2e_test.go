package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

const mailbox = "noreply@contoso.test"

// entra fetches tokens from the fake as package tokens would, and counts how often one was refused.
type entra struct {
	fake   *fake365.Server
	client *http.Client

	mu       sync.Mutex
	token    string
	rejected []string
}

func (e *entra) Token(ctx context.Context, rejected string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if rejected != "" {
		e.rejected = append(e.rejected, rejected)
	}
	if e.token != "" && e.token != rejected {
		return e.token, nil
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e.fake.ClientID()}, "client_secret": {e.fake.ClientSecret()},
		"scope": {"https://outlook.office365.com/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.fake.Authority()+"/"+e.fake.Tenant()+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := e.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	e.token = answer.Token
	return e.token, err
}

// renewals is how often a token came back as refused.
func (e *entra) renewals() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.rejected)
}

// station is a fake Microsoft 365 and a transport to it.
type station struct {
	*fake365.Server
	*SMTP
	tokens *entra
}

func newStation(t testing.TB, fo fake365.Options, change ...func(*Options)) *station {
	t.Helper()
	fake, err := fake365.Start(fo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fake.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(fake.CA())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	tokens := &entra{fake: fake, client: client}
	o := Options{Address: fake.SMTP(), Mailbox: mailbox, Hostname: "relay.contoso.test", RootCAs: roots, Tokens: tokens, DialTimeout: 5 * time.Second}
	for _, c := range change {
		c(&o)
	}
	s := NewSMTP(o)
	t.Cleanup(func() { s.Close() })
	return &station{fake, s, tokens}
}

func (s *station) Close() error { return s.SMTP.Close() }

const greeting = "From: <noreply@contoso.test>\r\nSubject: hello\r\n\r\n.dots\r\n..\r\nend\r\n"

func envelope(text string, to ...string) *mail.Envelope {
	e := &mail.Envelope{Sender: mailbox, Size: int64(len(text))}
	for _, a := range to {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: a, State: mail.Pending})
	}
	return e
}

func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func (s *station) send(t testing.TB, text string, to ...string) mail.Result {
	t.Helper()
	return s.Deliver(t.Context(), envelope(text, to...), opener(text))
}

func wantStates(t testing.TB, r mail.Result, want ...mail.RecipientState) {
	t.Helper()
	if r.Trouble != nil {
		t.Fatalf("trouble %s: %v", r.Trouble.Kind, r.Trouble)
	}
	if len(r.Outcomes) != len(want) {
		t.Fatalf("%d outcomes, want %d", len(r.Outcomes), len(want))
	}
	for i, o := range r.Outcomes {
		if o.State != want[i] {
			t.Errorf("recipient %d: %s (%s; %s), want %s", i, o.State, o.Reply, o.Cause, want[i])
		}
	}
}

func wantTrouble(t testing.TB, r mail.Result, want mail.TroubleKind) *mail.Trouble {
	t.Helper()
	if r.Trouble == nil {
		t.Fatalf("no trouble but %+v, want %s", r.Outcomes, want)
	}
	if r.Trouble.Kind != want || r.Trouble.Cause == "" || r.Trouble.Class == "" {
		t.Fatalf("trouble %+v, want %s with class and cause", *r.Trouble, want)
	}
	return r.Trouble
}

func TestWarmMessageCostsOneRoundTrip(t *testing.T) {
	t.Parallel()
	big := "Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 4000)
	for _, c := range []struct {
		name string
		fake fake365.Options
		text string
		want int
	}{
		{"small, BDAT", fake365.Options{}, greeting, 1},
		{"large, BDAT", fake365.Options{}, big, 2},
		{"small, DATA", fake365.Options{NoChunking: true}, greeting, 2},
		{"large, DATA", fake365.Options{NoChunking: true}, big, 2},
		{"step by step, BDAT", fake365.Options{NoPipelining: true}, greeting, 4},
		{"step by step, DATA", fake365.Options{NoPipelining: true, NoChunking: true}, greeting, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, c.fake)
			for range 3 {
				before := s.Counters().Flights
				wantStates(t, s.send(t, c.text, "a@example.test", "b@example.test"), mail.Delivered, mail.Delivered)
				if n := s.Counters().Flights - before; before > 0 && n != c.want {
					t.Errorf("%d round trips, want %d", n, c.want)
				}
			}
			if n := s.Counters().Connections; n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			for _, m := range s.Messages() {
				if string(m.Data) != c.text {
					t.Error("the text has changed on the way")
				}
			}
		})
	}
}
