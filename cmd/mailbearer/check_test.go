package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

func TestCheckByAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.change("[log]", "[network]\nproxy = \"http://u:pw@"+httpProxy(t, new(atomic.Int32))+"\"\n[log]")
	steps, human, code := w.check()
	if got := status(steps); code != 0 || got != "dns skipped, tcp skipped" || steps["proxy"].Status != checkOK {
		t.Errorf("exit %d, %s\n%s", code, got, human)
	}
}

// A mailbox with one connection, which the relay keeps: the check is told that it is busy, and that is no failure. Once
// the relay has gone, the check takes its one connection and gives it back.
func TestCheckBesideARelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{MaxConnections: 1})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err)
	}
	steps, human, code := w.check()
	if code != 0 || steps["auth"].Status != checkSkipped || !strings.Contains(steps["auth"].Cause, "the relay is using the mailbox's connections") || !strings.HasPrefix(steps["auth"].Said, "432 4.3.2") {
		t.Errorf("exit %d: %+v\n%s", code, steps["auth"], human)
	}
	w.relay.stop()
	for range 2 {
		if steps, human, code = w.check(); code != 0 || steps["auth"].Status != checkOK {
			t.Errorf("exit %d: %+v\n%s", code, steps["auth"], human)
		}
	}
	if n := len(w.fake.Messages()); n != 1 {
		t.Errorf("%d messages: a check sends none", n)
	}
}

// A passing check makes the relay try a held account at once, whatever its schedule says.
func TestCheckWakesAHeldAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"spool": "retry = [\"1h\"]"})
	w.fake.Fault(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.eventually(func() bool {
		out, _, _ := output("status", "--config", w.config)
		return strings.Contains(out, "held")
	})
	w.fake.ClearFaults()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"check", "--config", w.config}, nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "asked to try again at once") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	w.arrived(1, 10*time.Second)
}

func TestCheckUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	for _, c := range []struct{ args, want string }{
		{"check --account nobody --json --config " + w.config, `"name": "nobody"`},
		{"check --json --config " + filepath.Join(w.dir, "gone.toml"), `"status": "failed"`},
		{"check extra", ""},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), nil, &out, &errs)
		if code != exitUsage || errs.Len() == 0 || !strings.Contains(out.String(), c.want) || c.want != "" && !json.Valid(out.Bytes()) {
			t.Errorf("%s: exit %d\n%s\n%s", c.args, code, out.String(), errs.String())
		}
	}
}

func TestCheckClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{TokenLifetime: 2 * time.Hour})
	for _, c := range []struct {
		skew  time.Duration
		state checkStatus
		words string
	}{
		{30 * time.Second, checkOK, ""},
		{2 * time.Minute, checkOK, "ahead of"},
		{-2 * time.Minute, checkOK, "behind"},
		{-10 * time.Minute, checkFailed, "behind"},
		{10 * time.Minute, checkFailed, "ahead of"},
	} {
		s := w.checkup(t.Context(), func(k *checkup) { k.now = func() time.Time { return time.Now().Add(c.skew) } })["clock"]
		if s.Status != c.state || !strings.Contains(s.Cause, c.words) || (s.Cause == "") != (c.words == "") {
			t.Errorf("%v: %+v", c.skew, s)
		}
	}
}

// A token without roles is right where Exchange grants the permission itself.
func TestCheckNoRoleGrantedByExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{NoConsent: true, Mailboxes: []string{testMailbox}})
	cfg, err := config.Load(w.config)
	if err != nil {
		t.Fatal(err)
	}
	c := newCheckup(cfg, cfg.Accounts[0], "relay.contoso.example")
	token, err := c.flow.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := c.checkClaims(t.Context(), token)
	if r.step.Status != checkOK || !strings.Contains(r.step.Cause, "RBAC for Applications") {
		t.Errorf("before AUTH: %+v", r.step)
	}
	r.passed()
	if r.step.Status != checkOK || !strings.Contains(r.step.Cause, "it does here, since AUTH passed") {
		t.Errorf("after AUTH: %+v", r.step)
	}
}

// A port that swallows everything: the rest of the chain is checked all the same.
func TestCheckBlockedPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	steps := w.checkup(t.Context(), func(c *checkup) {
		c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
	})
	if got := status(steps); got != "tcp failed, tls skipped, auth skipped" || !strings.Contains(steps["tcp"].Cause, "blocked") || !strings.Contains(steps["tcp"].Fix, "Test-NetConnection localhost") {
		t.Errorf("%s: %+v", got, steps["tcp"])
	}
}

// Port 465 means TLS from the start, and what answers there begins in the clear.
func TestCheckPlainOn465(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	at := local(t, plainSMTP)
	w.change(w.fake.SMTP(), "localhost:465")
	steps := w.checkup(t.Context(), func(c *checkup) {
		c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		}
	})
	if s := steps["tls"]; s.Status != checkFailed || s.Said != "220 mail.example ESMTP" || !strings.Contains(s.Fix, "587") {
		t.Errorf("%+v", s)
	}
}

// Whatever hangs, the check ends with its context, and every step is told of.
func TestCheckEnds(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"connect", "auth", "discovery", "token"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{})
			w.fake.Fault(fake365.Fault{At: at, Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			steps := w.checkup(ctx, func(*checkup) {})
			if d := time.Since(begin); d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
			for _, name := range checkOrder {
				if steps[name].Status == "" {
					t.Errorf("nothing is said of %s", name)
				}
			}
			if status(steps) == "" {
				t.Error("nothing is wrong")
			}
		})
	}
}

func TestCheckManyAccountsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	_, account, _ := strings.Cut(string(text), "[[account]]")
	account, _, _ = strings.Cut(account, "[spool]")
	var more strings.Builder
	names := []string{"default"}
	for i := range 6 {
		names = append(names, fmt.Sprintf("a%d", i))
		more.WriteString("[[account]]" + strings.Replace(account, "default", names[i+1], 1))
	}
	w.change("[spool]", more.String()+"[spool]")
	var out bytes.Buffer
	if code := run(t.Context(), []string{"check", "--json", "--config", w.config}, nil, &out, io.Discard); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	var v checkView
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range v.Accounts {
		got = append(got, a.Name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("%v, want %v", got, names)
	}
}
