package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// fault is one thing that is wrong, what becomes of the steps, and the words that must stand in the named one.
type checkFault struct {
	name    string
	options fake365.Options
	induce  func(t *testing.T, w *world)
	status  string
	step    string
	words   []string
	code    int
}

const (
	noMail  = "tls failed, auth skipped"
	noToken = "token failed, claims skipped, auth skipped"
)

var checkFaults = []checkFault{
	{name: "nothing", induce: func(*testing.T, *world) {}, step: "auth", words: []string{"235 2.7.0", "XOAUTH2", testMailbox}},
	{name: "port refused", induce: func(_ *testing.T, w *world) { w.fake.Down() }, status: "tcp failed, tls skipped, auth skipped", step: "tcp",
		words: []string{"refuse", "endpoints.smtp"}, code: 1},
	{name: "wrong host name", induce: changed(`smtp = "localhost:`, `smtp = "no-such-host.invalid:`), status: "dns failed, tcp skipped, tls skipped, auth skipped",
		step: "dns", words: []string{"no-such-host.invalid"}, code: 1},
	{name: "TLS of a foreign authority", induce: func(t *testing.T, w *world) {
		text, _ := os.ReadFile(w.config)
		_, rest, _ := strings.Cut(string(text), ", ca_file = '")
		file, _, _ := strings.Cut(rest, "'")
		w.change(", ca_file = '"+file+"'", "")
	}, status: "tls failed, clock skipped, token failed, claims skipped, auth skipped", step: "tls", words: []string{"intercept", "ca_file", "fake365 CA"}, code: 1},
	{name: "a silent port", induce: mailAt(silent), status: noMail, step: "tls", words: []string{"says nothing", "endpoints.smtp"}, code: 1},
	{name: "a port that speaks SSH", induce: mailAt(says("SSH-2.0-OpenSSH_9.9\r\n")), status: noMail, step: "tls", words: []string{"SSH-2.0-OpenSSH_9.9", "does not speak SMTP"}, code: 1},
	{name: "a port with TLS from the start", induce: mailAt(implicitTLS), status: noMail, step: "tls", words: []string{"TLS from the first byte", "465", "587"}, code: 1},
	{name: "no STARTTLS", induce: mailAt(plainSMTP), status: noMail, step: "tls", words: []string{"STARTTLS", "firewall"}, code: 1},
	{name: "greeting refused", induce: faultAt(fake365.Fault{At: "connect", Answer: "421 4.3.2 Service not available"}), status: noMail, step: "tls", words: []string{"421 4.3.2 Service not available"}, code: 1},
	{name: "EHLO refused", induce: faultAt(fake365.Fault{At: "ehlo", Answer: "501 5.5.4 Invalid domain name"}), status: noMail, step: "tls", words: []string{"501 5.5.4"}, code: 1},
	{name: "connection cut at STARTTLS", induce: faultAt(fake365.Fault{At: "starttls", Drop: true}), status: noMail, step: "tls", words: []string{"firewall"}, code: 1},

	{name: "proxy wants credentials", induce: func(t *testing.T, w *world) {
		w.change("[log]", "[network]\nproxy = \"http://u:wrongpw@"+httpProxy(t, new(atomic.Int32))+"\"\n[log]")
	},
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"user name and password", "network.proxy"}, code: 1},
	{name: "proxy refuses the mail port", induce: func(t *testing.T, w *world) {
		w.change("[log]", "[network]\nproxy = \"http://"+local(t, refusesConnect)+"\"\n[log]")
	},
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"403 Forbidden", "allowed at the proxy"}, code: 1},
	{name: "proxy swallows the mail port", induce: throughProxy("http", silent),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"did not answer in time", "not overloaded"}, code: 1},
	{name: "proxy cannot reach the mail server", induce: throughProxy("http", answersConnect("504 Gateway Timeout")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"504 Gateway Timeout", "cannot reach"}, code: 1},
	{name: "SOCKS proxy where HTTP is expected", induce: throughProxy("socks5", answersConnect("400 Bad Request")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"does not speak as a proxy of this kind"}, code: 1},
	{name: "SOCKS proxy wants credentials", induce: throughProxy("socks5", socksAnswers("\x05\xff")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"wants a user name and password", "socks5://user:password@"}, code: 1},
	{name: "SOCKS proxy refuses the credentials", induce: throughProxy("socks5", socksAnswers("\x05\x02", "\x01\x01")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"does not accept the ones it was given"}, code: 1},
	{name: "SOCKS proxy refuses the mail port", induce: throughProxy("socks5", socksAnswers("\x05\x02", "\x01\x00", "\x05\x02\x00\x01")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"allowed at the proxy"}, code: 1},
	{name: "SOCKS proxy cannot reach the mail server", induce: throughProxy("socks5", socksAnswers("\x05\x00", "\x05\x05\x00\x01")),
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token failed, claims skipped, auth skipped", step: "proxy", words: []string{"cannot reach"}, code: 1},
	{name: "proxy is not there", induce: func(t *testing.T, w *world) { w.change("[log]", "[network]\nproxy = \"socks5://127.0.0.1:1\"\n[log]") },
		status: "dns skipped, tcp skipped, proxy failed, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "proxy", words: []string{"cannot be reached", "network.proxy"}, code: 1},

	{name: "wrong secret", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = "wrong-secret-value" }`), status: noToken, step: "token", words: []string{"AADSTS7000215", "secret"}, code: 1},
	{name: "wrong client id", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "00000000-1111-2222-3333-444444444444", client_secret = 'file:%s' }`), status: noToken, step: "token", words: []string{"AADSTS700016", "client"}, code: 1},
	{name: "wrong tenant", induce: oauth(`{ flow = "client-secret", tenant = "fabrikam.onmicrosoft.com", client_id = "%c", client_secret = 'file:%s' }`), status: noToken, step: "token", words: []string{"AADSTS90002", "tenant"}, code: 1},
	{name: "certificate not registered", induce: certificateThatEnds(time.Hour), status: noToken, step: "token", words: []string{"AADSTS700027", "ertificate"}, code: 1},
	{name: "certificate expired", induce: certificateThatEnds(-time.Hour), status: noToken, step: "token", words: []string{"expired", "upload"}, code: 1},
	{name: "token endpoint 429", induce: faultAt(fake365.Fault{At: "token", Status: 429, Header: map[string]string{"Retry-After": "70"}, Answer: `{}`}), status: noToken, step: "token", words: []string{"429", "1m10s"}, code: 1},
	{name: "token endpoint 503", induce: faultAt(fake365.Fault{At: "token", Status: 503, Answer: `{"error":"temporarily_unavailable"}`}), status: noToken, step: "token", words: []string{"temporarily_unavailable"}, code: 1},
	{name: "captive portal", induce: faultAt(fake365.Fault{At: "discovery", Answer: `<html>Sign in to the hotel's network</html>`}), status: noToken, step: "token", words: []string{"makes no sense", "captive portal"}, code: 1},
	{name: "token endpoint down", induce: func(_ *testing.T, w *world) { w.fake.TokensDown() }, status: "clock skipped, " + noToken, step: "token", words: []string{"refused"}, code: 1},

	{name: "wrong API", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = 'file:%s', scopes = ["https://graph.microsoft.com/.default"] }`),
		status: "claims failed, auth skipped", step: "claims", words: []string{"graph.microsoft.com", "Office 365 Exchange Online", "SMTP.SendAsApp", "SMTP.Send is another one"}, code: 1},
	{name: "no role, refused", options: fake365.Options{NoConsent: true}, induce: func(*testing.T, *world) {}, status: "claims failed, auth failed", step: "claims",
		words: []string{"roles: none", "RBAC for Applications", "New-ManagementRoleAssignment", "Office 365 Exchange Online", "Grant admin consent", testMailbox}, code: 1},
	{name: "no role, but SMTP is switched off", options: fake365.Options{NoConsent: true}, induce: faultAt(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."}),
		status: "auth failed", step: "auth", words: []string{"Set-CASMailbox"}, code: 1},
	{name: "app unknown to Exchange", options: fake365.Options{Mailboxes: []string{"other@contoso.example"}}, induce: func(*testing.T, *world) {}, status: "auth failed", step: "auth",
		words: []string{"535 5.7.3", "Enterprise applications", "New-ServicePrincipal -AppId", "Add-MailboxPermission -Identity " + testMailbox}, code: 1},
	{name: "SMTP off for the mailbox", induce: faultAt(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information."}),
		status: "auth failed", step: "auth", words: []string{"switched off for this mailbox", "Set-CASMailbox"}, code: 1},
	{name: "mailbox busy", induce: faultAt(fake365.Fault{At: "auth", Answer: "432 4.3.2 Concurrent connections limit exceeded."}), status: "auth skipped", step: "auth", words: []string{"busy", "not refused"}},
	{name: "sign-in down", induce: faultAt(fake365.Fault{At: "auth", Answer: "454 4.7.0 Temporary authentication failure"}), status: "auth failed", step: "auth", words: []string{"454 4.7.0"}, code: 1},

	{name: "ca_file is missing", induce: func(t *testing.T, w *world) { w.change("fake365-ca.pem", "gone.pem") },
		status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"ca_file", "gone.pem", "mailbearer.toml:"}, code: 2},
	{name: "the client ID is left out", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "` + noClientID + `", client_secret = 'file:%s' }`),
		status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"still the zeros", "App registrations"}, code: 2},
	{name: "the secret is left out", induce: oauth(`{ flow = "client-secret", tenant = "%t", client_id = "%c", client_secret = "` + notASecret + `" }`),
		status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"still has the words", "not its Secret ID"}, code: 2},
	{name: "ca_file is no PEM", induce: func(t *testing.T, w *world) {
		os.WriteFile(filepath.Join(w.dir, "fake365-ca.pem"), []byte("0\x82\x03"), 0o600)
	}, status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped", step: "config", words: []string{"ca_file", "PEM"}, code: 2},
	{name: "a wrong key", induce: changed("[spool]", "[spool]\nretri = 1"), status: "config failed, dns skipped, tcp skipped, tls skipped, clock skipped, token skipped, claims skipped, auth skipped",
		step: "config", words: []string{`did you mean "retry"`}, code: 2},
}

func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	for _, f := range checkFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f.options)
			f.induce(t, w)
			steps, human, code := w.check()
			if got := status(steps); got != f.status || code != f.code {
				t.Errorf("exit %d, want %d; %s; want %s\n%s", code, f.code, got, f.status, human)
			}
			for _, word := range f.words {
				if !strings.Contains(steps[f.step].all(), word) {
					t.Errorf("%s does not say %q:\n%s", f.step, word, steps[f.step].all())
				}
				if f.code == 1 && !strings.Contains(human, word) {
					t.Errorf("people are not told %q:\n%s", word, human)
				}
			}
			if f.code == 1 && !strings.Contains(human, "Next: do what stands above under") {
				t.Errorf("what to do next is not said:\n%s", human)
			}
		})
	}
}
