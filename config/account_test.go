package config

import (
	"strings"
	"testing"
)

// A person's sign-in without scopes is good for whatever the provider chooses: that is said, and no more.
func TestScopesOfACustomProvider(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"browser", "device-code", "client-secret"} {
		text := "[[account]]\nname = 'a'\nmailbox = 'a@example.com'\nprovider = 'custom'\n[account.oauth]\nflow = '" + flow + "'\nclient_id = 'y'\n"
		if flow == "client-secret" {
			text += "client_secret = 'x'\n"
		}
		endpoints := "[account.endpoints]\nsmtp = 'a.test:465'\ntoken = 'https://a.test/t'\nauthorize = 'https://a.test/a'\ndevice = 'https://a.test/d'\n"
		warned := strings.Contains(strings.Join(parse(t, text+endpoints).Warnings, "\n"), ": account.oauth.scopes: is missing: the provider decides")
		if warned != (flow != "client-secret") {
			t.Errorf("%s: warned %v", flow, warned)
		}
		if w := strings.Join(parse(t, text+"scopes = ['mail']\n"+endpoints).Warnings, "\n"); strings.Contains(w, "scopes") {
			t.Errorf("%s: with scopes: %s", flow, w)
		}
	}
}
