package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// asMain makes the test binary be mailbearer: the tests run it as a child process, so that they can kill it.
const asMain = "MAILBEARER_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command returns mailbearer as a child process would be started by a user.
func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	// A program built with -race sleeps for a second when it ends, unless it is told not to.
	c.Env = append(os.Environ(), asMain+"=1", "MAILBEARER_CONFIG=", "GORACE=atexit_sleep_ms=0 halt_on_error=1")
	return c
}

// output runs mailbearer to its end.
func output(args ...string) (stdout, stderr string, code int) {
	c := command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// world is a fake Microsoft 365, a configuration, and a relay that is started and killed at will.
type world struct {
	t      testing.TB
	fake   *fake365.Server
	dir    string
	config string
	relay  *process
}

const testMailbox = "noreply@contoso.example"

func newWorld(t testing.TB, o fake365.Options) *world {
	t.Helper()
	if o.Mailboxes == nil {
		o.Mailboxes, o.AnyFrom = []string{testMailbox}, true
	}
	fake, err := fake365.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, fake: fake, dir: t.TempDir()}
	t.Cleanup(func() {
		if w.relay != nil {
			w.relay.kill()
		}
		fake.Close()
	})
	w.configure(nil)
	return w
}

// configure writes a configuration: the plainest one, with replacements by table for what a test needs.
func (w *world) configure(tables map[string]string) {
	w.t.Helper()
	ca, err := w.fake.WriteCA(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	secret := filepath.Join(w.dir, "secret")
	if err := os.WriteFile(secret, []byte(w.fake.ClientSecret()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	values := map[string]string{
		"relay":    fmt.Sprintf("hostname = \"relay.contoso.example\"\ndata_dir = '%s'\ngrace = \"3s\"", filepath.Join(w.dir, "data")),
		"listener": "address = \"127.0.0.1:0\"\nauth = \"optional\"",
		"user":     "name = \"scanner\"\npassword_hash = \"$2a$04$LbU0WzsKGx1SOPRyLrfxAuvqR5qUpNIUo5RB2KPkjERIUTzIhibXq\"",
		"limits":   "{ messages_per_minute = 0 }",
		"oauth":    fmt.Sprintf(`{ flow = "client-secret", tenant = "%s", client_id = "%s", client_secret = 'file:%s' }`, w.fake.Tenant(), w.fake.ClientID(), secret),
		"spool":    "retry = [\"1s\"]",
		"log":      "level = \"trace\"\nformat = \"json\"",
	}
	for k, v := range tables {
		values[k] = v
	}
	text := fmt.Sprintf("[relay]\n%s\n[[listener]]\n%s\n[[user]]\n%s\n[[account]]\nname = \"default\"\nmailbox = \"%s\"\noauth = %s\nlimits = %s\n"+
		"endpoints = { smtp = \"%s\", authority = \"%s\", ca_file = '%s' }\n[spool]\n%s\n[console]\naddress = \"off\"\n[log]\n%s\n",
		values["relay"], values["listener"], values["user"], testMailbox, values["oauth"], values["limits"],
		w.fake.SMTP(), w.fake.Authority(), ca, values["spool"], values["log"])
	w.config = filepath.Join(w.dir, "mailbearer.toml")
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// process is a running relay.
type process struct {
	cmd     *exec.Cmd
	address string
	ended   chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs the relay and returns when it is ready.
func (w *world) start(flags ...string) {
	w.t.Helper()
	p := &process{cmd: command(append([]string{"run", "--config", w.config}, flags...)...), ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go p.read(stderr, ready)
	select {
	case p.address = <-ready:
	case <-p.ended:
		w.t.Fatalf("the relay did not start:\n%s", p.logged())
	case <-time.After(20 * time.Second):
		p.kill()
		w.t.Fatalf("the relay was not ready within 20s:\n%s", p.logged())
	}
	w.relay = p
}

// read keeps the log and finds the address that the relay listens on.
func (p *process) read(r io.Reader, ready chan<- string) {
	defer close(p.ended)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.log.Write(lines.Bytes())
		p.log.WriteByte('\n')
		p.mu.Unlock()
		var l struct {
			Message   string
			Listeners []string
		}
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Message == "mailbearer is ready" {
			ready <- l.Listeners[0]
		}
	}
	p.cmd.Wait()
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the relay as a power cut would, as far as the process goes.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stop asks the relay to end and returns its exit code.
func (p *process) stop() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// message makes a text that can be recognised.
func message(id string, size int) []byte {
	b := fmt.Appendf(nil, "From: <%s>\r\nTo: <office@contoso.example>\r\nSubject: %s\r\n"+
		"Date: Thu, 31 Dec 2026 23:59:58 +0000\r\nMessage-ID: <%s@contoso.example>\r\nX-Test-Id: %s\r\n\r\n", testMailbox, id, strings.ReplaceAll(id, " ", "-"), id)
	for len(b) < size {
		b = fmt.Appendf(b, "line %d of %s, with a dot:\r\n.%s\r\n", len(b), id, strings.Repeat("x", 60))
	}
	return b
}

// send hands one message over and returns the final reply.
func send(address string, text []byte, recipients ...string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(40 * time.Second))
	s := &sender{textproto.NewConn(c)}
	if err := s.hello(); err != nil {
		return "", err
	}
	return s.send(text, recipients...)
}

// sender is a client that keeps its connection.
type sender struct{ c *textproto.Conn }

func (s *sender) hello() error {
	if _, _, err := s.c.ReadResponse(220); err != nil {
		return err
	}
	return s.step("EHLO test", 250)
}

func (s *sender) step(line string, code int) error {
	if err := s.c.PrintfLine("%s", line); err != nil {
		return err
	}
	_, _, err := s.c.ReadResponse(code)
	return err
}

func (s *sender) send(text []byte, recipients ...string) (string, error) {
	if err := s.step("MAIL FROM:<"+testMailbox+">", 250); err != nil {
		return "", err
	}
	if len(recipients) == 0 {
		recipients = []string{"office@contoso.example"}
	}
	for _, r := range recipients {
		if err := s.step("RCPT TO:<"+r+">", 250); err != nil {
			return "", err
		}
	}
	if err := s.step("DATA", 354); err != nil {
		return "", err
	}
	w := s.c.DotWriter()
	w.Write(text)
	if err := w.Close(); err != nil {
		return "", err
	}
	code, reply, err := s.c.ReadCodeLine(0)
	return fmt.Sprintf("%d %s", code, reply), err
}

// arrived waits until n messages are there, and holds them against what was sent, by X-Test-Id.
func (w *world) arrived(n int, within time.Duration) []fake365.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	list, err := w.fake.Wait(ctx, n)
	if err != nil {
		w.t.Fatalf("%d of %d messages arrived within %v; log:\n%s", len(list), n, within, tail(w.relay.logged()))
	}
	return list
}

func tail(s string) string {
	if len(s) > 6000 {
		return "…" + s[len(s)-6000:]
	}
	return s
}

// testID finds what message wrote.
func testID(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte("X-Test-Id: "))
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(id)
}

// dial opens a session up to EHLO.
func (w *world) dial() *sender {
	w.t.Helper()
	c, err := net.DialTimeout("tcp", w.relay.address, 5*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	s := &sender{textproto.NewConn(c)}
	if err := s.hello(); err != nil {
		w.t.Fatal(err)
	}
	return s
}
