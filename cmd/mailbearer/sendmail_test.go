package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// sendmail calls the real binary under the name of sendmail's link, as programs do.
func (w *world) sendmail(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	return w.under("sendmail", stdin, args...)
}

func (w *world) under(name string, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	c := w.link(name, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
	err := c.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		w.t.Error(err)
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// link is the command of a link to the binary.
func (w *world) link(name string, args ...string) *exec.Cmd {
	w.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, name)
	if err := os.Symlink(binary, path); err != nil && !errors.Is(err, os.ErrExist) {
		w.t.Fatal(err)
	}
	c := command(args...)
	c.Path, c.Args[0] = path, path
	c.Env = append(c.Env, "MAILBEARER_CONFIG="+w.config)
	c.Dir = w.t.TempDir()
	return c
}

func (w *world) mustSend(text string, args ...string) {
	w.t.Helper()
	if out, errs, code := w.sendmail(strings.NewReader(text), args...); code != 0 || out != "" || errs != "" {
		w.t.Fatalf("sendmail %q: exit %d, %q, %q", args, code, out, errs)
	}
}

// TestSendmail: what the provider gets for what programs pipe in. All of it is taken before the relay has ever run.
func TestSendmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	user := osUser() + "@contoso.example"
	const date, id = "Date: Thu, 31 Dec 2026 23:59:58 +0000\n", "Message-ID: <x@y>\n"
	for i, test := range []struct {
		name, text   string
		args         []string
		sender       string
		recipients   string
		data         string // "DATE" and "ID" stand for what was added
		rcpt, params string
	}{
		{name: "nothing but a body", text: "hello\n", args: []string{"a@example.com"},
			sender: user, recipients: "a@example.com", data: "Date: DATE\nMessage-ID: ID\nFrom: " + user + "\n\nhello\n"},
		{name: "cron", text: "From: \"(Cron Daemon)\" <root>\nTo: root\nSubject: Cron <root@box> date\n\nThu\n", args: splitWords("-FCronDaemon -i -odi -oem -oi -t -f root"),
			sender: testMailbox, recipients: "it@example.com,second@example.com",
			data: "Date: DATE\nMessage-ID: ID\nFrom: \"(Cron Daemon)\" <" + testMailbox + ">\nTo: root\nSubject: Cron <root@box> date\n\nThu\n"},
		{name: "mailx", text: "Subject: s\nTo: a@example.com\n\nbody\n.\nmore\n", args: splitWords("-i -m -FJane_Doe -- a@example.com"),
			sender: user, recipients: "a@example.com",
			data: "Date: DATE\nMessage-ID: ID\nFrom: \"Jane Doe\" <" + user + ">\nSubject: s\nTo: a@example.com\n\nbody\n.\nmore\n"},
		{name: "PHP", text: "To: a@example.com\r\nSubject: s\r\nFrom: shop@contoso.example\r\n\r\nline\r\n", args: splitWords("-t -i"),
			sender: "shop@contoso.example", recipients: "a@example.com",
			data: "Date: DATE\nMessage-ID: ID\nTo: a@example.com\nSubject: s\nFrom: shop@contoso.example\n\nline\n"},
		{name: "Bcc", text: "From: x@contoso.example\nTo: Team: a@example.com,\n\tb@example.com;\nBcc: secret@example.com,\n other@example.com\n" + date + id + "Resent-Bcc:\n\nBcc: body\n", args: splitWords("-t d@example.com"),
			sender: "x@contoso.example", recipients: "d@example.com", data: ""}, // see below
		{name: "a dot", text: "From: x@contoso.example\n" + date + id + "\nbody\n.\nnever seen\n", args: []string{"a@example.com"},
			sender: "x@contoso.example", recipients: "a@example.com", data: "From: x@contoso.example\n" + date + id + "\nbody\n"},
		{name: "aliases", text: "From: x@contoso.example\n" + date + id + "\nb\n", args: splitWords("Root nobody-known it@example.com"),
			sender: "x@contoso.example", recipients: "it@example.com,second@example.com,nobody-known@contoso.example",
			data: "From: x@contoso.example\n" + date + id + "\nb\n"},
		{name: "-f over From", text: "From: x@contoso.example\n" + date + id + "\nb", args: splitWords("-f y@contoso.example a@example.com"),
			sender: "y@contoso.example", recipients: "a@example.com", data: "From: x@contoso.example\n" + date + id + "\nb"},
		{name: "8-bit and mbox", text: "From root Thu\nFrom: x@contoso.example\n" + date + id + "X: \xff\n\n\x80\xff\n", args: splitWords("-i a@example.com"),
			sender: "x@contoso.example", recipients: "a@example.com", data: "From: x@contoso.example\n" + date + id + "X: \xff\n\n\x80\xff\n"},
	} {
		if i == 0 {
			w.configureAliases()
		}
		if test.name == "Bcc" {
			test.recipients = "d@example.com,a@example.com,b@example.com,secret@example.com,other@example.com"
			test.data = "From: x@contoso.example\nTo: Team: a@example.com,\n\tb@example.com;\n" + date + id + "\nBcc: body\n"
		}
		w.mustSend(test.text, test.args...)
		if i == 0 { // once without a relay, so that the spool is made; then beside one
			if _, err := os.Stat(filepath.Join(w.dir, "data", "spool.db")); err != nil {
				t.Fatal(err)
			}
			w.start()
		}
		got := w.arrived(i+1, 10*time.Second)[i]
		if got.Sender != test.sender || strings.Join(got.Recipients, ",") != test.recipients {
			t.Errorf("%s: from %q to %q, want %q, %q", test.name, got.Sender, got.Recipients, test.sender, test.recipients)
		}
		want := strings.ReplaceAll(test.data, "\n", "\r\n")
		if data := added(stripTrace(t, got.Data), test.data); data != want {
			t.Errorf("%s: arrived as\n%q, want\n%q", test.name, data, want)
		}
	}
	if n := len(w.fake.Messages()); n != 9 {
		t.Errorf("%d messages arrived", n)
	}
}

