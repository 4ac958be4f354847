//go:build unix

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

const (
	inForce = "is in force"
	refused = "is refused, and the old one kept"
)

// hangup sends SIGHUP and waits for the relay's word about it.
func (w *world) hangup(word string) {
	w.t.Helper()
	before := strings.Count(w.relay.logged(), word)
	w.relay.cmd.Process.Signal(syscall.SIGHUP)
	for end := time.Now().Add(20 * time.Second); strings.Count(w.relay.logged(), word) == before; {
		if time.Now().After(end) {
			w.t.Fatalf("no word of %q after SIGHUP:\n%s", word, tail(w.relay.logged()))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// rewrite changes the configuration's text.
func (w *world) rewrite(change func(string) string) {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err == nil {
		err = os.WriteFile(w.config, []byte(change(string(text))), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// secondAccount copies the only account of a configuration under another name, with a route to it.
func secondAccount(text string) string {
	at := strings.Index(text, "[[account]]\n")
	end := at + strings.Index(text[at:], "[spool]\n")
	copied := strings.Replace(text[at:end], `name = "default"`, `name = "second"`, 1)
	copied = strings.Replace(copied, testMailbox, "second@contoso.example", 1)
	return text[:end] + copied + "[[route]]\nrecipient = \"*@second.example\"\naccount = \"second\"\n" + text[end:]
}

func TestReloadTakesANewAccountAndRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox, "second@contoso.example"}, AnyFrom: true})
	w.start()
	open := w.dial() // stays through the reload
	w.rewrite(secondAccount)
	w.hangup(inForce)
	if reply, err := send(w.relay.address, message("new", 500), "office@second.example"); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Fatalf("%q, %v", reply, err)
	}
	if m := w.arrived(1, 5*time.Second)[0]; m.Mailbox != "second@contoso.example" {
		t.Errorf("the message went by %s", m.Mailbox)
	}
	if reply, err := open.send(message("open", 500)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Errorf("the connection that was open: %q, %v", reply, err)
	}
	if code := w.relay.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestReloadRefusesMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	good, _ := os.ReadFile(w.config)
	w.rewrite(func(s string) string { return strings.Replace(s, "[spool]", "[spool]\nmax_aeg = \"2d\"", 1) })
	w.hangup(refused)
	log := w.relay.logged()
	for _, want := range []string{"mailbearer.toml:", "max_aeg", `did you mean \"max_age\"?`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, tail(log))
		}
	}
	if reply, err := send(w.relay.address, message("old", 500)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Errorf("after a refused configuration: %q, %v", reply, err)
	}
	os.WriteFile(w.config, good, 0o600)
	w.hangup(inForce)
}

func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	w.rewrite(func(s string) string {
		s = strings.Replace(s, `address = "127.0.0.1:0"`, "address = \"127.0.0.1:1\"\nrecipients = [\"nobody\"]", 1)
		return strings.NewReplacer("/data'", "/other'", `level = "trace"`, `level = "info"`).Replace(s)
	})
	w.hangup(inForce)
	for _, key := range []string{"relay.data_dir", "listener.address", "log.level"} {
		if !strings.Contains(w.relay.logged(), `"detail":"`+key+`"`) {
			t.Errorf("%s is not named:\n%s", key, tail(w.relay.logged()))
		}
	}
	if reply, err := send(w.relay.address, message("old address", 500)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
		t.Errorf("on the old address: %q, %v", reply, err)
	}
	if _, err := os.Stat(w.dir + "/other"); err == nil {
		t.Error("the new data_dir was made")
	}
}

// A check beside a relay that goes by an older configuration than the file says so, until the relay has read it.
func TestCheckBesideAnOlderConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	says := func(when, want string) {
		t.Helper()
		steps, human, code := w.check()
		if cause := steps["config"].Cause; code != exitFine || (want == "") != (cause == "") || !strings.Contains(cause, want) || !strings.Contains(human, steps["config"].Fix) {
			t.Errorf("%s: exit %d, %+v, want %q\n%s", when, code, steps["config"], want, human)
		}
		if v := w.status().Outdated; (want == "") != (v == nil) || v != nil && (!strings.Contains(v.Reason, want) || v.Fix == "") {
			t.Errorf("%s: status says %+v, want %q", when, v, want)
		}
	}
	w.start()
	says("just started", "")
	w.rewrite(func(s string) string { return "# a word\n" + s })
	says("after an edit", "still uses the configuration it read at ")
	w.hangup(inForce)
	says("after SIGHUP", "")
	w.rewrite(func(s string) string { return strings.Replace(s, `level = "trace"`, `level = "info"`, 1) })
	w.hangup(inForce)
	says("after SIGHUP, with a key that needs more", "needs a restart for what has changed in log.level")
	if info, err := os.Stat(configReadFile(w.dir + "/data")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	w.relay.stop()
	w.rewrite(func(s string) string { return "# another\n" + s })
	says("without a relay", "")
}

func TestReloadMendsAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	right := fmt.Sprintf("client_secret = 'file:%s'", w.dir+"/secret")
	w.rewrite(func(s string) string { return strings.Replace(s, right, `client_secret = "wrong"`, 1) })
	w.start()
	if reply, err := send(w.relay.address, message("waits", 500)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 queued as ") {
		t.Fatalf("with a wrong secret: %q, %v", reply, err)
	}
	w.rewrite(func(s string) string { return strings.Replace(s, `client_secret = "wrong"`, right, 1) })
	w.hangup(inForce)
	w.arrived(1, 5*time.Second)
}

// A courier that is exchanged under load neither loses mail nor sends it twice.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	const senders, each = 4, 30
	var clients sync.WaitGroup
	for i := range senders {
		clients.Go(func() {
			for n := range each {
				id := fmt.Sprintf("load-%d-%d", i, n)
				if reply, err := send(w.relay.address, message(id, 2000)); err != nil || !strings.HasPrefix(reply, "250 ") {
					t.Errorf("%s: %q, %v", id, reply, err)
				}
			}
		})
	}
	plain, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 8 { // another courier each time, another account every second time
		w.rewrite(func(string) string {
			text := strings.Replace(string(plain), "[spool]\n", fmt.Sprintf("[spool]\nmax_age = \"%dd\"\n", n+1), 1)
			return strings.Replace(text, "messages_per_minute = 0", fmt.Sprintf("messages_per_minute = 0, connections = %d", 2+n/2), 1)
		})
		w.hangup(inForce)
	}
	clients.Wait()
	seen := map[string]int{}
	for _, m := range w.arrived(senders*each, 30*time.Second) {
		seen[testID(m.Data)]++
	}
	if len(seen) != senders*each {
		t.Errorf("%d different messages arrived of %d", len(seen), senders*each)
	}
	if n := len(w.fake.Messages()); n != senders*each {
		t.Errorf("%d messages arrived, want %d", n, senders*each)
	}
	if code := w.relay.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
