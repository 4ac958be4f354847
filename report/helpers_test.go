package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mailbearer/mailbearer/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata, whose lines end with LF so that editors and diffs show them.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	lf := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if *update {
		if err := os.WriteFile(path, lf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(lf)); diff != "" {
		t.Errorf("%s (-want +got; go test ./report -update writes it):\n%s", path, diff)
	}
}

// parsed is what Python's email package makes of a message.
type parsed struct {
	Headers    [][2]string
	Type       string
	ReportType string `json:"report_type"`
	Parts      []struct {
		Type, Encoding, Text string
		Groups               [][][2]string
		Headers              [][2]string
	}
	To, From, Defects []string
}

// python reads a message with an independent parser. A machine without it fails: the check would prove nothing.
func python(t *testing.T, text []byte) parsed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/parse.py")
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3 testdata/parse.py: %v\n%s", err, stderr.String())
	}
	var p parsed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Defects) > 0 {
		t.Errorf("defects: %q", p.Defects)
	}
	return p
}

// get returns the values of all fields of that name.
func get(fields [][2]string, name string) string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, "\n")
}

// names returns the names of fields in their order.
func names(fields [][2]string) string {
	var list []string
	for _, f := range fields {
		list = append(list, f[0])
	}
	return strings.Join(list, " ")
}

// wellFormed fails on whatever may not be in a mail: a bare CR or LF, a NUL, a line over 998 octets.
func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	rest := bytes.ReplaceAll(text, []byte("\r\n"), nil)
	if i := bytes.IndexAny(rest, "\r\n\x00"); i >= 0 {
		t.Errorf("bare CR, LF or a NUL near %q", rest[max(0, i-40):min(len(rest), i+40)])
	}
	for l := range bytes.SplitSeq(text, []byte("\r\n")) {
		if len(l) > 998 {
			t.Errorf("a line of %d octets: %.60q", len(l), l)
		}
	}
}

var (
	noon   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	origID = mail.ID(0x0305_0709_0b0d_0f11)
	ownID  = mail.ID(0x0305_0709_0b0d_1013)
)

const letter = "Received: from printer ([10.0.0.5])\r\n\tby relay.example.com with ESMTP id x\r\n" +
	"From: Scanner <scanner@example.com>\r\nTo: bob@example.net\r\nSubject: Scan of =?utf-8?q?M=C3=BCller?=\r\n" +
	" GmbH\r\nMessage-ID: <scan-1@printer>\r\nDate: Wed, 25 Nov 2026 11:00:00 +0000\r\n\r\nThe scan.\r\n.dot\r\n"

// envelopeOf is the envelope of a message to three recipients.
func envelopeOf() *mail.Envelope {
	return &mail.Envelope{
		ID: origID, Account: "default", Sender: "scanner@example.com", Received: noon.Add(-time.Hour), EnvelopeID: "QQ+2B314",
		Client: mail.Client{Address: "10.0.0.5:4711", Name: "printer", User: "scanner"},
		Recipients: []mail.Recipient{
			{Address: "ann@example.net", State: mail.Delivered},
			{Address: "bob@example.net", State: mail.Failed, Original: "rfc822;old+2Bname@example.net"},
			{Address: "carol@example.net", State: mail.Deferred},
		},
	}
}

var unknownUser = mail.Outcome{
	State: mail.Failed, Class: mail.ClassPermanent,
	Reply: mail.Reply{Code: 550, Enhanced: "5.1.10", Text: "RESOLVER.ADR.RecipientNotFound; Recipient bob@example.net not found by SMTP address lookup [AM9PR01MB1234.eurprd01.prod.exchangelabs.com 2026-11-25T11:59:58.123Z 08DE2A1B2C3D4E5F]"},
	Cause: "the provider knows no mailbox with this address",
	Fix:   "Check the address for typing mistakes. If the mailbox was moved or renamed, ask its owner for the new address.",
}

var unreachable = mail.Outcome{
	State: mail.Failed, Class: mail.ClassPermanent,
	Reply: mail.Reply{Code: 451, Enhanced: "4.7.500", Text: "Server busy. Please try again later"},
	Cause: "given up after 120h0m0s of trying; the last trouble was: the provider is busy", Fix: "Send it again.",
}

func inputOf(kind mail.Kind, o mail.Outcome, index ...int) Input {
	in := Input{
		ID: ownID, Kind: kind, Now: noon, Hostname: "relay.example.com", Mailbox: "noreply@example.com",
		Envelope: envelopeOf(), Remote: "smtp.office365.com", Attempted: noon.Add(-2 * time.Second),
		Original: strings.NewReader(letter),
	}
	for _, i := range index {
		in.Recipients = append(in.Recipients, Recipient{Index: i, Outcome: o})
	}
	return in
}