// configureAliases adds [aliases] to the world's configuration.
func (w *world) configureAliases() {
	w.t.Helper()
	w.configure(map[string]string{"log": "level = \"trace\"\nformat = \"json\"\n[aliases]\nroot = [\"it@example.com\", \"second@example.com\"]"})
}

// stripTrace takes our Received field off and checks it.
func stripTrace(t *testing.T, data []byte) string {
	t.Helper()
	first, rest, _ := strings.Cut(string(data), ";\r\n\t")
	stamp, rest, _ := strings.Cut(rest, "\r\n")
	if _, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", stamp); err != nil || !strings.HasPrefix(first, "Received: by relay.contoso.example (mailbearer, local) id ") {
		t.Errorf("trace %q, %q", first, stamp)
	}
	return rest
}

// added puts DATE and ID in the place of what sendmail made.
func added(data, want string) string {
	head, body, _ := strings.Cut(data, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Date: ") && strings.Contains(want, "DATE") {
			if _, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", l[6:]); err == nil {
				lines[i] = "Date: DATE"
			}
		}
		if strings.HasPrefix(l, "Message-ID: <") && strings.HasSuffix(l, "@contoso.example>") && strings.Contains(want, "ID: ID") {
			lines[i] = "Message-ID: ID"
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// TestSendmailDSN: what -N, -R and -V said is in the envelope that leaves.
func TestSendmailDSN(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.mustSend("hello\n", splitWords("-N success,delay -R hdrs -V job=7 a@example.com")...)
	out, _, _ := output("queue", "list", "--json", "--config", w.config)
	if !strings.Contains(out, "a@example.com") {
		t.Fatal(out)
	}
	sp := openTestSpool(t, w)
	list, err := sp.List(t.Context(), filterAll())
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	env := list[0].Envelope
	if env.Return != "HDRS" || env.EnvelopeID != "job+3D7" || strings.Join(env.Recipients[0].Notify, ",") != "SUCCESS,DELAY" {
		t.Errorf("%+v", env)
	}
	if c := env.Client; c.Address != "local" || c.Listener != "local" || c.User != osUser() {
		t.Errorf("client %+v", c)
	}
}

func TestSendmailRoutesAsLocal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox, "second@fabrikam.example"}, AnyFrom: true})
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	_, account, _ := strings.Cut(string(text), "[[account]]\n")
	account, _, _ = strings.Cut(account, "[spool]")
	account = strings.NewReplacer(`"default"`, `"second"`, testMailbox, "second@fabrikam.example").Replace(account)
	route := "[[route]]\nlistener = \"local\"\nrecipient = \"*@fabrikam.example\"\naccount = \"second\"\n"
	if err := os.WriteFile(w.config, append(text, "\n[[account]]\n"+account+route...), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.mustSend("hello\n", "a@fabrikam.example")
	w.mustSend("hello\n", "a@contoso.example")
	for _, m := range w.arrived(2, 10*time.Second) {
		domain := domainOf(m.Recipients[0])
		if domainOf(m.Mailbox) != domain || domainOf(m.Sender) != domain {
			t.Errorf("from %q to %q through %q", m.Sender, m.Recipients, m.Mailbox)
		}
	}
}

