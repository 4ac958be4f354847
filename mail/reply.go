package mail

import (
	"fmt"
	"strconv"
	"strings"
)

// Reply is what an SMTP server answered, its words kept verbatim.
type Reply struct {
	Code     int    // RFC 5321 §4.2; 0 means that no reply came
	Enhanced string // RFC 3463 status code, "5.1.1"; "" when the server gave none
	Text     string // the text without both codes, lines joined by a space
}

// String returns the reply as the server sent it, on one line.
func (r Reply) String() string {
	if r.Code == 0 {
		return r.Text
	}
	return strings.TrimRight(fmt.Sprintf("%d %s", r.Code, strings.TrimLeft(r.Enhanced+" "+r.Text, " ")), " ")
}

// ParseReply reads what String wrote. A text without a code is a reply without one.
func ParseReply(s string) Reply {
	code, rest, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 200 || n > 599 {
		return Reply{Text: s}
	}
	r := Reply{Code: n, Text: rest}
	if e, text, _ := strings.Cut(rest, " "); isEnhanced(e) {
		r.Enhanced, r.Text = e, text
	}
	return r
}

// isEnhanced says whether a word is a status code of RFC 3463: class, subject and detail.
func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || len(p) > 3 {
			return false
		}
	}
	return true
}

// Positive says whether the server agreed.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Permanent says whether the server refused for good: 5yz, and nothing else. No reply, or one that cannot be
// read, is temporary.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// Class is the kind of trouble that a provider's words describe. It explains; what is done follows the reply
// code, with the one exception that OfAccount names.
type Class string

// The classes of the error catalogue.
const (
	ClassPermanent   Class = "permanent"    // this message or recipient is refused for good
	ClassTransient   Class = "transient"    // passes by itself
	ClassThrottled   Class = "throttled"    // too much, too fast, or a quota is used up
	ClassNeedsAdmin  Class = "needs_admin"  // an administrator of the provider has to change something
	ClassNeedsSignIn Class = "needs_signin" // a person has to sign in
	ClassConfig      Class = "config"       // this relay's own configuration is at fault
)

// OfAccount says whether trouble of this class concerns the whole account, so that holding it can only keep mail
// longer: whatever the reply's code, no message is given up because of it.
func (c Class) OfAccount() bool {
	switch c {
	case ClassThrottled, ClassNeedsAdmin, ClassNeedsSignIn, ClassConfig:
		return true
	}
	return false
}
