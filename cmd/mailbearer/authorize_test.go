package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
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
	w.relay.stop()
	if strings.Contains(w.relay.logged()+said, "eyJ") {
		t.Error("a token is shown")
	}
	w.start() // the sign-in is kept
	if reply, err := send(w.relay.address, message("after", 300)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("after a restart: %q, %v\n%s", reply, err, tail(w.relay.logged()))
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
