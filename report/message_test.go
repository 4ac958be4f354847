package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-message"
	"github.com/mailbearer/mailbearer/mail"
)

// reports are the golden files; what each must be beyond its bytes is checked on what Python reads.
var reports = []struct {
	name  string
	in    func() Input
	check func(t *testing.T, env *mail.Envelope, p parsed)
}{
	{"failure", func() Input { return inputOf(mail.KindFailure, unknownUser, 1) }, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "Action", get(p.Parts[1].Groups[1], "Action"), "failed")
		same(t, "Status", get(p.Parts[1].Groups[1], "Status"), "5.1.10")
		same(t, "Original-Recipient", get(p.Parts[1].Groups[1], "Original-Recipient"), "rfc822; old+name@example.net")
		same(t, "Final-Recipient", get(p.Parts[1].Groups[1], "Final-Recipient"), "rfc822; bob@example.net")
		same(t, "Diagnostic-Code", get(p.Parts[1].Groups[1], "Diagnostic-Code"), "smtp; "+unknownUser.Reply.String())
		same(t, "fields of the message", names(p.Parts[1].Groups[0]), "Original-Envelope-Id Reporting-Mta X-Mailbearer-Id Arrival-Date")
		same(t, "Original-Envelope-Id", get(p.Parts[1].Groups[0], "Original-Envelope-Id"), "QQ+314")
		same(t, "third part", p.Parts[2].Type, "text/rfc822-headers")
		same(t, "Subject", get(p.Headers, "Subject"), "Not delivered: Scan of Müller GmbH")
		same(t, "In-Reply-To", get(p.Headers, "In-Reply-To"), "<scan-1@printer>")
		contains(t, p.Parts[0].Text, unknownUser.Reply.String(), "bob@example.net", origID.String(), "mailbox was moved", "other recipients (2)")
		if strings.Contains(p.Parts[2].Text, "The scan.") {
			t.Error("the text came back without RET=FULL")
		}
	}},
	{"expired", func() Input {
		in := inputOf(mail.KindFailure, unreachable, 1, 2)
		in.Recipients[1].Outcome.Reply = mail.Reply{} // never reached anybody
		in.Recipients[1].Expired = true
		in.Hostname, in.Remote, in.Attempted = "[127.0.0.1]", "", time.Time{}
		return in
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "Status", get(p.Parts[1].Groups[1], "Status")+get(p.Parts[1].Groups[2], "Status"), "4.4.74.4.7")
		same(t, "fields", names(p.Parts[1].Groups[2]), "Final-Recipient Action Status")
		contains(t, p.Parts[0].Text, "given up on", "451 4.7.500 Server busy")
	}},
	{"delay", func() Input {
		o := unreachable
		o.State, o.Cause, o.Fix = mail.Deferred, "the provider is busy", "Lower limits.messages_per_minute if it stays so."
		in := inputOf(mail.KindDelay, o, 2)
		in.Until = noon.Add(5 * 24 * time.Hour)
		in.Envelope.Return = "FULL"
		return in
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "Action", get(p.Parts[1].Groups[1], "Action"), "delayed")
		same(t, "Status", get(p.Parts[1].Groups[1], "Status"), "4.7.500")
		same(t, "Will-Retry-Until", get(p.Parts[1].Groups[1], "Will-Retry-Until"), "Mon, 30 Nov 2026 12:00:00 +0000")
		same(t, "third part", p.Parts[2].Type, "text/rfc822-headers") // RFC 3461 §6.2: no failure, no text
		contains(t, p.Parts[0].Text, "You need not do anything", "What whoever runs", "Mon, 30 Nov 2026 12:00:00 +0000")
	}},
	{"success", func() Input {
		return inputOf(mail.KindSuccess, mail.Outcome{State: mail.Delivered, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}}, 0)
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "Action", get(p.Parts[1].Groups[1], "Action"), "relayed")
		same(t, "Status", get(p.Parts[1].Groups[1], "Status"), "2.0.0")
	}},
	{"full", func() Input {
		in := inputOf(mail.KindFailure, unknownUser, 1)
		in.Envelope.Return = "FULL"
		return in
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "third part", p.Parts[2].Type+" "+p.Parts[2].Encoding, "message/rfc822 7bit")
		same(t, "its Message-ID", get(p.Parts[2].Headers, "Message-ID"), "<scan-1@printer>")
		same(t, "its text", p.Parts[2].Text, "The scan.\r\n.dot\r\n")
	}},
	{"utf8", func() Input {
		o := unknownUser
		o.Reply.Text = "kein Postfach für jörg+x@exämple.net"
		in := inputOf(mail.KindFailure, o, 1)
		in.Envelope.Sender, in.Envelope.Return, in.Envelope.SMTPUTF8 = "drücker@example.com", "FULL", true
		in.Envelope.Recipients[1] = mail.Recipient{Address: "jörg+x@exämple.net", Original: `utf-8;j\x{F6}rg\x{2B}x@ex\x{E4}mple.net`}
		in.Original = strings.NewReader("To: jörg+x@exämple.net\r\nSubject: grüße\r\n\r\nschön\r\n")
		return in
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "Final-Recipient", get(p.Parts[1].Groups[1], "Final-Recipient"), `utf-8; j\x{F6}rg\x{2B}x@ex\x{E4}mple.net`)
		same(t, "Original-Recipient", get(p.Parts[1].Groups[1], "Original-Recipient"), `utf-8; j\x{F6}rg\x{2B}x@ex\x{E4}mple.net`)
		same(t, "third part", p.Parts[2].Type+" "+p.Parts[2].Encoding, "message/global 8bit")
		same(t, "Subject", get(p.Headers, "Subject"), "Not delivered: grüße")
		contains(t, p.Parts[0].Text, "jörg+x@exämple.net", "kein Postfach für")
		if !env.SMTPUTF8 || !env.EightBit {
			t.Errorf("the envelope is not for UTF-8: %+v", env)
		}
	}},
	{"injection", func() Input {
		const evil = "x\r\nBcc: victim@example.org\r\n\r\n--=_mailbearer_\u2028Bcc: victim@example.org\v\x85\x00\x1b[2J"
		in := inputOf(mail.KindFailure, mail.Outcome{
			State: mail.Failed, Reply: mail.Reply{Code: 550, Enhanced: "5.1.1\r\nBcc: victim@example.org", Text: evil}, Cause: evil, Fix: evil,
		}, 1)
		in.Envelope.EnvelopeID, in.Envelope.Account = "a+0D+0ABcc:+20victim@example.org", evil
		in.Envelope.Client = mail.Client{Address: evil, Name: evil, User: evil}
		in.Envelope.Recipients[1] = mail.Recipient{Address: "bob@example.net" + evil, Original: "rfc822\r\nBcc: v;a+0D+0ABcc:+20victim@example.org" + evil}
		in.Hostname, in.Remote = "relay\r\nBcc: victim@example.org", "mx\r\nBcc: victim@example.org"
		in.Original = strings.NewReader("Subject: =?utf-8?q?a=0D=0ABcc:_victim@example.org?=\rBcc: victim@example.org\nX: y\r\n" +
			"Message-ID: <a@b>,\r\n <c d>\r\nBad\x00Field: " + strings.Repeat("long", 500) + "\r\n\r\n")
		return in
	}, func(t *testing.T, env *mail.Envelope, p parsed) {
		same(t, "fields", names(p.Headers), "Date From To Subject Message-Id Auto-Submitted X-Auto-Response-Suppress X-Mailbearer-Id Mime-Version Content-Type")
		same(t, "fields of the message", names(p.Parts[1].Groups[0]), "Original-Envelope-Id Reporting-Mta X-Mailbearer-Id Arrival-Date")
		same(t, "fields of the recipient", names(p.Parts[1].Groups[1]), "Final-Recipient Action Status Diagnostic-Code Last-Attempt-Date")
		same(t, "Status", get(p.Parts[1].Groups[1], "Status"), "5.0.0")
		same(t, "third part", p.Parts[2].Type+" "+p.Parts[2].Encoding, "text/rfc822-headers quoted-printable")
	}},
}

