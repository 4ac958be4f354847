package config

import (
	"errors"
	"testing"
)

// TestWithoutSecrets: who calls sendmail may not be able to read what the configuration names.
func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	const text = `
[tokens]
key = "file:not/there"
[console]
certificate = "not/there.pem"
key = "not/there.key"
[alerts]
webhook = "env:MAILBEARER_NOT_SET"
[[user]]
name = "scanner"
password = "file:not/there"
[[account]]
name = "default"
mailbox = "noreply@example.com"
oauth = { flow = "client-secret", tenant = "contoso.onmicrosoft.com", client_id = "11111111-2222-3333-4444-555555555555", client_secret = "file:not/there" }
endpoints = { ca_file = "not/there.pem" }
[[account]]
name = "second"
mailbox = "second@example.com"
oauth = { flow = "client-certificate", tenant = "contoso.onmicrosoft.com", client_id = "11111111-2222-3333-4444-555555555555" }
`
	var mistakes Mistakes
	if _, err := Parse("t.toml", []byte(text)); !errors.As(err, &mistakes) || len(mistakes) != 8 {
		t.Errorf("with secrets: %v", err)
	}
	c := parse(t, text, WithoutSecrets)
	if c.Accounts[0].OAuth.ClientSecret.IsSet() || c.Users[0].Password.IsSet() || c.Account("second").Mailbox != "second@example.com" {
		t.Errorf("%+v", c)
	}
	if _, err := Parse("t.toml", []byte("[relay]\nnonsense = 1\n"+text), WithoutSecrets); err == nil {
		t.Error("an unknown key passed")
	}
	literal := parse(t, account, WithoutSecrets)
	if literal.Accounts[0].OAuth.ClientSecret.IsSet() {
		t.Error("a secret that stands in the file was kept")
	}
}
