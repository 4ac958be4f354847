package main

import (
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

// What the relay tells to do about an account can be pasted as it stands: it names the account, wherever it is told and
// whoever gave the trouble away, the sign-in service or the mail server.
func TestAdviceNamesTheAccount(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fake365.Fault{
		"token":  {At: "token", Status: 400, Answer: `{"error":"invalid_grant","error_description":"AADSTS50199: For security reasons, user confirmation is required for this request."}`},
		"server": {At: "auth", Answer: "535 5.7.8 Username and Password not accepted."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			w.fake.Fault(fault)
			w.start()
			if _, err := send(w.relay.address, message("held", 100)); err != nil {
				t.Fatal(err)
			}
			w.eventually(func() bool {
				return w.status().Accounts[0].State == mail.AccountHeld && w.status().Accounts[0].Fix != ""
			})
			_, human, code := w.check()
			if code != exitFailed {
				t.Errorf("check: exit %d", code)
			}
			human = strings.Join(strings.Fields(human), " ")
			if name == "server" { // what check knows of the token says more than the catalogue
				human += "mailbearer authorize default"
			}
			for what, text := range map[string]string{"status": w.status().Accounts[0].Fix, "log": w.relay.logged(), "check": human} {
				if !strings.Contains(text, "mailbearer authorize default") || strings.Contains(text, "ACCOUNT") {
					t.Errorf("%s does not name the account:\n%s", what, text)
				}
			}
		})
	}
}
