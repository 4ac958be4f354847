package relay

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialog is a recorded conversation. Its lines:
//
//	# a comment
//	listener: auth=required security=starttls …   settings of the listener, before the first line
//	C: what the client sends, CRLF added
//	C" "raw octets, quoted as in Go"
//	S: 250 words      a whole reply: its code, and words that must stand in it, or with "! " must not
//	S: closed         the server closes the connection
//	                  both may end in " x 100": so many times
//	TLS               the client starts TLS
//	log: words        that must stand in the log by now
//	warnings: 1       how many lines of this level the log has by now
//	spool: <sender> <recipient> …    one line for each message that must be in the spool afterwards, no others
//	account: mailbox=noreply@example.test rewrite=true    what the relay knows of its account
//	alias: root it@example.test boss@example.test         one of [aliases]
//	holds: "…"        octets that the last message's text must hold; lacks: must not
//	text: "…"         octets that the last message's text must end in, quoted as in Go
type dialog struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/dialogs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, f)
		})
	}
}

func play(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	f := newFront(t, settings(t, lines), func(o *Options) { accounts(t, o, lines) })
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer func() { d.conn.Close() }()
	var expected []string
	for i, line := range lines {
		where := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "", "#", "listener:", "account:", "alias:":
		case "C:":
			d.send(where, rest+"\r\n")
		case `C"`:
			rest, n := times(rest)
			d.send(where, strings.Repeat(unquote(t, where, rest), n))
		case "S:":
			rest, n := times(rest)
			for range n {
				d.expect(where, rest)
			}
		case "log:":
			if !strings.Contains(f.logged(), rest) {
				t.Errorf("%s: the log is\n%s", where, f.logged())
			}
		case "warnings:":
			if n := strings.Count(f.logged(), `"level":"warn"`); strconv.Itoa(n) != rest {
				t.Errorf("%s: %d warnings:\n%s", where, n, f.logged())
			}
		case "TLS":
			d.startTLS(where)
		case "spool:":
			expected = append(expected, rest)
		case "text:", "holds:", "lacks:":
			_, texts := f.spooled()
			last := append(texts, "")[max(len(texts)-1, 0)]
			want := unquote(t, where, rest)
			if kind == "text:" && !strings.HasSuffix(last, want) || strings.Contains(last, want) == (kind == "lacks:") {
				t.Errorf("%s: the last text is %q", where, last)
			}
		default:
			t.Fatalf("%s: what is %q?", where, line)
		}
	}
	compareSpool(t, f, expected)
}

// times takes " x 100" off the end of a line.
func times(s string) (rest string, n int) {
	if i := strings.LastIndex(s, " x "); i >= 0 {
		if n, err := strconv.Atoi(s[i+3:]); err == nil {
			return s[:i], n
		}
	}
	return s, 1
}

func compareSpool(t *testing.T, f *front, expected []string) {
	t.Helper()
	var got []string
	list, _ := f.spooled()
	for _, m := range list {
		s := "<" + m.Envelope.Sender + ">"
		for _, r := range m.Envelope.Recipients {
			s += " <" + r.Address + ">"
		}
		got = append(got, s)
	}
	if strings.Join(got, "\n") != strings.Join(expected, "\n") {
		t.Errorf("the spool holds\n%s\nwant\n%s\nlog:\n%s", strings.Join(got, "\n"), strings.Join(expected, "\n"), f.logged())
	}
}

func settings(t *testing.T, lines []string) Listener {
	l := policy()
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, "listener: ")
		if !ok {
			continue
		}
		for _, s := range strings.Fields(rest) {
			key, value, _ := strings.Cut(s, "=")
			number, _ := strconv.Atoi(value)
			switch key {
			case "auth":
				l.Auth = value
			case "security":
				l = withTLS(l, value)
			case "allow":
				l.Allow = nil
			case "senders":
				l.Senders, l.AnySender = glob{value}, value == "*"
			case "recipients":
				l.Recipients = glob{value}
			case "max_message_size":
				l.MaxMessageSize = int64(number)
			case "max_recipients":
				l.MaxRecipients = number
			case "proxy":
				l.ProxyFrom = []netip.Prefix{netip.MustParsePrefix(value)}
			case "allow_from":
				l.Allow = []netip.Prefix{netip.MustParsePrefix(value)}
			case "idle_timeout_ms":
				l.IdleTimeout = time.Duration(number) * time.Millisecond
			default:
				t.Fatalf("what is the setting %q?", key)
			}
		}
	}
	return l
}

// accounts reads account: and alias: lines.
func accounts(t *testing.T, o *Options, lines []string) {
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "account:":
			var info AccountInfo
			for _, word := range words[1:] {
				switch key, value, _ := strings.Cut(word, "="); key {
				case "mailbox":
					info.Mailbox = value
				case "rewrite":
					info.Rewrite = value == "true"
				default:
					t.Fatalf("what is %q?", word)
				}
			}
			o.Accounts = map[string]AccountInfo{"default": info}
		case "alias:":
			if o.Aliases == nil {
				o.Aliases = map[string][]string{}
			}
			o.Aliases[words[1]] = words[2:]
		}
	}
}

func unquote(t *testing.T, where, s string) string {
	t.Helper()
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	return u
}

func (d *dialog) connect(address string, secure bool) {
	d.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		d.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	d.conn = c
	if secure {
		d.conn = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	d.r = bufio.NewReader(d.conn)
}

func (d *dialog) send(where, s string) {
	d.t.Helper()
	if _, err := d.conn.Write([]byte(s)); err != nil {
		d.t.Fatalf("%s: %v", where, err)
	}
}

func (d *dialog) startTLS(where string) {
	d.t.Helper()
	c := tls.Client(d.conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		d.t.Fatalf("%s: %v", where, err)
	}
	d.conn, d.r = c, bufio.NewReader(c)
}

// expect reads one reply and holds it against what is wanted.
func (d *dialog) expect(where, want string) {
	d.t.Helper()
	got, err := d.reply()
	if want == "closed" {
		if err == nil {
			d.t.Fatalf("%s: %q, want a closed connection", where, got)
		}
		return
	}
	code, words, _ := strings.Cut(want, " ")
	unwanted, not := strings.CutPrefix(words, "! ")
	if err != nil || !strings.HasPrefix(got, code) || strings.Contains(got, unwanted) == not {
		d.t.Fatalf("%s: the server said %q (%v), want %q", where, got, err, want)
	}
}

func (d *dialog) reply() (string, error) {
	var all strings.Builder
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return all.String(), err
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSpace(all.String()), nil
		}
	}
}
