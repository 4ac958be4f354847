package report

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// TestWebhook checks a call as its receiver does: over a real connection, by the documented names.
func TestWebhook(t *testing.T) {
	t.Parallel()
	type call struct {
		header http.Header
		body   []byte
	}
	calls := make(chan call, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- call{r.Header, body}
	}))
	defer server.Close()
	a := New(AlertOptions{Webhook: server.URL + "/key", WebhookSecret: "s3cret", HTTP: server.Client(), Hostname: "relay.example.com"})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	a.Raise(Alert{Kind: AlertHeld, Account: "default", Key: "refused", Title: "held", Text: "text", Fix: "fix", Time: noon, IDs: []mail.ID{origID}})
	got := <-calls
	stop()
	<-done

	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write([]byte(got.header.Get("X-Mailbearer-Timestamp") + "." + string(got.body)))
	same(t, "signature", got.header.Get("X-Mailbearer-Signature"), "sha256="+hex.EncodeToString(mac.Sum(nil)))
	same(t, "type", got.header.Get("Content-Type"), "application/json")
	var body map[string]any
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if id, _ := body["id"].(string); len(id) != 13 {
		t.Errorf("id %q", id)
	}
	delete(body, "id")
	plain, _ := json.Marshal(body)
	same(t, "body", string(plain), `{"account":"default","count":1,"first":"2026-11-25T12:00:00Z","fix":"fix","host":"relay.example.com",`+
		`"ids":["`+origID.String()+`"],"key":"refused","kind":"held","last":"2026-11-25T12:00:00Z","text":"text",`+
		`"time":"2026-11-25T12:00:00Z","title":"held","version":1}`)
}

// receiver plays a webhook's server in virtual time: it answers by its script, the last answer for ever.
type receiver struct {
	mu     sync.Mutex
	start  time.Time
	script []string // "503", "429 Retry-After", "cut", "hang", "302"
	calls  []string // when
	ids    map[string]bool
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.calls = append(r.calls, time.Since(r.start).String())
	var body hookBody
	_ = json.NewDecoder(req.Body).Decode(&body)
	r.ids[body.ID] = true
	answer := r.script[0]
	if len(r.script) > 1 {
		r.script = r.script[1:]
	}
	r.mu.Unlock()
	code, wait, _ := strings.Cut(answer, " ")
	switch code {
	case "cut":
		return nil, errors.New("connection reset")
	case "hang":
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", wait)
	w.Header().Set("Location", "https://elsewhere.example.com/")
	w.WriteHeader(map[string]int{"200": 200, "204": 204, "302": 302, "400": 400, "410": 410, "429": 429, "503": 503}[code])
	return w.Result(), nil
}

// seen is when it was called so far, and how many different tellings it got.
func (r *receiver) seen() (calls string, ids int) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, " "), len(r.ids)
}

func TestWebhookTriesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script []string
		calls  string
		told   bool
	}{
		"taken":             {[]string{"204"}, "0s", true},
		"busy once":         {[]string{"503", "200"}, "0s 5s", true},
		"cut once":          {[]string{"cut", "200"}, "0s 5s", true},
		"hangs once":        {[]string{"hang", "200"}, "0s 15s", true},
		"too many":          {[]string{"429 30", "200"}, "0s 30s", true},
		"too many, no time": {[]string{"429", "200"}, "0s 5s", true},
		"too many for long": {[]string{"429 86400", "200"}, "0s 10m0s", true},
		"by a date":         {[]string{"503 Sat, 01 Jan 2000 00:01:00 GMT", "200"}, "0s 1m0s", true},
		"never":             {[]string{"503"}, "0s 5s 20s 1m20s 4m20s", false},
		"refused":           {[]string{"410"}, "0s", false},
		"moved":             {[]string{"302"}, "0s", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &box{}
				r := &receiver{start: time.Now(), script: c.script, ids: map[string]bool{}}
				a := New(AlertOptions{Webhook: "https://user:pass@hooks.example.com/k3y", HTTP: &http.Client{Transport: r}, Log: b.note})
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); a.Run(ctx) }()
				a.Raise(held)
				time.Sleep(time.Hour)
				calls, ids := r.seen()
				same(t, "calls", calls, c.calls)
				same(t, "ids", ids, 1)
				log := b.logged()
				same(t, "told", log == "", c.told)
				if !c.told {
					contains(t, log, "hooks.example.com")
				}
				if strings.Contains(log, "k3y") || strings.Contains(log, "pass") {
					t.Errorf("a secret in the log: %s", log)
				}
				stop()
				<-done
			})
		})
	}
}

// TestWebhookBehind: a server that does not answer makes nobody wait, and what finds no room is told.
func TestWebhookBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{start: time.Now()}
		r := &receiver{start: time.Now(), script: []string{"hang"}, ids: map[string]bool{}}
		a := New(AlertOptions{
			Webhook: "https://hooks.example.com/k3y", HTTP: &http.Client{Transport: r}, Log: b.note,
			Email: []string{"it@example.com"}, Put: b.put, Hostname: "relay.example.com", MailsPerHour: 1000,
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		for i := range hookQueue + 10 {
			a.Raise(Alert{Kind: AlertFailed, Key: string(rune('a' + i)), Title: "x"})
			synctest.Wait()
		}
		contains(t, strings.Join(b.sent(), "\n"), "alerts were lost")
		stop()
		<-done // a call under way ends at once
		same(t, "time", time.Since(b.start), 0)
	})
}

func TestWebhookThatIsNoURL(t *testing.T) {
	t.Parallel()
	b := &box{}
	a := New(AlertOptions{Webhook: "https://hooks.example.com:k3y/", Log: b.note})
	if a.hook != nil || len(b.log) != 1 || strings.Contains(b.log[0], "k3y") {
		t.Errorf("%v, %q", a.hook, b.log)
	}
	err := withoutURL(&url.Error{Op: "Post", URL: "https://hooks.example.com/k3y", Err: errors.New("refused")})
	same(t, "error", err.Error(), "refused")
}