// TestSendmailExitCodes is the table of docs/sendmail.md.
func TestSendmailExitCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nmax_message_size = \"64KB\"\nmax_recipients = 3", "spool": "max_size = \"40KB\""})
	alter := func(name, old, new string) string {
		text, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := filepath.Join(w.dir, "data")
	broken := alter("broken.toml", "data_dir", "data_dri")
	below := alter("below.toml", data, filepath.Join(w.config, "below"))
	dir, err := os.Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, test := range []struct {
		name  string
		args  string
		stdin io.Reader
		code  int
		says  string
	}{
		{"fine", "a@example.com", strings.NewReader("x"), 0, ""},
		{"no message at all", "a@example.com", nil, 0, ""},
		{"no recipient", "-i", strings.NewReader("x"), exUsage, "no recipient: name one"},
		{"unknown option", "-Z a@example.com", strings.NewReader("x"), exUsage, "unknown option"},
		{"-t without recipients", "-t", strings.NewReader("Subject: x\n\nx"), exData, "no recipient in To, Cc or Bcc"},
		{"bad recipient in the header", "-t", strings.NewReader("To: a b c\n\nx"), exData, `"a b c" is not an address`},
		{"too large", "a@example.com", strings.NewReader(strings.Repeat("x\n", 40<<10)), exData, "larger than 65536 octets"},
		{"too many recipients", "a@b.c d@e.f g@h.i j@k.l", strings.NewReader("x"), exData, "4 recipients are more than 3"},
		{"a loop", "a@example.com", strings.NewReader(strings.Repeat("Received: x\n", 60) + "\nx"), exData, "circles"},
		{"standard input is a directory", "a@example.com", dir, exNoInput, "cannot be read"},
		{"bad recipient", "a@", strings.NewReader("x"), exNoUser, "is not an address"},
		{"data_dir below a file", "--config " + below + " a@example.com", strings.NewReader("x"), exCantCreat, "data directory"},
		{"spool full", "a@example.com", strings.NewReader(strings.Repeat("x\n", 25<<10)), exTempFail, "max_size"},
		{"no configuration", "--config " + w.dir + "/none.toml a@example.com", strings.NewReader("x"), exConfig, "there is no configuration"},
		{"a mistake in it", "--config " + broken + " a@example.com", strings.NewReader("x"), exConfig, `did you mean "data_dir"`},
		{"flush", "-q", nil, 0, ""},
		{"help", "--help", nil, 0, ""},
	} {
		_, errs, code := w.sendmail(test.stdin, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(errs, test.says) || test.says == "" && errs != "" || strings.Count(errs, "\n") > 1 {
			t.Errorf("%s: exit %d, %q; want %d, %q", test.name, code, errs, test.code, test.says)
		}
	}
	out, errs, code := output("queue", "list", "--json", "--config", w.config)
	if strings.Count(out, `"id"`) != 2 || code != 0 {
		t.Errorf("what was refused is in the spool: %s %s", out, errs)
	}
}

// TestSendmailBrokenInput: half a message is none.
func TestSendmailBrokenInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	in := io.MultiReader(strings.NewReader("Subject: x\n\nhalf"), iotest.ErrReader(io.ErrUnexpectedEOF))
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"sendmail", "--config", w.config, "a@example.com"}, in, &out, &errs); code != exIOErr {
		t.Errorf("exit %d, %s", code, &errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	go func() {
		writer.Write([]byte("Subject: x\n\nhalf"))
		cancel() // Ctrl-C
	}()
	if code := run(ctx, []string{"sendmail", "--config", w.config, "a@example.com"}, reader, &out, &errs); code != exTempFail {
		t.Errorf("exit %d, %s", code, &errs)
	}
	reader.Close()
	if list, _, _ := output("queue", "list", "--config", w.config); !strings.HasPrefix(list, "No such messages") {
		t.Error(list)
	}
}

func TestSendmailNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	if out, errs, code := w.under("mailq", nil); out != "Mail queue is empty\n" || code != 0 {
		t.Errorf("%q, %q, %d", out, errs, code)
	}
	if out, errs, code := w.under("newaliases", nil); !strings.Contains(out, "no alias database") || code != 0 {
		t.Errorf("%q, %q, %d", out, errs, code)
	}
	out, errs, code := w.sendmail(strings.NewReader("x"), "-v", "a@example.com")
	id, ok := strings.CutPrefix(out, "queued as ")
	if !ok || code != 0 || errs != "" {
		t.Fatalf("%q, %q, %d", out, errs, code)
	}
	if out, errs, code := w.under("mailq", nil); !strings.Contains(out, strings.TrimSpace(id)) || code != 0 {
		t.Errorf("%q, %q, %d", out, errs, code)
	}
	// A configuration in the working directory is never read.
	c := w.link("sendmail", "a@example.com")
	c.Dir, c.Env = w.dir, append(c.Env, "MAILBEARER_CONFIG=")
	if text, err := c.CombinedOutput(); c.ProcessState.ExitCode() != exConfig {
		t.Errorf("%v, %s", err, text)
	}
}

