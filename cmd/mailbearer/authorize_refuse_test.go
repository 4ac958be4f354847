package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// authorizeElsewhere runs the command with a browser on another machine, and returns all it said.
func authorizeElsewhere(t *testing.T, w *world) (string, error) {
	t.Helper()
	c := command("authorize", "default", "--browser", "--config", w.config)
	c.Env = append(c.Env, "PATH=", "DISPLAY=", "WAYLAND_DISPLAY=") // no browser starts on the machine of the tests
	return converse(t, c, func(line string) string {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "https://") {
			return elsewhere(t, w, line) + "\n"
		}
		return ""
	})
}

// spoilStore makes the store unwritable, for root too: a directory stands where the new file is to be made.
func (w *world) spoilStore() {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Join(w.dir, "data", "tokens.new", "x"), 0o700); err != nil {
		w.t.Fatal(err)
	}
}

// A token that the mail server is sure to refuse is no sign-in.
func TestAuthorizeRefusesATokenForAnotherAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}, User: testMailbox})
	w.configure(map[string]string{"oauth": fmt.Sprintf(
		`{ flow = "browser", tenant = "%s", client_id = "%s", scopes = ["https://graph.microsoft.com/Mail.Send", "offline_access"] }`, w.fake.Tenant(), w.fake.ClientID())})
	all, err := authorizeElsewhere(t, w)
	if err == nil || !strings.Contains(all, "did not succeed") || !strings.Contains(all, "The token is for Microsoft Graph") ||
		!strings.Contains(all, "What to do: 1. Remove oauth.scopes") || strings.Contains(all, "SendAsApp") || strings.Contains(all, "is stored") {
		t.Errorf("%v:\n%s", err, all)
	}
	if steps, _, _ := w.check(); !strings.Contains(steps["token"].Cause, "Nobody has signed in") {
		t.Errorf("it is kept: %+v", steps["token"])
	}
}

func TestAuthorizeLooksAtTheStoreFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.browserFlow()
	w.spoilStore()
	all, err := authorizeElsewhere(t, w)
	if err == nil || strings.Contains(all, "https://") || !strings.Contains(all, "nobody was asked to sign in") ||
		!strings.Contains(all, "What to do: 1. Run this as the relay's user") || strings.Contains(all, "mail goes on") {
		t.Errorf("%v:\n%s", err, all)
	}
}

func TestAuthorizeGoesOnAfterAFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}, User: testMailbox})
	w.browserFlow()
	w.fake.Fault(fake365.Fault{At: "token", Status: 503, Answer: "<html>busy", Times: 1})
	all, err := authorizeElsewhere(t, w)
	if err != nil || !strings.Contains(all, "It takes longer") || !strings.Contains(all, "Signed in as "+testMailbox) {
		t.Errorf("%v:\n%s", err, all)
	}
	w.fake.Fault(fake365.Fault{At: "token", Status: 503, Answer: "<html>busy"})
	all, err = authorizeElsewhere(t, w)
	if err == nil || !strings.Contains(all, "What to do: 1. Run the command again") || strings.Contains(all, "tried again") {
		t.Errorf("%v:\n%s", err, all)
	}
}
