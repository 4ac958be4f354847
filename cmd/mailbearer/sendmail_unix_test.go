//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

const (
	relayUID = 65534 // nobody: in these tests, whom the relay runs as
	otherUID = 2     // bin, or daemon: somebody else
)

// newUsersWorld is a world that users other than root can reach, and whose data directory belongs to relayUID.
func newUsersWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	dir, err := os.MkdirTemp("", "mailbearer-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := newWorld(t, fake365.Options{})
	w.dir = dir
	w.configure(nil)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(os.Args[0]) // the test's own directory is closed to others
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sendmail"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"": 0o755, "mailbearer.toml": 0o644, "sendmail": 0o755} {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"data", "secret"} {
		if err := os.Chown(filepath.Join(dir, path), relayUID, relayUID); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// sendAs calls sendmail as a user.
func (w *world) sendAs(uid uint32, text string, args ...string) (stderr string, code int) {
	w.t.Helper()
	c := w.link("sendmail", args...)
	c.Dir = "/"
	c.Stdin = strings.NewReader(text)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		w.t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// openDrop makes the drop folder, as an administrator does.
func (w *world) openDrop() {
	w.t.Helper()
	dir := filepath.Join(w.dir, "data-drop")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	os.Chown(dir, relayUID, relayUID)
	os.Chmod(dir, os.ModeSticky|os.ModeSetgid|0o733)
}

// startAs runs the relay as relayUID.
func (w *world) startAs() {
	w.t.Helper()
	os.Symlink("sendmail", filepath.Join(w.dir, "mailbearer"))
	p := &process{cmd: w.link("mailbearer", "run"), ended: make(chan struct{})}
	p.cmd.Dir = "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: relayUID, Gid: relayUID}}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go p.read(stderr, ready)
	w.relay = p
	select {
	case p.address = <-ready:
	case <-p.ended:
		w.t.Fatalf("the relay did not start:\n%s", p.logged())
	}
}

// TestSendmailOfOtherUsers: root writes the spool as its owner, others by the drop folder, and with neither they are
// told what to do. The secret can be read by the relay's user alone.
func TestSendmailOfOtherUsers(t *testing.T) {
	t.Parallel()
	w := newUsersWorld(t)
	drop := filepath.Join(w.dir, "data-drop")
	if errs, code := w.sendAs(otherUID, "x", "a@example.com"); code != exNoPerm || !strings.Contains(errs, "install -d -o "+userName(relayUID)) {
		t.Errorf("without a drop folder: exit %d, %s", code, errs)
	}
	if errs, code := w.sendAs(otherUID, "", "-bp"); code != exNoPerm || !strings.Contains(errs, "only root") {
		t.Errorf("mailq: exit %d, %s", code, errs)
	}
	if errs, code := w.sendAs(0, string(message("root", 200<<10)), "-i", "a@example.com"); code != 0 { // makes the spool
		t.Fatalf("as root: exit %d, %s", code, errs)
	}
	filepath.Walk(filepath.Join(w.dir, "data"), func(path string, info os.FileInfo, err error) error {
		if uid, _, _ := fileOwner(info); uid != relayUID || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v of user %d", path, info.Mode(), uid)
		}
		return err
	})
	w.openDrop()
	if errs, code := w.sendAs(otherUID, string(message("down", 4096)), "-t", "-i"); code != 0 { // the relay is down
		t.Fatalf("as another user: exit %d, %s", code, errs)
	}
	if errs, code := w.sendAs(otherUID, "Subject: x\n\nx", "-t"); code != exData {
		t.Errorf("no recipient: exit %d, %s", code, errs)
	}
	w.startAs()
	if errs, code := w.sendAs(otherUID, "X-Test-Id: up\nBcc: root@example.com\n\nhello\n", "-t", "-N", "never"); code != 0 {
		t.Fatalf("as another user: exit %d, %s", code, errs)
	}
	if errs, code := w.sendAs(0, "X-Test-Id: beside\n\nhello\n", "a@example.com"); code != 0 {
		t.Fatalf("as root: exit %d, %s", code, errs)
	}
	seen := map[string]string{}
	for _, m := range w.arrived(4, 15*time.Second) {
		seen[testID(m.Data)] = m.Sender
		if bytes.Contains(m.Data, []byte("Bcc")) {
			t.Errorf("Bcc arrived: %s", m.Data)
		}
	}
	if seen["up"] != userName(otherUID)+"@contoso.example" || seen["down"] != testMailbox || len(seen) != 4 {
		t.Errorf("%v", seen)
	}
	if left, err := os.ReadDir(drop); err != nil || len(left) != 0 {
		t.Errorf("left in the drop folder: %v, %v", left, err)
	}
	if log := w.relay.logged(); strings.Contains(log, "drop folder") || !strings.Contains(log, fmt.Sprintf(`"user":%q`, userName(otherUID))) {
		t.Errorf("%s", log)
	}
}

// TestSendmailClosedConfiguration: whoever may not even read the configuration still reaches the usual drop folder.
func TestSendmailClosedConfiguration(t *testing.T) {
	t.Parallel()
	w := newUsersWorld(t)
	if err := os.Chmod(w.config, 0o600); err != nil {
		t.Fatal(err)
	}
	if errs, code := w.sendAs(otherUID, "x", "a@example.com"); code != exNoPerm || !strings.Contains(errs, "/mailbearer-drop") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// dropFile writes what sendmail would.
func dropFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, dropMode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDropFolder: what anybody may put there, and what becomes of it.
func TestDropFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"listener": "address = \"127.0.0.1:0\"\nmax_message_size = \"64KB\""})
	cfg, err := sendmailConfig(w.config)
	if err != nil {
		t.Fatal(err)
	}
	sp := openTestSpool(t, w)
	dir := filepath.Join(w.dir, "drop")
	if err := openDropDir(dir); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir); info.Mode() != os.ModeDir|os.ModeSticky|os.ModeSetgid|0o733 {
		t.Errorf("the folder has mode %v", info.Mode())
	}
	const good = `{"mailbearer":1,"recipients":["a@example.com"]}` + "\nSubject: x\r\n\r\nhello\r\n"
	id := func() string { return mail.NewID(time.Now()).String() }
	taken := id()
	dropFile(t, dir, taken+dropSuffix, good)
	// Each of these must be set aside; with the words of the reason.
	secret := dropFile(t, w.dir, "secret-of-others", good)
	bad := map[string]string{}
	add := func(reason string, make func(path string) error) {
		name := id()
		bad[name] = reason
		if err := make(filepath.Join(dir, name+dropSuffix)); err != nil {
			t.Fatal(err)
		}
	}
	content := func(text string) func(string) error {
		return func(path string) error { dropFile(t, dir, filepath.Base(path), text); return nil }
	}
	add("cannot be opened", func(path string) error { return os.Symlink(secret, path) })
	add("2 names", func(path string) error { return os.Link(dropFile(t, w.dir, "linked", good), path) })
	add("not a file", func(path string) error { return syscall.Mkfifo(path, dropMode) })
	add("not a file", func(path string) error { return os.Mkdir(path, 0o755) })
	add("its mode", func(path string) error { return os.WriteFile(path, []byte(good), 0o600) })
	add("does not begin with a request", content(""))
	add("does not begin with a request", content(strings.Repeat("x", requestLimit+10)))
	add("request of this version", content("garbage\n"))
	add("request of this version", content(`{"mailbearer":2}`+"\n"))
	add("no recipient", content(`{"mailbearer":1}`+"\nSubject: x\r\n\r\n"))
	add("is not an address", content(`{"mailbearer":1,"recipients":["a@b.c>\r\nDATA"]}`+"\n\r\n"))
	add("is not an address", content(`{"mailbearer":1,"recipients":["a@b.c"],"sender":"x y@z","sender_given":true}`+"\n\r\n"))
	add("envelope id", content(`{"mailbearer":1,"recipients":["a@b.c"],"envelope_id":"x y"}`+"\n\r\n"))
	add("never, or a list", content(`{"mailbearer":1,"recipients":["a@b.c"],"notify":["x\r\ny"]}`+"\n\r\n"))
	add("larger than", content(good+strings.Repeat("x\r\n", 30<<10)))
	unfinished := dropFile(t, dir, tmpPrefix+"1", good)
	abandoned := dropFile(t, dir, tmpPrefix+"2", good)
	old := time.Now().Add(-2 * tmpAge)
	if err := errors.Join(os.Chtimes(abandoned, old, old)); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, taken+dropSuffix)

	said := map[string]string{}
	var order []string
	put := func(ctx context.Context, d droppedFile) error {
		env, err := putDrop(ctx, cfg, sp, d)
		if env != nil && err == nil {
			order = append(order, env.ID.String()+" "+env.Client.User)
		}
		return err
	}
	scan := func() {
		if err := scanDrops(t.Context(), dir, put, func(err error) { said[strings.SplitN(err.Error(), ".", 2)[0]] = err.Error() }); err != nil {
			t.Fatal(err)
		}
	}
	scan()
	dropFile(t, dir, filepath.Base(again), good) // taken, and not removed before a crash
	scan()
	if len(order) != 1 || order[0] != taken+" "+osUser() {
		t.Errorf("taken: %q", order)
	}
	for name, reason := range bad {
		if !strings.Contains(said[name], reason) || !strings.Contains(said[name], name+badSuffix) {
			t.Errorf("%s was said to be %q, want %q", name, said[name], reason)
		}
		if _, err := os.Lstat(filepath.Join(dir, name+badSuffix)); err != nil {
			t.Errorf("%s was not kept: %v", reason, err)
		}
	}
	for path, there := range map[string]bool{unfinished: true, secret: true, abandoned: false, again: false} {
		if _, err := os.Lstat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	list, err := sp.List(t.Context(), filterAll())
	if err != nil || len(list) != 1 || list[0].Envelope.Recipients[0].Address != "a@example.com" {
		t.Errorf("the spool has %v, %v", list, err)
	}
}

