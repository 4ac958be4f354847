package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

const refusal550 = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"

func TestFailureIsReportedToTheSender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "rcpt", Match: "gone@", Answer: refusal550})
	w.start()
	if reply, err := send(w.relay.address, message("mixed", 500), "office@contoso.example", "gone@contoso.example"); err != nil || !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("%q, %v", reply, err)
	}
	report := w.arrived(2, 15*time.Second)[1]
	text := string(report.Data)
	if report.Sender != testMailbox || len(report.Recipients) != 1 || report.Recipients[0] != testMailbox {
		t.Errorf("the report went from <%s> to %v", report.Sender, report.Recipients)
	}
	for _, want := range []string{"multipart/report", "Auto-Submitted: auto-replied", "Final-Recipient: rfc822; gone@contoso.example",
		"Action: failed", "Status: 5.1.10", "Diagnostic-Code: smtp; 550 5.1.10", "X-Test-Id: mixed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Final-Recipient: rfc822; office@") {
		t.Error("the report tells about a recipient that has the message")
	}
	w.eventually(func() bool { return strings.Count(w.relay.logged(), `"event":"delivered"`) == 2 })
	w.relay.kill()
	w.start() // a report is made once, whatever happens
	if reply, err := send(w.relay.address, message("after", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err)
	}
	if n := len(w.arrived(3, 10*time.Second)); n != 3 {
		t.Errorf("%d messages, want the message, one report and the last message", n)
	}
}

func TestStrangersGetNoReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.fake.Fault(fake365.Fault{At: "rcpt", Match: "gone@", Answer: refusal550})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nauth = \"optional\""})
	w.start()
	s := w.dial()
	for _, step := range []struct {
		line string
		code int
	}{{"MAIL FROM:<victim@elsewhere.example>", 250}, {"RCPT TO:<gone@contoso.example>", 250}, {"DATA", 354}, {"Subject: x\r\n\r\nx\r\n.", 250}} {
		if err := s.step(step.line, step.code); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually(func() bool { return strings.Contains(w.relay.logged(), `"event":"failed"`) })
	if reply, err := send(w.relay.address, message("after", 100)); err != nil || !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("%q, %v", reply, err)
	}
	w.arrived(1, 10*time.Second)
	time.Sleep(500 * time.Millisecond) // a report would have been made at once
	if n := len(w.fake.Messages()); n != 1 {
		t.Errorf("%d messages: a stranger was sent a report", n)
	}
}

func TestQueueCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nauth = \"optional\""})
	w.fake.Fault(fake365.Fault{At: "rcpt", Match: "gone@", Answer: refusal550})
	w.start()
	if _, err := send(w.relay.address, message("lost", 400), "gone@contoso.example"); err != nil {
		t.Fatal(err)
	}
	queue := func(state mail.State) []messageView {
		var list []messageView
		out, _, _ := output("queue", "list", "--json", "--state", string(state), "--config", w.config)
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return list
	}
	w.eventually(func() bool { return len(queue(mail.StateFailed)) == 1 })
	id := queue(mail.StateFailed)[0].ID.String()
	w.eventually(func() bool { return len(w.fake.Messages()) == 1 }) // its report

	out, errs, code := output("queue", "export", id, "--config", w.config)
	if code != 0 || !strings.HasSuffix(out, string(message("lost", 400))) {
		t.Errorf("export: exit %d, %s\n%s", code, errs, out)
	}
	dir := filepath.Join(w.dir, "copy")
	if out, errs, code = output("queue", "export", "--all", "--to", dir, "--config", w.config); code != 0 {
		t.Errorf("backup: exit %d, %s%s", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "spool.db")); err != nil {
		t.Error(err)
	}
	w.fake.ClearFaults()
	if out, errs, code = output("queue", "retry", "--state", "failed", "--config", w.config); code != 0 || !strings.Contains(out, id+" is due now") {
		t.Errorf("retry: exit %d, %s%s", code, out, errs)
	}
	w.eventually(func() bool { return len(w.fake.Messages()) == 2 && testID(w.fake.Messages()[1].Data) == "lost" })

	w.fake.Down()
	if _, err := send(w.relay.address, message("later", 400)); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool { return len(queue(mail.StateReady)) == 1 })
	id = queue(mail.StateReady)[0].ID.String()
	w.eventually(func() bool { _, _, code := output("queue", "hold", id, "--config", w.config); return code == 0 })
	w.fake.Up()
	if _, err := send(w.relay.address, message("overtakes", 400)); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool { return len(w.fake.Messages()) == 3 })
	if held := queue(mail.StateHeld); len(held) != 1 || held[0].ID.String() != id {
		t.Errorf("held: %+v", held)
	}
	if _, errs, code := output("queue", "release", id, "--config", w.config); code != 0 {
		t.Errorf("release: exit %d, %s", code, errs)
	}
	w.eventually(func() bool { return len(w.fake.Messages()) == 4 })
	if _, errs, code := output("queue", "drop", "--config", w.config); code != exitUsage || !strings.Contains(errs, "which messages?") {
		t.Errorf("drop without saying what: exit %d, %s", code, errs)
	}
}