func TestReports(t *testing.T) {
	t.Parallel()
	for _, c := range reports {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := c.in()
			env, text, err := Message(in)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".eml", text)
			wellFormed(t, text)
			p := python(t, text)
			checkFrame(t, in, env, text, p)
			c.check(t, env, p)
		})
	}
}

// checkFrame is what every report must be.
func checkFrame(t *testing.T, in Input, env *mail.Envelope, text []byte, p parsed) {
	t.Helper()
	same(t, "type", p.Type+" "+p.ReportType, "multipart/report delivery-status")
	same(t, "parts", len(p.Parts), 3)
	same(t, "first part", p.Parts[0].Type, "text/plain")
	same(t, "second part", p.Parts[1].Type+" "+p.Parts[1].Encoding, "message/delivery-status 7bit")
	same(t, "groups", len(p.Parts[1].Groups), len(in.Recipients)+1)
	same(t, "Auto-Submitted", get(p.Headers, "Auto-Submitted"), "auto-replied")
	same(t, "X-Auto-Response-Suppress", get(p.Headers, "X-Auto-Response-Suppress"), "All")
	same(t, "to", strings.Join(p.To, ","), in.Envelope.Sender)
	same(t, "from", strings.Join(p.From, ","), in.Mailbox)
	same(t, "MIME-Version", get(p.Headers, "MIME-Version"), "1.0")
	if len(env.Recipients) != 1 || env.Recipients[0].Address != in.Envelope.Sender || env.Sender != in.Mailbox ||
		env.About != in.Envelope.ID || env.Kind != in.Kind || env.ID != in.ID || env.Size != int64(len(text)) {
		t.Errorf("envelope %+v", env)
	}
	same(t, "parts by go-message", len(partsOf(t, text)), 3)
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// third is the third part's type and encoding.
func third(t *testing.T, in Input) string {
	t.Helper()
	_, text, err := Message(in)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, text)
	parts := partsOf(t, text)
	if len(parts) < 3 {
		return ""
	}
	kind, _, _ := parts[2].ContentType()
	return kind + " " + parts[2].Get("Content-Transfer-Encoding")
}