// TestSendmailBesideTheRelay: many at once, beside a running relay, and each arrives once.
func TestSendmailBesideTheRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.start()
	const senders, each = 6, 4
	var wg sync.WaitGroup
	for s := range senders {
		w.link("sendmail") // made before they run
		wg.Go(func() {
			for i := range each {
				w.mustSend(string(message(fmt.Sprintf("s%d-%d", s, i), 4096)), "-i", "office@contoso.example")
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, m := range w.arrived(senders*each, 20*time.Second) {
		seen[testID(m.Data)]++
	}
	if len(seen) != senders*each {
		t.Errorf("%v", seen)
	}
}

// TestSendmailBigMessage: 20 MB take no more memory than a line does.
func TestSendmailBigMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	peak := func(size int) float64 {
		c := w.link("sendmail", "-i", "office@contoso.example")
		in, err := c.StdinPipe()
		if err == nil {
			err = c.Start()
		}
		if err == nil {
			_, err = in.Write(message("big", size))
		}
		if err != nil {
			t.Fatal(err)
		}
		mib := peakMiB(c.Process.Pid) // all but what fits into a pipe has been read
		in.Close()
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		return mib
	}
	small, big := peak(256<<10), peak(20<<20)
	if big-small > 8 {
		t.Errorf("20 MB took %.1f MiB more than 256 KiB did", big-small)
	}
	w.start()
	for _, m := range w.arrived(2, 20*time.Second) {
		if want := message("big", len(m.Data)); len(m.Data) > 20<<20 && !bytes.HasPrefix(want, []byte(stripTrace(t, m.Data))[:20<<20]) {
			t.Error("the big message arrived changed")
		}
	}
}
