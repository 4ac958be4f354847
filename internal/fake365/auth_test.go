package fake365

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestXOAUTH2(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Mailboxes: []string{mailbox}, RefreshToken: "first"})
	good := s.appToken(t, appScopeSMTP)
	status, answer := s.post(t, s.tokenPath(), url.Values{"grant_type": {grantRefreshToken}, "client_id": {s.ClientID()}, "refresh_token": {"first"}, "scope": {outlookCom + "/SMTP.Send offline_access"}})
	if status != http.StatusOK {
		t.Fatal(answer)
	}
	const refused = "535 5.7.3 Authentication unsuccessful ["
	for name, test := range map[string]struct{ response, want string }{
		"app-only":      {xoauth2(mailbox, good), "235 2.7.0 Authentication successful"},
		"any case":      {xoauth2("Printer@Contoso.com", good), "235 "},
		"delegated":     {xoauth2(mailbox, answer["access_token"].(string)), "235 "},
		"other mailbox": {xoauth2("boss@contoso.com", good), refused},
		"for Graph":     {xoauth2(mailbox, s.appToken(t, appScopeMail)), refused},
		"made up":       {xoauth2(mailbox, good[:len(good)-4]+"AAAA"), refused},
		"not base64":    {"user=me", refused},
		"other form":    {"bixhPXUs", refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.secure(t).do("AUTH XOAUTH2 "+test.response, test.want)
			c := s.secure(t)
			c.do("AUTH XOAUTH2", "334 ")
			c.do(test.response, test.want)
		})
	}
}

func TestTokenIsLongerThanACommandLine(t *testing.T) {
	t.Parallel()
	token := start(t, Options{}).appToken(t, appScopeSMTP)
	if n := len(xoauth2(mailbox, token)); n < 1500 {
		t.Errorf("%d octets, real ones have more than 1500", n)
	}
}

func TestExpireTokens(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	token := s.appToken(t, appScopeSMTP)
	s.ExpireTokens()
	s.secure(t).do("AUTH XOAUTH2 "+xoauth2(mailbox, token), "535 5.7.3 ")
	s.login(t)
	if n := s.Counters(); n.AuthOK != 1 || n.AuthRefused != 1 {
		t.Errorf("%d good, %d refused", n.AuthOK, n.AuthRefused)
	}
}

func TestTokensExpireByThemselves(t *testing.T) {
	t.Parallel()
	s := start(t, Options{TokenLifetime: time.Nanosecond})
	s.secure(t).do("AUTH XOAUTH2 "+xoauth2(mailbox, s.appToken(t, appScopeSMTP)), "535 5.7.3 ")
}

func TestNoConsent(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoConsent: true})
	token := s.appToken(t, appScopeSMTP)
	if parsed, err := parseJWT(token); err != nil || parsed.claims["roles"] != nil {
		t.Errorf("%v, roles %v", err, parsed.claims["roles"])
	}
	s.secure(t).do("AUTH XOAUTH2 "+xoauth2(mailbox, token), "535 5.7.3 ")
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	s := start(t, Options{MaxConnections: 2})
	first, _ := s.login(t), s.login(t)
	auth := "AUTH XOAUTH2 " + xoauth2(mailbox, s.appToken(t, appScopeSMTP))
	third := s.secure(t)
	third.do(auth, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. [Hostname=")
	first.do("QUIT", "221 ")
	third.do(auth, "235 ")
	if n := s.Counters(); n.Limited != 1 || n.PeakMailboxConnections != 2 {
		t.Errorf("%d limited, peak %d", n.Limited, n.PeakMailboxConnections)
	}
}

// TestEventsKeepSecrets listens to everything that is told, and looks for what must not be.
func TestEventsKeepSecrets(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told strings.Builder
	kinds := map[Kind]bool{}
	s := start(t, Options{RefreshToken: "a-refresh-token", Observe: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		kinds[e.Kind] = true
		fmt.Fprintf(&told, "%+v\n", e)
	}})
	token := s.appToken(t, appScopeSMTP)
	s.post(t, s.tokenPath(), url.Values{"grant_type": {grantRefreshToken}, "client_id": {s.ClientID()}, "client_secret": {"wrong-secret"}, "refresh_token": {"a-refresh-token"}})
	c := s.secure(t)
	c.do("AUTH XOAUTH2 "+xoauth2(mailbox, token+"x"), "535 ")
	c.do("AUTH XOAUTH2 "+xoauth2(mailbox, token), "235 ")
	c.send("MAIL FROM:<" + mailbox + ">\r\nRCPT TO:<a@b.c>\r\nBDAT 0 LAST\r\n")
	c.want("250 ")
	c.want("250 ")
	c.want("250 ")
	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{token, s.ClientSecret(), "wrong-secret", "a-refresh-token"} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("a secret was told")
		}
	}
	for _, k := range []Kind{EventConnection, EventTLS, EventAuth, EventAuthRefused, EventToken, EventTokenRefused, EventMessage} {
		if !kinds[k] {
			t.Errorf("nothing was told of %q", k)
		}
	}
}
