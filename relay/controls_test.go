package relay

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestControlsRemoved: control characters are taken out of a header, and that is said.
func TestControlsRemoved(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"From: fu\x14z@b.example":                              "From: fuz@b.example",
		"From: fu\x00z@b.example":                              "From: fuz@b.example",
		"From: \"x\x00y\" <a@b.example>\x00":                   "From: \"xy\" <a@b.example>",
		"From: \"a\\\x01\" <a@b.example>, \"b\" <c@d.example>": "From: \"a\\\" <a@b.example>, \\\"b\" <c@d.example>",
		"From: a@b.example\r\nSubject: a\x00b\x7f\tc":          "From: a@b.example\r\nSubject: ab\tc",
		"From: a@b.example\r\nSubject: \x1b$B4A\x1b(B\x1b[2J":  "From: a@b.example\r\nSubject: \x1b$B4A\x1b(B[2J",
		"From: a@b.example\r\nTo: \x1b$B4A\x1b(B <c@d>":        "",
		"From: a@b.example\r\nTo: \x1b[1m\x1b\x00$B\x1b <c@d>": "From: a@b.example\r\nTo: [1m$B <c@d>",
		"From: a@b.example\r\nX-A: a\r\n \x00b\r\n\t\x01c":     "From: a@b.example\r\nX-A: a\r\n b\r\n\tc",
		"From: a@b.example\r\nSubject: tab\tstays":             "",
	} {
		m := testMender(false)
		got, err := mendText(t, mended+in+"\r\n\r\nbo\x00dy\r\n", m)
		notes := slices.Contains(m.done, "control characters removed")
		if want == "" {
			want = in
		}
		if want := mended + want + "\r\n\r\nbo\x00dy\r\n"; got != want || err != nil || notes != (in+"\r\n\r\nbo\x00dy\r\n" != strings.TrimPrefix(want, mended)) {
			t.Errorf("%q became\n%q (%v, %q), want\n%q", in, got, err, m.done, want)
		}
	}
}

// TestControlsInNames: a line whose name has them is no field, and no receiver shall make one of it.
func TestControlsInNames(t *testing.T) {
	t.Parallel()
	const head = mended + "From: a@b.example\r\n"
	for _, line := range []string{"\x00Bcc: c@d.example", "Sub\x00ject: x", "\x00From: c@d.example"} {
		m := testMender(false)
		got, err := mendText(t, head+line+"\r\n\r\nbody\r\n", m)
		if want := head + "\r\n" + line + "\r\n\r\nbody\r\n"; got != want || err != nil || !slices.Equal(m.done, []string{"empty line added"}) {
			t.Errorf("%q became\n%q (%v, %q), want\n%q", line, got, err, m.done, want)
		}
	}
}

// TestControlsInSigned: what may be neither sent nor mended is refused.
func TestControlsInSigned(t *testing.T) {
	t.Parallel()
	for in, refused := range map[string]bool{
		"From: fu\x14z@b.example\r\n":                        true,
		"From: a@b.example\r\nSubject: a\x00b\r\n":           true,
		"From: a@b.example\r\n\x00Bcc: c@d\r\n":              true,
		"From: a@b.example\r\nTo: \x07 <c@d>\r\n":            true,
		"From: \x1b$B4A\x1b(B <a@b.example>\r\n":             false,
		"From: a@b.example\r\nSubject: bell\x07\r\n":         false,
		"From: a@b.example\r\nX: y\r\n\r\nin the body \x00 ": false,
	} {
		for _, signature := range signatures {
			for _, rewrite := range []bool{false, true} {
				in := signature + "\r\n" + in + "\r\nbody\r\n"
				got, err := mendText(t, in, testMender(rewrite))
				if errors.Is(err, errControls) != refused || !refused && !rewrite && got != in {
					t.Errorf("%q became %q (%v)", in, got, err)
				}
			}
		}
	}
}

// TestNoAddress: an author whom nobody could answer is not sent on as one.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"From: f\xfc@b.example":                        "From: =?utf-8?b?ZsO8QGIuZXhhbXBsZQ==?= <m@example.test>",
		"From: scan@x.example@y.example":               "From: \"scan@x.example@y.example\" <m@example.test>",
		"From: Scan <scan@x.example@y.example>":        "From: \"Scan\" <m@example.test>",
		"From: a@b.example, c d@e@f.example":           "From: a@b.example, \"c\" <m@example.test>",
		"From: a@b.example\r\nSender: c@d@e.f":         "From: a@b.example\r\nSender: \"c@d@e.f\" <m@example.test>",
		"From: jörg@bücher.example, \"x y\"@b.example": "From: jörg@bücher.example, \"x y\"@b.example",
	} {
		m := testMender(false)
		m.utf8 = true
		got, err := mendText(t, mended+in+"\r\n\r\nbody\r\n", m)
		if want := mended + want + "\r\n\r\nbody\r\n"; got != want || err != nil || (in != want) != (len(m.done) == 0) && strings.HasPrefix(want, mended+in) {
			t.Errorf("%q became\n%q (%v, %q), want\n%q", in, got, err, m.done, want)
		}
	}
	got, err := mendText(t, mended+"From: scan@x.example@y.example\r\n\r\n", testMender(true))
	if want := mended + "From: \"scan@x.example@y.example\" <m@example.test>\r\n\r\n"; got != want || err != nil {
		t.Errorf("rewritten to %q (%v)", got, err)
	}
}

// mend cleans and edits a section.
func (m *mender) mend(section []byte) ([]byte, error) {
	section, err := m.clean(section)
	if err != nil {
		return nil, err
	}
	return m.edit(section), nil
}