// partsOf returns the headers of a report's parts, as go-message reads them.
func partsOf(t *testing.T, text []byte) (headers []message.Header) {
	t.Helper()
	m, err := message.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r := m.MultipartReader()
	for {
		p, err := r.NextPart()
		if err != nil {
			return headers
		}
		headers = append(headers, p.Header)
	}
}

func TestWhatIsReturned(t *testing.T) {
	t.Parallel()
	full := func(text string, most int64) Input {
		in := inputOf(mail.KindFailure, unknownUser, 1)
		in.Envelope.Return, in.MaxOriginal, in.Original = "FULL", most, strings.NewReader(text)
		return in
	}
	none := inputOf(mail.KindFailure, unknownUser, 1)
	none.Original = nil
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"at the limit":     {full(letter, int64(len(letter))), "message/rfc822 7bit"},
		"over the limit":   {full(letter, int64(len(letter))-1), "text/rfc822-headers 7bit"},
		"8-bit":            {full("Subject: x\r\n\r\nsch\xf6n\r\n", 0), "message/rfc822 8bit"},
		"a line too long":  {full("Subject: x\r\n\r\n"+strings.Repeat("x", 999)+"\r\n", 0), "text/rfc822-headers 7bit"},
		"a line that fits": {full("Subject: x\r\n\r\n"+strings.Repeat("x", 998)+"\r\n", 0), "message/rfc822 7bit"},
		"NUL":              {full("Subject: x\r\n\r\n\x00\r\n", 0), "text/rfc822-headers 7bit"},
		"no header":        {full("\r\ntext\r\n", 1), "text/rfc822-headers 7bit"},
		"nothing":          {full("", 0), "message/rfc822 7bit"},
		"long header":      {full("Subject: x\r\n"+strings.Repeat("X-Y: z\r\n", 20000)+"\r\n", 1), "text/rfc822-headers 7bit"},
		"gone":             {none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same(t, "third part", third(t, c.in), c.want)
		})
	}
}

