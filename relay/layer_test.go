package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

// recorder is a backend that writes down what it is asked, with the layer or without it.
type recorder struct {
	smtp *smtp.Conn
	log  *bytes.Buffer
}

func (r *recorder) layer() *conn { c, _ := r.smtp.Conn().(*conn); return c }

func (r *recorder) address(a string) string {
	if c := r.layer(); c != nil {
		return c.path.String()
	}
	return a
}

func (r *recorder) Mail(from string, o *smtp.MailOptions) error {
	fmt.Fprintf(r.log, "MAIL %s %+v\n", r.address(from), *o)
	return nil
}

func (r *recorder) Rcpt(to string, o *smtp.RcptOptions) error {
	fmt.Fprintf(r.log, "RCPT %s %+v\n", r.address(to), *o)
	if strings.HasPrefix(to, "no") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no"}
	}
	return nil
}

func (r *recorder) Data(text io.Reader) error {
	if c := r.layer(); c != nil {
		text = c.text
	}
	b, err := io.ReadAll(text)
	fmt.Fprintf(r.log, "DATA %q %v\n", b, err)
	return nil
}

func (r *recorder) Reset()        { fmt.Fprintf(r.log, "RSET\n") }
func (r *recorder) Logout() error { return nil }

// converse plays a client's octets to go-smtp, behind the layer or alone, and returns what the client and the backend
// saw.
func converse(t testing.TB, layered bool, pieces [][]byte) (replies, backend string) {
	var log bytes.Buffer
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &recorder{c, &log}, nil }))
	s.Domain, s.EnableDSN, s.EnableSMTPUTF8, s.MaxRecipients, s.MaxLineLength = "relay.example.test", true, true, 10, 0
	s.ErrorLog = quietLog{}
	var l net.Listener = inner
	if layered {
		p := policy()
		l = newListener(inner, &p, s.Domain, zerolog.Nop())
	}
	served := make(chan struct{})
	go func() { s.Serve(l); close(served) }()
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		for _, p := range pieces {
			c.Write(p)
		}
		c.(*net.TCPConn).CloseWrite()
	}()
	all, _ := io.ReadAll(c)
	c.Close()
	s.Shutdown(t.Context())
	<-served
	return string(all), log.String()
}

type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}

// correctClient draws a conversation as RFC 5321 has it.
func correctClient(t *rapid.T) []byte {
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	address := rapid.StringMatching(`[a-z][a-z0-9+_=-]{0,10}(\.[a-z]{1,5})?@([a-z][a-z0-9-]{0,8}\.){0,2}[a-z]{2,4}`)
	mailParams := rapid.SampledFrom([]string{"", " SIZE=1000", " BODY=8BITMIME", " BODY=7BIT SIZE=5", " SMTPUTF8", " RET=FULL ENVID=QQ+2B1", " size=3"})
	rcptParams := rapid.SampledFrom([]string{"", "", " NOTIFY=NEVER", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.example"})
	say("%s %s", rapid.SampledFrom([]string{"EHLO", "HELO", "ehlo"}).Draw(t, "hello"), rapid.SampledFrom([]string{"host", "[10.0.0.1]", "a.b.example"}).Draw(t, "name"))
	for range rapid.IntRange(0, 4).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"mail", "mail", "mail", "other"}).Draw(t, "step") {
		case "other":
			say("%s", rapid.SampledFrom([]string{"NOOP", "RSET", "VRFY x", "EXPN x", "NOOP something", "EHLO again", "DATA", "XYZZY"}).Draw(t, "other"))
		case "mail":
			from := address.Draw(t, "from")
			if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
				from = ""
			}
			say("MAIL FROM:<%s>%s", from, mailParams.Draw(t, "mail parameters"))
			taken := 0
			for range rapid.IntRange(0, 12).Draw(t, "recipients") {
				to := address.Draw(t, "to")
				if !strings.HasPrefix(to, "no") {
					taken++
				}
				say("RCPT TO:<%s>%s", to, rcptParams.Draw(t, "rcpt parameters"))
			}
			if taken == 0 || rapid.IntRange(0, 9).Draw(t, "leave") == 0 {
				say("RSET")
				continue
			}
			say("DATA")
			for _, line := range rapid.SliceOf(rapid.SampledFrom([]string{"", ".", "..", ".x", "Subject: x", "\x00\xff", "a b", "RSET", ".\tx", "ends in a dot."})).Draw(t, "text") {
				if strings.HasPrefix(line, ".") {
					line = "." + line
				}
				say("%s", line)
			}
			say(".")
		}
	}
	say("QUIT")
	return b.Bytes()
}

// pieces cuts octets as a network may.
func pieces(t *rapid.T, all []byte) (list [][]byte) {
	for len(all) > 0 && len(list) < 20 {
		n := rapid.IntRange(1, len(all)).Draw(t, "piece")
		list, all = append(list, all[:n]), all[n:]
	}
	if len(all) > 0 {
		list = append(list, all)
	}
	return list
}

// TestLayerChangesNothing: what a correct client says and is told is the same as with go-smtp alone, but for CHUNKING
// and the words.
func TestLayerChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		all := correctClient(rt)
		wantReplies, wantBackend := converse(t, false, [][]byte{all})
		gotReplies, gotBackend := converse(t, true, pieces(rt, all))
		if want := inOurWords(strings.ReplaceAll(wantReplies, "250-CHUNKING\r\n", "")); gotReplies != want {
			rt.Fatalf("client %q\nhears %q\nwant  %q", all, gotReplies, want)
		}
		if gotBackend != wantBackend {
			rt.Fatalf("client %q\nbackend %s\nwant %s", all, gotBackend, wantBackend)
		}
	})
}

func inOurWords(replies string) string {
	lines := strings.Split(replies, "\r\n")
	for i, line := range lines {
		lines[i] = ours(strings.Replace(line, "501 5.5.2 Bad command", "500 5.5.1 there is no command XYZZY", 1))
		for theirs, code := range map[string]string{"250-Hello ": "250-", "250 2.0.0 Hello ": "250 "} {
			if name, ok := strings.CutPrefix(line, theirs); ok {
				lines[i] = code + "relay.example.test greets " + name
			}
		}
	}
	return strings.Join(lines, "\r\n")
}

// TestWords: every reply of ours is one line with a code that RFC 5321 knows, and the library's words come from
// nowhere else any more.
func TestWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range words {
		code := w.ours[:3]
		if !strings.Contains(" 221 235 250 252 354 421 452 500 501 502 503 555 ", " "+code+" ") || len(w.ours) > replyLimit || seen[w.theirs] {
			t.Errorf("%q", w)
		}
		if code != "354" && (w.ours[4] != code[0] || strings.Count(strings.Fields(w.ours)[1], ".") != 2) {
			t.Errorf("%q has no status code that fits (RFC 2034)", w.ours)
		}
		seen[w.theirs] = true
		if w.ours == ours(w.ours) && ours(w.theirs) != w.ours {
			t.Errorf("%q becomes %q", w.theirs, ours(w.theirs))
		}
	}
}
