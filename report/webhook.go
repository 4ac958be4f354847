package report

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// hookBody is what is posted, as JSON. Fields are only ever added; Version changes if one must change its meaning.
// Times are RFC 3339 in UTC.
type hookBody struct {
	Version int       `json:"version"` // 1
	ID      string    `json:"id"`      // of this telling: the same when it is posted again
	Time    time.Time `json:"time"`    // of the newest alert in it
	Host    string    `json:"host"`
	Kind    string    `json:"kind"` // held, tokens, spool, failed, credential, lost, well
	Account string    `json:"account,omitempty"`
	Key     string    `json:"key,omitempty"`
	Title   string    `json:"title"`
	Text    string    `json:"text,omitempty"`
	Fix     string    `json:"fix,omitempty"`
	Count   int       `json:"count"` // how often it came since it was last told; of a well: how often the trouble came
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	IDs     []mail.ID `json:"ids,omitempty"` // messages, at most 20
}

// webhook posts alerts to one URL, one after the other.
type webhook struct {
	opts   AlertOptions
	url    *url.URL
	client *http.Client
	queue  chan telling
	lost   atomic.Int64 // that found no room in queue
}

// A telling is posted up to len(hookBackoff)+1 times, each within hookDeadline. What the server asks for with
// Retry-After counts instead, up to hookRetryAfter. While it waits, up to hookQueue others wait behind it.
const (
	hookDeadline   = 10 * time.Second
	hookRetryAfter = 10 * time.Minute
	hookQueue      = 100
)

var hookBackoff = [...]time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 3 * time.Minute}

// newWebhook returns nil, and says so, when the URL cannot be read; configuration has looked at it before.
func newWebhook(o AlertOptions) *webhook {
	u, err := url.Parse(o.Webhook)
	if err != nil || u.Host == "" {
		o.Log("the webhook is not a URL, so it is not called", nil) // the error would show the key in it
		return nil
	}
	h := &webhook{opts: o, url: u, queue: make(chan telling, hookQueue), client: &http.Client{}}
	if o.HTTP != nil {
		*h.client = *o.HTTP
	}
	// A redirect would carry the alert to whoever the answer names.
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return h
}

// tell hands a telling to run, or counts it as lost.
func (h *webhook) tell(t telling) {
	select {
	case h.queue <- t:
	default:
		h.lost.Add(1)
	}
}

// run posts until ctx ends.
func (h *webhook) run(ctx context.Context) {
	if h == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-h.queue:
			h.deliver(ctx, t)
		}
	}
}

// deliver posts one telling until it is taken, refused for good, or tried often enough.
func (h *webhook) deliver(ctx context.Context, t telling) {
	body, err := json.Marshal(h.body(t))
	if err != nil {
		h.opts.Log("cannot write the JSON of an alert", err)
		return
	}
	for try := 0; ; try++ {
		wait, err := h.post(ctx, body)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case wait < 0 || try == len(hookBackoff):
			h.opts.Log(fmt.Sprintf("the webhook at %s was not told: %s", h.url.Host, line(t.Title)), err)
			return
		case wait == 0:
			wait = hookBackoff[try]
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (h *webhook) body(t telling) hookBody {
	return hookBody{
		Version: 1, ID: mail.NewID(time.Now()).String(), Time: t.Time.UTC(), Host: hostname(h.opts.Hostname),
		Kind: t.Kind, Account: t.Account, Key: t.Key, Title: line(t.Title), Text: cut(t.Text, maxDiagnostic), Fix: cut(t.Fix, maxDiagnostic),
		Count: t.Count, First: t.First.UTC(), Last: t.Last.UTC(), IDs: t.IDs,
	}
}

// post posts once. With an error it says how long to wait before the next try: 0 is the usual time, less than 0 is
// not at all.
func (h *webhook) post(ctx context.Context, body []byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, hookDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.String(), bytes.NewReader(body))
	if err != nil {
		return -1, withoutURL(err)
	}
	now := time.Now()
	timestamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mailbearer")
	req.Header.Set("X-Mailbearer-Timestamp", timestamp)
	if h.opts.WebhookSecret != "" {
		req.Header.Set("X-Mailbearer-Signature", sign(h.opts.WebhookSecret, timestamp, body))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	_ = resp.Body.Close() // its words are not needed, and might repeat the key
	return judge(resp, now)
}

// judge says what an answer means: 2xx is taken; 429 and 5xx pass; everything else is refused for good.
func judge(resp *http.Response, now time.Time) (time.Duration, error) {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return 0, nil
	}
	err := fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	if code == http.StatusTooManyRequests || code >= 500 {
		return retryAfter(resp.Header.Get("Retry-After"), now), err
	}
	return -1, err
}

// retryAfter reads RFC 9110 §10.2.3: seconds or a date; 0 when there is nothing to be read.
func retryAfter(s string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if n, err := strconv.Atoi(s); err == nil {
		wait = time.Duration(min(max(n, 0), int(hookRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		wait = t.Sub(now)
	}
	return min(max(wait, 0), hookRetryAfter)
}

// sign is the signature that a receiver checks: "sha256=" and HMAC-SHA256, in hexadecimal, of timestamp "." body. The
// timestamp is in it so that an old call cannot be repeated.
func sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// withoutURL takes the URL, and the key in it, off an error.
func withoutURL(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}
