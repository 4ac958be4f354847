package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

const spoolOnly = "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nauth = \"optional\""

// status is what `status --json` says.
func (w *world) status() (v statusView) {
	w.t.Helper()
	out, errs, _ := output("status", "--json", "--config", w.config)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		w.t.Fatalf("%v: %s%s", err, out, errs)
	}
	return v
}

func TestQueueSaysWhyMailWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"oauth": fmt.Sprintf(`{ flow = "client-secret", tenant = "%s", client_id = "%s", client_secret = "wrong" }`, w.fake.Tenant(), w.fake.ClientID())})
	w.start()
	reply, err := send(w.relay.address, message("x", 100))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimPrefix(reply, "250 2.0.0 queued as ")
	w.eventually(func() bool { return w.status().Accounts[0].State == mail.AccountHeld })
	for _, command := range [][]string{{"queue", "show", id}, {"queue", "list"}} {
		out, _, code := output(append(command, "--config", w.config)...)
		for _, want := range []string{"account default is held since 2", "AADSTS7000215", "What to do: "} {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%v does not say %q: exit %d\n%s", command, want, code, out)
			}
		}
	}
	var v messageView
	out, _, _ := output("queue", "show", id, "--json", "--config", w.config)
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.AccountReason == "" || v.AccountFix == "" || v.AccountSince.IsZero() {
		t.Errorf("%v: %s", err, out)
	}
}

func TestQueueOfAnAccountThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": spoolOnly})
	for _, command := range [][]string{{"list"}, {"retry"}, {"drop"}} { // before anything has run, too
		out, errs, code := output(append([]string{"queue", "--account", "nope", "--config", w.config}, command...)...)
		if code != exitUsage || !strings.Contains(errs, `"nope" is no account`) || !strings.Contains(errs, "default") {
			t.Errorf("%v: exit %d, %s%s", command, code, out, errs)
		}
	}
	w.fake.Down()
	w.start()
	if _, err := send(w.relay.address, message("x", 100)); err != nil {
		t.Fatal(err)
	}
	w.relay.stop()
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(string(text), `name = "default"`, `name = "renamed"`, 1)
	if err := os.WriteFile(w.config, []byte(renamed), 0o600); err != nil {
		t.Fatal(err)
	}
	v := w.status()
	if len(v.Strays) != 1 || v.Strays[0].Account != "default" || v.Strays[0].Queued != 1 || v.Strays[0].Fix == "" {
		t.Errorf("status: %+v", v.Strays)
	}
	out, errs, code := output("queue", "retry", "--account", "default", "--config", w.config)
	if code != 0 || !strings.Contains(out, "is not in the configuration") {
		t.Errorf("retry: exit %d, %s%s", code, out, errs)
	}
	if out, _, _ = output("queue", "list", "--config", w.config); !strings.Contains(out, "waits for account") || !strings.Contains(out, "Put the account") {
		t.Errorf("list: %s", out)
	}
}

func TestCommandsBeforeAnythingHasRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	const id = "0rsba9x47g34b"
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"queue hold " + id, exitFailed, "is not in the spool"},
		{"queue show " + id, exitFailed, "is not in the spool"},
		{"queue export " + id, exitFailed, "is not in the spool"},
		{"queue export --all --to " + filepath.Join(w.dir, "copy"), exitFailed, "no spool"},
		{"queue retry --all", 0, "No such messages."},
		{"queue list", 0, "No such messages."},
		{"queue show", exitUsage, "one message's ID"},
		{"status", 0, "No relay is running"},
		{"status", 0, "no token yet"},
		{"status --clients", 0, "Nobody has connected yet."},
	} {
		out, errs, code := output(append(strings.Fields(c.args), "--config", w.config)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

// Who may read the configuration need not be able to read the secrets to look at the queue.
func TestStatusNeedsNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nauth = \"optional\"\nmin_tls = \"1.0\"\nsecurity = \"starttls\""})
	if err := os.Remove(filepath.Join(w.dir, "secret")); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"status"}, {"queue", "list"}} {
		if out, errs, code := output(append(command, "--config", w.config)...); code != 0 {
			t.Errorf("%v: exit %d, %s%s", command, code, out, errs)
		}
	}
	if v := w.status(); len(v.Warnings) == 0 || !strings.Contains(v.Warnings[0], "min_tls") {
		t.Errorf("warnings: %q", v.Warnings)
	}
}

func TestStatusRemembersAcrossARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	if _, err := send(w.relay.address, message("x", 100)); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool { return !w.status().Accounts[0].LastDelivered.IsZero() })
	before := w.status()
	w.relay.stop()
	w.start()
	w.eventually(func() bool { return !w.status().Accounts[0].TokenExpires.IsZero() })
	if v := w.status(); !v.Running || !before.Running || !v.Accounts[0].LastDelivered.Equal(before.Accounts[0].LastDelivered) {
		t.Errorf("before %+v, after %+v", before, v)
	}
}

func TestFullSpoolIsToldOnce(t *testing.T) {
	t.Parallel()
	hook, calls := newHook(t)
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{
		"listener": spoolOnly, "spool": "retry = [\"1s\"]\nmax_size = \"100KB\"",
		"log": "level = \"info\"\nformat = \"json\"\n[alerts]\nwebhook = \"" + hook + "\"",
	})
	w.fake.Down()
	w.start()
	refused := 0
	for i := range 10 {
		reply, err := send(w.relay.address, message(fmt.Sprint("m", i), 30<<10))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(reply, "452 4.3.1") {
			refused++
		}
	}
	if refused != 7 {
		t.Errorf("%d of 10 were refused, want 7", refused)
	}
	if body := <-calls; !strings.Contains(body, `"spool"`) || !strings.Contains(body, "max_size") {
		t.Errorf("the alert: %s", body)
	}
	if n := strings.Count(w.relay.logged(), "mail is refused, since"); n != 1 {
		t.Errorf("%d lines in the log, want one", n)
	}
	out, _, _ := output("status", "--config", w.config)
	if v := w.status(); v.Spool == nil || v.Spool.Reason == "" || v.Spool.Octets == 0 || !strings.Contains(out, "New mail is refused: the spool is full") {
		t.Errorf("status: %+v\n%s", v.Spool, out)
	}
	w.fake.Up()
	w.eventually(func() bool { return len(w.fake.Messages()) == 3 })
	w.eventually(func() bool { return w.status().Spool.Reason == "" })
}

// One recipient is refused for good, the other is tried on: the sender hears of the first at once.
func TestPartialFailureIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": spoolOnly, "spool": "retry = [\"1h\"]"})
	w.fake.Fault(fake365.Fault{At: "rcpt", Match: "gone@", Answer: refusal550})
	w.fake.Fault(fake365.Fault{At: "rcpt", Match: "busy@", Answer: "450 4.2.1 try later"})
	w.start()
	if _, err := send(w.relay.address, message("x", 100), "gone@contoso.example", "busy@contoso.example"); err != nil {
		t.Fatal(err)
	}
	report := string(w.arrived(1, 20e9)[0].Data)
	if !strings.Contains(report, "Final-Recipient: rfc822; gone@") || strings.Contains(report, "rfc822; busy@") {
		t.Errorf("the report:\n%s", report)
	}
}

// A long queue is listed, and acted on, page by page.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	sp, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(w.dir, "data"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	const n = 2*queuePage + 1
	var work sync.WaitGroup
	for range n {
		work.Go(func() {
			env := &mail.Envelope{ID: mail.NewID(time.Now()), Account: "default", Sender: testMailbox,
				Recipients: []mail.Recipient{{Address: "a@example.com", State: mail.Pending}}}
			if err := sp.Put(t.Context(), env, sp.NewBody(env.ID), false); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	out, _, _ := output("queue", "list", "--json", "--config", w.config)
	var list []messageView
	seen := map[mail.ID]bool{}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		seen[m.ID] = true
	}
	if len(list) != n || len(seen) != n {
		t.Errorf("%d listed, %d different, want %d", len(list), len(seen), n)
	}
	if out, _, _ = output("queue", "list", "--config", w.config); strings.Count(out, "\n") != n+1 || strings.Count(out, "TRIES") != 1 {
		t.Errorf("%d lines for %d messages and a head", strings.Count(out, "\n"), n)
	}
	if out, errs, code := output("queue", "drop", "--all", "--config", w.config); code != 0 || strings.Count(out, "is dropped") != n {
		t.Errorf("drop: exit %d, %d lines, %s", code, strings.Count(out, "\n"), errs)
	}
}
