package main

import (
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// oddCron is what a job prints that no provider would take: a line of 5,000 characters, and a header in raw octets.
func oddCron(id string) (text, long string) {
	long = strings.Repeat("a day's log in one line; ", 200)
	return "X-Test-Id: " + id + "\nFrom: B\xc3\xbcro <>\nSubject: gr\xc3\xbc\xc3\x9fe\n\n" + long + "\n", long
}

// mendedCron checks what the provider got for it.
func mendedCron(t *testing.T, data []byte) {
	t.Helper()
	_, long := oddCron("")
	head, body, _ := strings.Cut(string(data), "\r\n\r\n")
	for line := range strings.SplitSeq(string(data), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets arrived", len(line))
		}
	}
	for _, want := range []string{
		"From: =?utf-8?q?B=C3=BCro?= <" + testMailbox + ">", "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=", "Content-Transfer-Encoding: quoted-printable", "MIME-Version: 1.0",
	} {
		if !strings.Contains(head+"\r\n", "\r\n"+want+"\r\n") {
			t.Errorf("%q is not in\n%s", want, head)
		}
	}
	if got, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body))); err != nil || string(got) != long+"\r\n" {
		t.Errorf("the body arrived as %q (%v)", got, err)
	}
}

// TestSendmailMends: what the relay mends in a device's message, sendmail mends in a job's, and says so in the trace.
func TestSendmailMends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	text, _ := oddCron("one")
	out, errs, code := w.sendmail(strings.NewReader(text), "-v", "a@example.com")
	id := strings.TrimSpace(strings.TrimPrefix(out, "queued as "))
	if code != 0 {
		t.Fatalf("exit %d, %s", code, errs)
	}
	shown, _, _ := w.under("mailbearer", nil, "queue", "show", id)
	for _, want := range []string{"From replaced", "8-bit header encoded", "long lines encoded"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in the trace:\n%s", want, shown)
		}
	}
	const signed = "DKIM-Signature: v=1; h=from:message-id\nFrom: <root>\n\n"
	w.mustSend(signed+strings.Repeat("x", 5000)+"\n", "-f", testMailbox, "a@example.com")
	w.start()
	list := w.arrived(2, 10*time.Second)
	for _, m := range list {
		if testID(m.Data) == "one" {
			mendedCron(t, m.Data)
		} else if got, want := stripTrace(t, m.Data), strings.ReplaceAll(signed, "\n", "\r\n")+strings.Repeat("x", 5000)+"\r\n"; got != want {
			t.Errorf("what was signed arrived as %q", got)
		}
	}
}

// TestSendmailRewrites: from = "rewrite" of the account holds for a job's mail too.
func TestSendmailRewrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"limits": "{ messages_per_minute = 0 }\nfrom = \"rewrite\""})
	w.start()
	w.mustSend("From: Shop <shop@contoso.example>\nDate: x\nMessage-ID: <1@b>\n\nhi\n", "a@example.com")
	m := w.arrived(1, 10*time.Second)[0]
	want := "From: \"Shop\" <" + testMailbox + ">\r\nReply-To: Shop <shop@contoso.example>\r\nDate: x\r\nMessage-ID: <1@b>\r\n\r\nhi\r\n"
	if got := stripTrace(t, m.Data); m.Sender != testMailbox || got != want {
		t.Errorf("from %q arrived as\n%q, want\n%q", m.Sender, got, want)
	}
}

// TestSendmailUnquotedName: a name with a comma and no quotes is one author's, and its address is the sender.
func TestSendmailUnquotedName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	w.configure(map[string]string{"limits": "{ messages_per_minute = 0 }"})
	w.start()
	const rest = "Date: x\nMessage-ID: <1@b>\nSubject: "
	sent := 0
	for in, want := range map[string]string{
		"From: Müller, Hans <shop@contoso.example>\n" + rest + "Grüße\n": "From: =?utf-8?b?TcO8bGxlciwgSGFucw==?= <shop@contoso.example>\n" + rest + "=?utf-8?q?Gr=C3=BC=C3=9Fe?=\n",
		"From: Büro (2) <shop@contoso.example>\n" + rest + "x\n":         "From: =?utf-8?q?B=C3=BCro?= (2) <shop@contoso.example>\n" + rest + "x\n",
	} {
		w.mustSend(in+"\nhi\n", "a@example.com")
		sent++
		m := w.arrived(sent, 10*time.Second)[sent-1]
		if got := strings.ReplaceAll(stripTrace(t, m.Data), "\r\n", "\n"); m.Sender != "shop@contoso.example" || got != want+"\nhi\n" {
			t.Errorf("from %q arrived as\n%q, want\n%q", m.Sender, got, want)
		}
	}
}