func TestWebhookTellsOfAHeldAccount(t *testing.T) {
	t.Parallel()
	type call struct {
		body []byte
		head http.Header
	}
	calls := make(chan call, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- call{body, r.Header}
	}))
	defer hook.Close()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"log": "level = \"trace\"\nformat = \"json\"\n[alerts]\nwebhook = \"" + hook.URL + "/key-in-the-path\"\nwebhook_secret = \"hush\""})
	w.fake.Fault(fake365.Fault{At: "auth", Answer: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information."})
	w.start()
	if reply, err := send(w.relay.address, message("x", 100)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as") {
		t.Fatalf("%q, %v", reply, err)
	}
	select {
	case c := <-calls:
		mac := hmac.New(sha256.New, []byte("hush"))
		mac.Write([]byte(c.head.Get("X-Mailbearer-Timestamp") + "."))
		mac.Write(c.body)
		if got := c.head.Get("X-Mailbearer-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q", got)
		}
		if !bytes.Contains(c.body, []byte(`"held"`)) || !bytes.Contains(c.body, []byte("Set-CASMailbox")) {
			t.Errorf("the alert does not say what is wrong and what to do: %s", c.body)
		}
	case <-time.After(15 * time.Second):
		t.Fatalf("no alert came; log:\n%s", tail(w.relay.logged()))
	}
	if strings.Contains(w.relay.logged(), "key-in-the-path") || strings.Contains(w.relay.logged(), "hush") {
		t.Error("the webhook's key or secret is in the log")
	}
}

// The sign-in is refused before there is any mail: who waits for the nightly backup to find out is a night late.
func TestAccountWithoutMailIsToldOf(t *testing.T) {
	t.Parallel()
	hook, calls := newHook(t)
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{
		"oauth": fmt.Sprintf(`{ flow = "client-secret", tenant = "%s", client_id = "%s", client_secret = "wrong" }`, w.fake.Tenant(), w.fake.ClientID()),
		"log":   "level = \"info\"\nformat = \"json\"\n[alerts]\nwebhook = \"" + hook + "\"",
	})
	w.start()
	select {
	case body := <-calls:
		if !strings.Contains(body, `"held"`) || !strings.Contains(body, "AADSTS7000215") {
			t.Errorf("the alert: %s", body)
		}
	case <-time.After(15 * time.Second):
		t.Fatalf("nobody was told; log:\n%s", tail(w.relay.logged()))
	}
	w.eventually(func() bool { // the log comes by another way
		return strings.Contains(w.relay.logged(), `"event":"held"`) && strings.Contains(w.relay.logged(), "AADSTS7000215")
	})
}

