package tokens

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPlainScope(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ grant, scope, want string }{
		{"client_credentials", "https://outlook.office365.com/.default openid offline_access profile", "https://outlook.office365.com/.default"},
		{"client_credentials", "https://outlook.office365.com/.default", "https://outlook.office365.com/.default"},
		{"refresh_token", "https://outlook.office.com/SMTP.Send offline_access", "https://outlook.office.com/SMTP.Send offline_access"},
	} {
		form := url.Values{"grant_type": {c.grant}, "scope": {c.scope}, "client_secret": {"a+b/c=&d"}}
		req, err := http.NewRequest(http.MethodPost, "https://login.example.test/t/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := plainScope(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		sent, err := url.ParseQuery(string(body))
		if err != nil || sent.Get("scope") != c.want || sent.Get("client_secret") != "a+b/c=&d" || got.ContentLength != int64(len(body)) {
			t.Errorf("%s %q: %q, %v", c.grant, c.scope, body, err)
		}
	}
}
