package fake365

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sendMail posts a message and returns status and error code.
func (s *Server) post365(t *testing.T, path, token, kind, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Graph()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", kind)
	resp, err := s.http(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error struct{ Code, Message string }
	}
	if resp.StatusCode != http.StatusAccepted {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	return resp, answer.Error.Code
}

const graphText = "From: Printer <" + mailbox + ">\r\nTo: A <a@b.c>, =?x-odd?q?B?= <b@b.c>\r\nCc: team: c@b.c;\r\nBcc: d@b.c\r\nSubject: x\r\n\r\nbody\r\n"

func TestGraphSendMail(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Mailboxes: []string{mailbox}})
	resp, code := s.post365(t, "/v1.0/users/"+mailbox+"/sendMail", s.appToken(t, appScopeMail), "text/plain; charset=utf-8", base64.StdEncoding.EncodeToString([]byte(graphText))+"\r\n")
	if resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status, code)
	}
	m := s.Messages()[0]
	if string(m.Data) != graphText || m.Sender != mailbox || m.Via != "graph" || m.Mailbox != mailbox {
		t.Errorf("%+v", m)
	}
	if want := []string{"a@b.c", "b@b.c", "c@b.c", "d@b.c"}; !slices.Equal(m.Recipients, want) {
		t.Errorf("recipients %v, want %v", m.Recipients, want)
	}
}

func TestGraphMe(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Mailboxes: []string{mailbox}})
	form := s.appForm(graphHost + "/Mail.Send")
	form.Set("grant_type", grantRefreshToken)
	form.Set("refresh_token", s.SignIn())
	_, answer := s.post(t, s.tokenPath(), form)
	resp, code := s.post365(t, "/v1.0/me/sendMail", answer["access_token"].(string), "text/plain", base64.StdEncoding.EncodeToString([]byte(graphText)))
	if resp.StatusCode != http.StatusAccepted || s.Messages()[0].Mailbox != mailbox {
		t.Error(resp.Status, code)
	}
}

func TestGraphRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Mailboxes: []string{mailbox}})
	none := start(t, Options{NoConsent: true})
	token := s.appToken(t, appScopeMail)
	own, me := "/v1.0/users/"+mailbox+"/sendMail", "/v1.0/me/sendMail"
	b64 := base64.StdEncoding.EncodeToString([]byte(graphText))
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, test := range map[string]struct {
		s                       *Server
		path, token, kind, body string
		want                    string
	}{
		"token":     {s, own, "x", "text/plain", b64, "401 InvalidAuthenticationToken"},
		"audience":  {s, own, s.appToken(t, appScopeSMTP), "text/plain", b64, "401 InvalidAuthenticationToken"},
		"role":      {none, own, none.appToken(t, appScopeMail), "text/plain", b64, "403 ErrorAccessDenied"},
		"me":        {s, me, token, "text/plain", b64, "400 BadRequest"},
		"mailbox":   {s, "/v1.0/users/boss@contoso.com/sendMail", token, "text/plain", b64, "404 ErrorInvalidUser"},
		"type":      {s, own, token, "application/json", "{}", "415 UnsupportedMediaType"},
		"base64":    {s, own, token, "text/plain", "!", "400 ErrorMimeContentInvalidBase64String"},
		"MIME":      {s, own, token, "text/plain", text("no header"), "400 ErrorMimeContentInvalid"},
		"nobody":    {s, own, token, "text/plain", text("To: undisclosed-recipients:;\r\n\r\n"), "400 ErrorInvalidRecipients"},
		"send as":   {s, own, token, "text/plain", text("From: boss@contoso.com\r\nTo: a@b.c\r\n\r\n"), "403 ErrorSendAsDenied"},
		"too large": {s, own, token, "text/plain", strings.Repeat("QUJD", maxGraphBody/4+1), "413 ErrorMessageSizeExceeded"},
		"elsewhere": {s, "/v1.0/users", token, "text/plain", "", "404 ResourceNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, code := test.s.post365(t, test.path, test.token, test.kind, test.body)
			if got := fmt.Sprint(resp.StatusCode, " ", code); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestGraphThrottles(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	for range graphConcurrency {
		s.record.enterGraph(mailbox)
	}
	resp, code := s.post365(t, "/v1.0/users/"+mailbox+"/sendMail", s.appToken(t, appScopeMail), "text/plain", base64.StdEncoding.EncodeToString([]byte(graphText)))
	if resp.StatusCode != http.StatusTooManyRequests || code != "ApplicationThrottled" || resp.Header.Get("Retry-After") == "" {
		t.Error(resp.Status, code, resp.Header)
	}
}

func TestGraphFaultTaken(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{At: "graph", Match: "Subject: x", Status: 503, Answer: `{"error":{"code":"ErrorServerBusy"}}`, Taken: true})
	resp, code := s.post365(t, "/v1.0/users/"+mailbox+"/sendMail", s.appToken(t, appScopeMail), "text/plain", base64.StdEncoding.EncodeToString([]byte(graphText)))
	if resp.StatusCode != 503 || code != "ErrorServerBusy" || s.Counters().GraphMessages != 1 {
		t.Error(resp.Status, code, s.Counters())
	}
}
