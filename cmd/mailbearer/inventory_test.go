package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

func TestInventoryOfClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	for range 2 {
		if _, err := send(w.relay.address, []byte("Subject: no date, no from\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	w.arrived(2, 10*time.Second)
	w.eventually(func() bool {
		out, _, _ := output("status", "--clients", "--json", "--config", w.config)
		var list []mail.Visit
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
			return false
		}
		c := list[0]
		return c.Address == "127.0.0.1" && c.Name == "test" && c.Count == 2 && c.Accepted == 2 && len(c.Repairs) > 0
	})
	out, _, _ := output("status", "--clients", "--config", w.config)
	if !strings.Contains(out, "127.0.0.1") || !strings.Contains(out, "ADDRESS") {
		t.Errorf("status --clients:\n%s", out)
	}
}

func TestRewriteAndLocalNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}}) // takes no other From
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\n[aliases]\nroot = \"it@contoso.example\""})
	w.start()
	s := w.dial()
	for _, step := range []struct {
		line string
		code int
	}{
		{"MAIL FROM:<root@nas.local>", 250}, {"RCPT TO:<root>", 250}, {"DATA", 354},
		{"From: NAS in the cellar <root@nas.local>\r\nSubject: disk\r\n\r\nx\r\n.", 250},
	} {
		if err := s.step(step.line, step.code); err != nil {
			t.Fatalf("%s: %v", step.line, err)
		}
	}
	m := w.arrived(1, 10*time.Second)[0]
	if m.Sender != testMailbox || m.Recipients[0] != "it@contoso.example" {
		t.Errorf("from <%s> to %v", m.Sender, m.Recipients)
	}
	if !strings.Contains(string(m.Data), "<"+testMailbox+">") || strings.Contains(string(m.Data), "From: NAS in the cellar <root@nas.local>") {
		t.Errorf("From was not made sendable:\n%s", m.Data)
	}
}