// The sign-in is refused while the token at hand is still good: status, log and alert say so before mail stops.
func TestRefusedRenewalIsToldOfInTime(t *testing.T) {
	t.Parallel()
	hook, calls := newHook(t)
	w := newWorld(t, fake365.Options{TokenLifetime: 12 * time.Second})
	w.configure(map[string]string{"log": "level = \"info\"\nformat = \"json\"\n[alerts]\nwebhook = \"" + hook + "\""})
	w.start()
	w.eventually(func() bool { return !w.status().Accounts[0].TokenExpires.IsZero() })
	w.fake.Fault(fake365.Fault{At: "token", Status: 401, Answer: `{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}`})
	var a accountView
	w.eventually(func() bool { a = w.status().Accounts[0]; return a.Reason != "" })
	out, _, _ := output("status", "--config", w.config)
	if a.State != mail.AccountReady || a.Fix == "" || !strings.Contains(out, "can send until") {
		t.Errorf("%+v\n%s", a, out)
	}
	select {
	case body := <-calls:
		if !strings.Contains(body, `"tokens"`) || !strings.Contains(body, "AADSTS7000222") {
			t.Errorf("the alert: %s", body)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody was told")
	}
	w.eventually(func() bool { return strings.Contains(w.relay.logged(), "mail goes on with the one at hand") })
	w.fake.ClearFaults()
	w.eventually(func() bool { return w.status().Accounts[0].Reason == "" })
}

func TestBurstOfAThousand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nauth = \"optional\"\nmax_connections_per_address = 100"})
	w.start()
	replies := crowd(t, w.relay.address, 50, 20)
	if len(replies) != 1000 {
		t.Errorf("%d of 1000 were accepted", len(replies))
	}
	exactlyOnce(t, replies, w.arrived(1000, time.Minute))
}

// A real disk that fills up, as small as it takes: the client is told to try again, nothing that was accepted is lost,
// and once there is room everything goes on by itself.
func TestDiskFullUnderLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root; CI has it")
	}
	w := newWorld(t, fake365.Options{})
	disk := filepath.Join(w.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		w.relay.kill()
		exec.Command("umount", "-l", disk).Run()
	})
	w.configure(map[string]string{
		"relay":    fmt.Sprintf("hostname = \"relay.contoso.example\"\ndata_dir = '%s'", filepath.Join(disk, "data")),
		"listener": "address = \"127.0.0.1:0\"\nwait_for = \"spool\"\nauth = \"optional\"",
	})
	w.fake.Down()
	w.start()
	accepted, refused := map[string]string{}, 0
	for i := 0; i < 400 && refused < 20; i++ {
		id := fmt.Sprintf("m%d", i)
		size := []int{3000, 60_000, 300_000}[i%3] // in the database, and in a file of its own
		reply, err := send(w.relay.address, message(id, size))
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		switch {
		case strings.HasPrefix(reply, "250 "):
			accepted[id] = reply
		case strings.HasPrefix(reply, "452 4.3.1"):
			refused++
		default:
			t.Fatalf("%s: %q on a full disk, want 452 4.3.1", id, reply)
		}
	}
	if refused == 0 || len(accepted) == 0 {
		t.Fatalf("%d accepted, %d refused: the disk did not fill up", len(accepted), refused)
	}
	w.relay.kill()
	w.start() // it starts on a full disk, too
	if err := w.fake.Up(); err != nil {
		t.Fatal(err)
	}
	arrived := map[string]int{}
	for _, m := range w.arrived(len(accepted), time.Minute) {
		arrived[testID(m.Data)]++
	}
	for id := range accepted {
		if arrived[id] == 0 {
			t.Errorf("%s was accepted and is lost", id)
		}
	}
	w.eventually(func() bool {
		reply, err := send(w.relay.address, message("again", 300_000))
		return err == nil && strings.HasPrefix(reply, "250 ")
	})
}

// newHook is a receiver of alerts; it hands out what it is posted.
func newHook(t *testing.T) (url string, calls chan string) {
	t.Helper()
	calls = make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- string(body)
	}))
	t.Cleanup(hook.Close)
	return hook.URL, calls
}
