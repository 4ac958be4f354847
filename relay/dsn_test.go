package relay

import (
	"strings"
	"testing"
)

func TestDSNParametersAreKept(t *testing.T) {
	t.Parallel()
	f := newFront(t, policy())
	d := &dialog{t: t}
	d.connect(f.address, false)
	defer d.conn.Close()
	d.expect("banner", "220")
	for _, step := range []struct{ say, want string }{
		{"EHLO x", "250 DSN"},
		{"MAIL FROM:<a@example.test> RET=HDRS ENVID=QQ+2B3+3D4", "250"},
		{"RCPT TO:<b@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bname@example.test", "250"},
		{"RCPT TO:<c@example.test> NOTIFY=NEVER", "250"},
		{"DATA", "354"},
	} {
		d.send(step.say, step.say+"\r\n")
		d.expect(step.say, step.want)
	}
	d.send("text", "Subject: x\r\n\r\nx\r\n.\r\n")
	d.expect("end", "250")
	list, _ := f.spooled()
	e := list[0].Envelope
	if e.Return != "HDRS" || e.EnvelopeID != "QQ+2B3+3D4" {
		t.Errorf("RET %q, ENVID %q", e.Return, e.EnvelopeID)
	}
	if r := e.Recipients[0]; strings.Join(r.Notify, ",") != "SUCCESS,FAILURE" || r.Original != "rfc822;old+2Bname@example.test" {
		t.Errorf("NOTIFY %q, ORCPT %q", r.Notify, r.Original)
	}
	if r := e.Recipients[1]; strings.Join(r.Notify, ",") != "NEVER" || r.Original != "" {
		t.Errorf("NOTIFY %q, ORCPT %q", r.Notify, r.Original)
	}
}

func TestXtext(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "a+b=c d": "a+2Bb+3Dc+20d", "ü": "+C3+BC"} {
		if got := xtext(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := utf8Xtext("ü\\a b"); got != `\x{FC}\x{5C}a\x{20}b` {
		t.Errorf("%q", got)
	}
}
