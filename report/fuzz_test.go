package report

import (
	"bytes"
	"io"
	"mime/multipart"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/mail"
)

// headerNames reads a header with the standard library, which shares no code with the writer.
func headerNames(t *testing.T, text string) ([]string, *netmail.Message) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %.500q", err, text)
	}
	var list []string
	for k, v := range m.Header {
		for range v {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list, m
}

var (
	ownFields = []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To",
		"X-Auto-Response-Suppress", "X-Mailbearer-Id"}
	reply = []string{"In-Reply-To", "References"}
	about = []string{"Original-Envelope-Id", "Reporting-Mta", "X-Mailbearer-Id", "Arrival-Date"}
	to    = []string{"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code", "Last-Attempt-Date"}
)

// onlyOnce fails when a field is not one of these, or there twice.
func onlyOnce(t *testing.T, got, known []string) {
	t.Helper()
	for i, n := range got {
		if !slices.Contains(known, n) || i > 0 && got[i-1] == n {
			t.Errorf("field %q in %q", n, got)
		}
	}
}

// FuzzReport: whatever comes from outside, the header has our fields and no others, each once; so have the fields of
// the delivery status; there are three parts; nothing ends a line but CRLF.
func FuzzReport(f *testing.F) {
	evil := "x\r\nBcc: v@example.org\r\n\r\n\u2028y\x00"
	f.Add("a@b.example", "c@d.example", "550 no", "5.1.1", "helo", "relay.example.com", "QQ", "rfc822;x", []byte(letter), false)
	f.Add("a@b.example", evil, evil, evil, evil, evil, evil, evil, []byte(evil), true)
	f.Add("ü@b.example", "ü d", "\xff+0D+0A", "5.0.0", "a\tb", "[::1]", "+0D+0A", "utf-8;\xc3", []byte("A\r\rSubject:\n \n x\r\n\r\n--"), true)
	f.Add("\"a b\"@x", "", strings.Repeat("x ", 3000), "", "", "", strings.Repeat("+41", 900), "x;"+strings.Repeat("é", 900), bytes.Repeat([]byte("x"), 2000), true)
	f.Fuzz(func(t *testing.T, sender, rcpt, said, code, helo, host, envid, orcpt string, text []byte, full bool) {
		in := inputOf(mail.KindFailure, mail.Outcome{State: mail.Failed, Reply: mail.Reply{Code: 550, Enhanced: code, Text: said}, Cause: said, Fix: helo}, 1)
		in.Envelope.Sender, in.Hostname, in.Remote, in.Envelope.EnvelopeID = sender, host, host, envid
		in.Envelope.Client.Name, in.Envelope.Recipients[1].Address, in.Envelope.Recipients[1].Original = helo, rcpt, orcpt
		in.Original = bytes.NewReader(text)
		if full {
			in.Envelope.Return = "FULL"
		}
		_, got, err := Message(in)
		if err != nil {
			return // an address that no header can hold
		}
		wellFormed(t, got)
		list, m := headerNames(t, string(got))
		onlyOnce(t, list, append(ownFields, reply...))
		if a, err := m.Header.AddressList("To"); err != nil || len(a) != 1 {
			t.Errorf("To: %v, %v", a, err)
		}
		checkParts(t, m)
	})
}

// checkParts reads the parts with the standard library.
func checkParts(t *testing.T, m *netmail.Message) {
	t.Helper()
	_, boundary, _ := strings.Cut(m.Header.Get("Content-Type"), `boundary="`)
	boundary, _, _ = strings.Cut(boundary, `"`)
	r := multipart.NewReader(m.Body, boundary)
	n := 0
	for ; ; n++ {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			checkStatus(t, string(body))
		}
	}
	if n != 3 {
		t.Errorf("%d parts", n)
	}
}

func checkStatus(t *testing.T, body string) {
	t.Helper()
	if !isASCII(body) {
		t.Errorf("not ASCII: %q", body)
	}
	groups := strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n")
	if len(groups) != 2 {
		t.Fatalf("%d groups: %q", len(groups), body)
	}
	for i, known := range [][]string{about, to} {
		list, _ := headerNames(t, groups[i]+"\r\n\r\n")
		onlyOnce(t, list, known)
	}
}

// FuzzAlertMail: the same for the e-mail of an alert.
func FuzzAlertMail(f *testing.F) {
	f.Add("a@b.example", "title", "text", "relay")
	f.Add("a@b.example", "x\r\nBcc: v@example.org\r\n\r\n", "x\r\n.\r\n\u0085\x00", "a\r\nb")
	f.Fuzz(func(t *testing.T, to, title, text, host string) {
		subject, body := alertText(host, []telling{{Alert: Alert{Title: title, Text: text, Fix: text, Account: title}, Count: 2}}, 0)
		_, got, err := FormatAlertMail(AlertMail{ID: ownID, Now: noon, Hostname: host, Mailbox: "m@example.com", To: []string{to}, Subject: subject, Body: []byte(body)})
		if err != nil {
			return
		}
		wellFormed(t, got)
		list, _ := headerNames(t, string(got))
		onlyOnce(t, list, append(ownFields, "Content-Transfer-Encoding"))
	})
}