// TestDropFolderWaits: a spool that takes nothing loses nothing.
func TestDropFolderWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.Chmod(dir, os.ModeSticky|0o733)
	path := dropFile(t, dir, mail.NewID(time.Now()).String()+dropSuffix, "x")
	full := exitWith(exTempFail, "full")
	if err := scanDrops(t.Context(), dir, func(context.Context, droppedFile) error { return full }, func(error) { t.Error("it was set aside") }); !errors.Is(err, full) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string, 1)
	go takeDrops(ctx, dir, func(_ context.Context, d droppedFile) error {
		text, err := io.ReadAll(d.text)
		got <- string(text)
		cancel()
		return err
	}, func(err error) { t.Error(err) })
	if text := <-got; text != "x" {
		t.Error(text)
	}
}

// TestDropFolderUnsafe: a folder that somebody else could play with is not used.
func TestDropFolderUnsafe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open, link, file := filepath.Join(dir, "open"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o777), os.Symlink(open, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{open: "chmod 3733", link: "not a directory", file: "not a directory", filepath.Join(file, "x"): "not a directory", filepath.Join(dir, "not", "there"): "install -d -o "} {
		if err := openDropDir(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestDropFolderMends: so is what other users' jobs print, at any size, and it is taken in once.
func TestDropFolderMends(t *testing.T) {
	t.Parallel()
	w := newUsersWorld(t)
	w.openDrop()
	w.startAs()
	text, _ := oddCron("dropped")
	var said string
	for _, more := range []string{"", strings.Repeat("an ordinary line\n", 20<<10)} {
		out, code := w.sendAs(otherUID, text+more, "-i", "-v", "a@example.com")
		if code != 0 {
			t.Fatalf("exit %d, %s", code, out)
		}
		said += out
	}
	for _, m := range w.arrived(2, 15*time.Second) {
		_, id, _ := strings.Cut(string(m.Data), " id ")
		if id, _, _ = strings.Cut(id, ";"); !strings.Contains(said, "queued as "+id+"\n") {
			t.Errorf("%s arrived, said was %q", id, said)
		}
		if len(m.Data) < 64<<10 {
			mendedCron(t, m.Data)
		} else if strings.Count(string(m.Data), "an ordinary line\r\n") != 20<<10 || !strings.Contains(string(m.Data), "quoted-printable") {
			t.Errorf("the large message arrived as %.300q…", m.Data)
		}
	}
	if left, err := os.ReadDir(filepath.Join(w.dir, "data-drop")); err != nil || len(left) != 0 {
		t.Errorf("left in the drop folder: %v, %v", left, err)
	}
	left, err := filepath.Glob(filepath.Join(w.dir, "data", "bodies", "*"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			t.Errorf("left in the spool: %s (%v)", path, err)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
