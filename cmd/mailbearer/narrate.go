package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// narrator tells the demo's story: what the relay logs and what the fake provider sees, as a person wants to read it.
type narrator struct {
	delivered chan struct{} // one slot: the courier has said that a message was delivered

	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func newNarrator(w io.Writer) *narrator {
	return &narrator{delivered: make(chan struct{}, 1), w: w, start: time.Now()}
}

func (n *narrator) noteDelivered() {
	select {
	case n.delivered <- struct{}{}:
	default:
	}
}

// say writes one step: when, who, what.
func (n *narrator) say(who, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.w, "  %8.3fs  %-9s %s\n", time.Since(n.start).Seconds(), who, safe(fmt.Sprintf(format, args...)))
}

func (n *narrator) write(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.w, format, args...)
}

func (n *narrator) welcome(relay, smtp, entra, config string) {
	n.write(`mailbearer demo: the whole product on this machine. No account is needed and nothing leaves it.

  relay               %s   (old devices send here)
  fake Microsoft 365  %s   (Exchange Online: STARTTLS, XOAUTH2 only)
                      %s   (Entra: sign-in)
  configuration       %s

An old device sends a message:

`, relay, smtp, entra, config)
	n.mu.Lock()
	n.start = time.Now()
	n.mu.Unlock()
}

func (n *narrator) end(format string, args ...any) {
	n.write("\n"+format+"\n", args...)
}

func (n *narrator) invite(relay string) {
	host, port, _ := strings.Cut(relay, ":")
	n.write(`
The demo stays up until Ctrl-C. Send to it with whatever you have, with AUTH (user %[1]q, password %[2]q) or without:

  curl:   printf 'From: <me@contoso.example>\r\nTo: <you@contoso.example>\r\nSubject: hello\r\n\r\nHello.\r\n' |
            curl -sS --url smtp://%[3]s --user %[1]s:%[2]s --mail-from me@contoso.example --mail-rcpt you@contoso.example -T -
  swaks:  swaks --server %[4]s --port %[5]s --auth LOGIN --auth-user %[1]s --auth-password %[2]s --from me@contoso.example --to you@contoso.example

Each message is shown here:

`, demoUser, demoPassword, relay, host, port)
}

// Write takes the relay's log, one JSON line at a time.
func (n *narrator) Write(p []byte) (int, error) {
	var l logLine
	if json.Unmarshal(p, &l) == nil {
		n.relay(l)
	}
	return len(p), nil
}

// logLine is what the story needs of a log line.
type logLine struct {
	Level, Event, ID, Client, User, TLS, Sender, Reply, Cause, Fix, Message, Detail, Error string

	Recipient recipients
	Size      int64
	Attempt   int
	Duration  int64 `json:"duration_ms"`
}

// recipients is one address, or a list of them.
type recipients []string

func (r *recipients) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*r = recipients{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(r))
}

func (n *narrator) relay(l logLine) {
	to := strings.Join(l.Recipient, ", ")
	switch l.Event {
	case "accepted":
		n.say("relay", "accepted %s from <%s> to <%s>, %d octets; on disk, synced, in %d ms", l.ID, l.Sender, to, l.Size, l.Duration)
	case "delivered":
		defer n.noteDelivered()
		n.say("courier", "delivered %s in %d ms, attempt %d; the provider said: %s", l.ID, l.Duration, l.Attempt, l.Reply)
	case "deferred", "failed":
		n.say("courier", "%s %s for <%s>: %s; the provider said: %s", l.Event, l.ID, to, l.Cause, l.Reply)
	case "held":
		n.say("courier", "the account is held, its mail waits: %s. What to do: %s", l.Cause, l.Fix)
	default:
		if l.Level == "warn" || l.Level == "error" {
			n.say("relay", "%s %s%s", l.Message, l.Detail, l.Error)
		}
	}
}

// provider takes what the fake sees.
func (n *narrator) provider(e fake365.Event) {
	switch e.Kind {
	case fake365.EventToken:
		n.say("entra", "issues an %s", e.Detail)
	case fake365.EventTokenRefused:
		n.say("entra", "refuses a token: %s", e.Detail)
	case fake365.EventConnection:
		n.say("exchange", "a connection from the relay")
	case fake365.EventTLS:
		n.say("exchange", "encrypted by %s", e.Detail)
	case fake365.EventAuth:
		n.say("exchange", "signed in: mailbox %s, by %s", e.Mailbox, e.Detail)
	case fake365.EventMessage:
		n.say("exchange", "has the message of mailbox %s, from <%s>, %d octets", e.Message.Mailbox, e.Message.Sender, len(e.Message.Data))
	default:
		n.say("exchange", "%s: %s", e.Kind, strings.TrimSpace(e.Mailbox+" "+e.Detail))
	}
}
