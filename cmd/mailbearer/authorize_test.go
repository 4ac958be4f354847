package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/tokens"
)

var userCode = regexp.MustCompile(`Type the code (\S+)`)

// approve reads a command's output until it shows a device code, has the person at the fake agree, and returns the rest.
func approve(t *testing.T, w *world, out io.Reader) string {
	t.Helper()
	var all strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := userCode.FindStringSubmatch(lines.Text()); m != nil {
			if !w.fake.Approve(m[1]) {
				t.Errorf("the fake knows no code %s", m[1])
			}
		}
	}
	return all.String()
}

func TestAuthorizeBesideARunningRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}, AnyFrom: true, User: testMailbox, TokenLifetime: time.Minute})
	w.configure(map[string]string{"oauth": fmt.Sprintf(`{ flow = "device-code", tenant = "%s", client_id = "%s" }`, w.fake.Tenant(), w.fake.ClientID())})
	w.start()
	if reply, err := send(w.relay.address, message("before", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("before the sign-in: %q, %v", reply, err)
	}
	w.eventually(func() bool {
		out, _, _ := output("status", "--config", w.config)
		return strings.Contains(out, "held") && strings.Contains(out, "authorize")
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := command("authorize", "default", "--config", w.config)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { c.Process.Kill() })
	said := approve(t, w, out)
	if err := c.Wait(); err != nil || !strings.Contains(said, "Signed in as "+testMailbox) {
		t.Fatalf("%v:\n%s", err, said)
	}
	w.arrived(1, 10*time.Second) // no restart
	w.eventually(func() bool {   // Microsoft keeps an unused sign-in for 90 days
		left := time.Until(w.status().Accounts[0].CredentialExpires)
		return left > 89*24*time.Hour && left < 91*24*time.Hour
	})
	w.relay.stop()
	if strings.Contains(w.relay.logged()+said, "eyJ") {
		t.Error("a token is shown")
	}
	w.start() // the sign-in is kept
	if reply, err := send(w.relay.address, message("after", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("after a restart: %q, %v\n%s", reply, err, tail(w.relay.logged()))
	}
}

// elsewhere is a browser on another machine: it signs in, and cannot reach the page that it is sent to, whose address
// it returns.
func elsewhere(t testing.TB, w *world, at string) string {
	t.Helper()
	roots, err := tokens.LoadCAFile(filepath.Join(w.dir, "fake365-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := browser.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location")
}

// browserFlow configures an account for a person's sign-in with a browser.
func (w *world) browserFlow() {
	w.configure(map[string]string{"oauth": fmt.Sprintf(`{ flow = "browser", tenant = "%s", client_id = "%s" }`, w.fake.Tenant(), w.fake.ClientID())})
}

// converse runs a command to its end, answers its lines, and returns all it said.
func converse(t testing.TB, c *exec.Cmd, answer func(line string) string) (all string, err error) {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(30*time.Second, func() { c.Process.Kill() }).Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); all += lines.Text() + "\n" {
		io.WriteString(in, answer(lines.Text()))
	}
	return all, c.Wait()
}

// On a server without a screen the person opens the address elsewhere, and pastes what its browser ends at.
func TestAuthorizeByPasting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}, User: testMailbox})
	w.browserFlow()
	c := command("authorize", "default", "--browser", "--config", w.config)
	c.Env = append(c.Env, "PATH=", "DISPLAY=", "WAYLAND_DISPLAY=") // no browser starts on the machine of the tests
	var back string
	all, err := converse(t, c, func(line string) string {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "https://"):
			back = elsewhere(t, w, line)
			return "\n" + strings.Replace(back, "state=", "state=x", 1) + "\n"
		case strings.Contains(line, "another sign-in"):
			return back + "\n"
		}
		return ""
	})
	if err != nil || !strings.Contains(all, "paste the address") || !strings.Contains(all, "Signed in as "+testMailbox) {
		t.Fatalf("%v:\n%s", err, all)
	}
	if steps, human, code := w.check(); code != exitFine || steps["auth"].Status != checkOK {
		t.Errorf("the sign-in does not work: %s", human)
	}
}

func TestAuthorizeWhereItIsNotNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	if _, errs, code := output("authorize", "default", "--config", w.config); code != exitUsage || !strings.Contains(errs, "needs no sign-in") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := output("authorize", "nobody", "--config", w.config); code != exitUsage || !strings.Contains(errs, "no account") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
