package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

// What the demo's old device knows.
const (
	demoMailbox   = "noreply@contoso.example"
	demoUser      = "scanner"
	demoPassword  = "demo"
	demoRecipient = "office@contoso.example"
	demoAddress   = "127.0.0.1:2525"
)

// demoTimeout is how long the first message may take.
const demoTimeout = 20 * time.Second

func newDemo(e *env) *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See the whole product work on this machine, with no account anywhere",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runDemo(c.Context(), e, once)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the first message; exit 0 only if it arrived by XOAUTH2, byte for byte")
	return c
}

// runDemo starts a fake Microsoft 365 and a real relay, sends a message as an old device would, and shows each step.
func runDemo(ctx context.Context, e *env, once bool) error {
	n := newNarrator(e.stdout)
	fake, err := fake365.Start(fake365.Options{Mailboxes: []string{demoMailbox}, AnyFrom: true, Keep: 100, Observe: n.provider})
	if err != nil {
		return fail("the fake Microsoft 365 cannot start: %w", err)
	}
	defer fake.Close()
	dir, err := os.MkdirTemp("", "mailbearer-demo-")
	if err != nil {
		return failure{err}
	}
	defer os.RemoveAll(dir)
	cfg, err := demoConfig(dir, fake)
	if err != nil {
		return err
	}
	s, err := openStation(ctx, cfg, zerolog.New(n).With().Timestamp().Logger(), spoolRisks{})
	if err != nil {
		return err
	}
	relay := s.crew.Load().relay.Addresses()[0]
	n.welcome(relay, fake.SMTP(), fake.Authority(), filepath.Join(dir, "mailbearer.toml"))

	running, stop := context.WithCancel(ctx)
	var up sync.WaitGroup
	up.Go(func() { s.run(running, nil, nil) })
	defer up.Wait()
	defer stop()
	if err := firstMessage(ctx, n, relay, fake); err != nil {
		return failure{err}
	}
	if once {
		return nil
	}
	n.invite(relay)
	<-ctx.Done()
	return nil
}

// demoConfig writes and reads a configuration as an administrator would have it, so that the demo shows the real way.
func demoConfig(dir string, fake *fake365.Server) (*config.Config, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(demoPassword), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	ca, err := fake.WriteCA(dir)
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(fake.ClientSecret()+"\n"), 0o600); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "mailbearer.toml")
	text := fmt.Sprintf(demoTOML, filepath.Join(dir, "data"), freeAddress(demoAddress), demoUser, hash, demoMailbox,
		fake.Tenant(), fake.ClientID(), secret, fake.SMTP(), fake.Authority(), ca)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

const demoTOML = `[relay]
hostname = "relay.contoso.example"
data_dir = '%s'

[[listener]]
address = "%s"
auth = "optional"

[[user]]
name = "%s"
password_hash = "%s"

[[account]]
name = "demo"
mailbox = "%s"
oauth = { flow = "client-secret", tenant = "%s", client_id = "%s", client_secret = 'file:%s' }
endpoints = { smtp = "%s", authority = "%s", ca_file = '%s' }

[log]
level = "debug"
`

// freeAddress is the address itself, or one with a free port if it is taken.
func freeAddress(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return address
}

// firstMessage sends one message as an old device would and holds what arrived against it.
func firstMessage(ctx context.Context, n *narrator, relay string, fake *fake365.Server) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	n.say("device", "connects to %s and signs in with AUTH LOGIN as %q", relay, demoUser)
	sent := demoMessage(time.Now())
	answer, err := deviceSend(ctx, relay, sent)
	if err != nil {
		return fmt.Errorf("the old device could not send: %w", err)
	}
	n.say("device", "is told: %s", answer)
	arrived, err := fake.Wait(ctx, 1)
	if err != nil {
		return fmt.Errorf("the message did not arrive within %s: %w", demoTimeout, err)
	}
	select {
	case <-n.delivered: // its line belongs above the verdict
	case <-ctx.Done():
		return fmt.Errorf("the courier did not say within %s that the message was delivered", demoTimeout)
	}
	return n.judge(sent, arrived[0])
}

// judge says whether the message arrived as it was sent: by XOAUTH2, and byte for byte below our trace header.
func (n *narrator) judge(sent []byte, m fake365.Message) error {
	header, ok := bytes.CutSuffix(m.Data, sent)
	switch {
	case m.Mechanism != "XOAUTH2":
		return fmt.Errorf("the message arrived by %q, not by XOAUTH2", m.Mechanism)
	case !ok || !onlyReceived(header):
		return fmt.Errorf("the message was changed on its way: %d octets were sent, %d arrived", len(sent), len(m.Data))
	}
	n.end("The message arrived: authenticated by %s, all %d octets as the device sent them, below our Received field of %d.",
		m.Mechanism, len(sent), len(header))
	return nil
}

// onlyReceived says whether a piece of header is one Received field and nothing else.
func onlyReceived(h []byte) bool {
	lines := bytes.SplitAfter(h, []byte("\r\n"))
	if !bytes.HasPrefix(h, []byte("Received: ")) || len(lines[len(lines)-1]) != 0 {
		return false
	}
	for _, l := range lines[1 : len(lines)-1] {
		if l[0] != '\t' && l[0] != ' ' {
			return false
		}
	}
	return true
}