func TestHeaderOf(t *testing.T) {
	t.Parallel()
	long := "A: b\r\n" + strings.Repeat("X: y\r\n", maxHeader/6)
	for text, want := range map[string]string{
		"": "", "\r\nx": "", "A: b\r\n\r\nx": "A: b\r\n", "A: b\r\n": "A: b\r\n",
		long: long[:maxHeader/6*6], strings.Repeat("x", maxHeader+1): "",
	} {
		if got := string(headerOf([]byte(text))); got != want {
			t.Errorf("%.20q of %d: %d octets, want %d", text, len(text), len(got), len(want))
		}
	}
}

// TestBoundary: a boundary that stands in the message is not taken.
func TestBoundary(t *testing.T) {
	t.Parallel()
	in := inputOf(mail.KindFailure, unknownUser, 1)
	in.Envelope.Return = "FULL"
	in.Original = strings.NewReader("Subject: x\r\n\r\n--=_mailbearer_" + ownID.String() + "\r\n--=_mailbearer_" + ownID.String() + "_1--\r\n")
	same(t, "third part", third(t, in), "message/rfc822 7bit")
}

func TestNoReport(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Input){
		"null sender":   func(in *Input) { in.Envelope.Sender = "" },
		"two addresses": func(in *Input) { in.Envelope.Sender = "a@b.example>, <c@d.example" },
		"line end":      func(in *Input) { in.Envelope.Sender = "a@b.example\r\nBcc: c@d.example" },
		"no domain":     func(in *Input) { in.Envelope.Sender = "root" },
		"bad mailbox":   func(in *Input) { in.Mailbox = "a b" },
		"long":          func(in *Input) { in.Envelope.Sender = strings.Repeat("a", 500) + "@b.example" },
		"no recipient":  func(in *Input) { in.Recipients = nil },
		"no such kind":  func(in *Input) { in.Kind = mail.KindAlert },
		"disk":          func(in *Input) { in.Original = iotest.ErrReader(errors.New("disk")) },
	} {
		in := inputOf(mail.KindFailure, unknownUser, 1)
		change(&in)
		if _, text, err := Message(in); err == nil {
			t.Errorf("%s: no error, but %.200q", name, text)
		}
	}
}

func TestAlikeRecipientsShareOneExplanation(t *testing.T) {
	t.Parallel()
	in := inputOf(mail.KindFailure, unknownUser, 0, 1, 2)
	in.Recipients[1].Outcome.Reply.Text = "other"
	_, text, err := Message(in)
	if err != nil {
		t.Fatal(err)
	}
	human := python(t, text).Parts[0].Text
	same(t, "explanations", strings.Count(human, "The provider said:"), 2)
	contains(t, human, "ann@example.net\r\n    carol@example.net\r\n")
}

func TestStatusCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind mail.Kind
		r    mail.Reply
		want string
	}{
		{mail.KindFailure, mail.Reply{Code: 550, Enhanced: "5.1.1"}, "5.1.1"},
		{mail.KindFailure, mail.Reply{Code: 550}, "5.0.0"},
		{mail.KindFailure, mail.Reply{Code: 550, Enhanced: "4.1.1"}, "5.0.0"},
		{mail.KindFailure, mail.Reply{Code: 550, Enhanced: "5.01.1"}, "5.0.0"},
		{mail.KindFailure, mail.Reply{Text: "ErrorInvalidRecipients"}, "5.0.0"},
		{mail.KindFailure, mail.Reply{Code: 451, Enhanced: "4.3.0"}, "4.4.7"},
		{mail.KindDelay, mail.Reply{Code: 451, Enhanced: "4.3.0"}, "4.3.0"},
		{mail.KindDelay, mail.Reply{Code: 550, Enhanced: "5.7.3"}, "4.0.0"},
		{mail.KindDelay, mail.Reply{}, "4.0.0"},
		{mail.KindSuccess, mail.Reply{Code: 250, Enhanced: "2.6.0"}, "2.6.0"},
		{mail.KindSuccess, mail.Reply{}, "2.0.0"},
	} {
		if got := statusCode(kinds[c.kind], Recipient{Outcome: mail.Outcome{Reply: c.r}}); got != c.want {
			t.Errorf("%s, %+v: %s, want %s", c.kind, c.r, got, c.want)
		}
	}
}
