package main

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
)

// lookUp finds what the catalogue knows of one error's words, best first.
func lookUp(text string) []diagnose.Entry {
	text = canonical(text)
	entries := diagnose.LookupAll(text)
	if len(entries) == 0 {
		entries = byCode(text)
	} else if slices.ContainsFunc(entries, specific) {
		entries = slices.DeleteFunc(entries, func(e diagnose.Entry) bool { return !specific(e) })
	}
	slices.SortStableFunc(entries, func(a, b diagnose.Entry) int { return rank(a) - rank(b) })
	return entries
}

// specific says that an entry knows more than the kind of error. Beside such a one the others are noise: every AADSTS
// code comes with an invalid_grant or the like.
func specific(e diagnose.Entry) bool {
	return !strings.HasPrefix(e.ID, "oauth-") && !strings.HasSuffix(e.ID, "-other")
}

// quotedCode is a code right behind a quotation mark, as Python prints replies: (535, b'5.7.3 …').
var quotedCode = regexp.MustCompile(`["']([0-9]\.[0-9]{1,3}\.)`)

// entraCode is Entra's code as people write it: aadsts7000215, AADSTS 7000215, AADSTS-7000215.
var entraCode = regexp.MustCompile(`(?i)\bAADSTS[\s:#_-]{0,3}([0-9]{4,7})\b`)

// bareNumber is Entra's code without its letters, as its sign-in log shows it. Any number may stand for anything: it
// counts where it is all there is, or is called an error code, and only if the catalogue has it.
var (
	bareNumber  = regexp.MustCompile(`^[\s#]*([0-9]{5,7})[\s.]*$`)
	numberedFor = regexp.MustCompile(`(?i)\berror[\s_-]?codes?["']?\s*(?:is\b)?[\s:=#\["']*([0-9]{5,7})\b`)
)

// canonical writes codes as providers write them.
func canonical(text string) string {
	text = entraCode.ReplaceAllString(quotedCode.ReplaceAllString(text, " $1"), "AADSTS$1")
	if strings.Contains(text, "AADSTS") {
		return text // it has its code in full
	}
	if m := numberedFor.FindStringSubmatch(text); m != nil {
		return text + lettered(m[1])
	}
	if data, err := base64.StdEncoding.DecodeString(challenge.FindString(text)); err == nil && bytes.Contains(data, []byte(`"status"`)) {
		return text + " " + string(data)
	}
	return text
}

// challenge is JSON in base64, as a server answers AUTH XOAUTH2 with: 334 eyJzdGF0dXMi….
var challenge = regexp.MustCompile(`\beyJ[A-Za-z0-9+/]{8,}={0,2}`)

// lettered is the code of Entra's with this number, after a space, or nothing if there is none.
func lettered(number string) string {
	if _, known := diagnose.Lookup(diagnose.SourceEntra, "AADSTS"+number); !known {
		return ""
	}
	return " AADSTS" + number
}

// rank puts what a provider said before what the machine's own network layer wrapped around it.
func rank(e diagnose.Entry) int {
	return slices.Index([]string{diagnose.SourceEntra, diagnose.SourceGraph, diagnose.SourceSMTP, diagnose.SourceTLS, diagnose.SourceNetwork}, e.Source)
}

// codes are what providers number their errors with.
var codes = regexp.MustCompile(`\bAADSTS[0-9]+\b|\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b|\b[A-Z][a-z]+(?:[A-Z][A-Za-z0-9]+)+\b|\b[a-z]+(?:_[a-z]+)+\b`)

// byCode finds entries by a bare code, which lacks the words that the catalogue's patterns want around it. Words that
// are no code only stand beside it: a guess by number alone would mislead, so there may not be many of them.
func byCode(text string) (found []diagnose.Entry) {
	given := codes.FindAllString(text, -1)
	if len(given) == 0 || len(strings.Fields(text)) > 4 {
		return nil
	}
	for _, e := range diagnose.Entries() {
		if !slices.ContainsFunc(given, func(code string) bool { return !about(e, code) }) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b diagnose.Entry) int { return fit(b, given[0]) - fit(a, given[0]) })
	return found
}

// fit says how well an entry fits a code without words: best one for the code whatever its words are, then one that is
// recognised by the code and not by something that stood beside it in the example.
func fit(e diagnose.Entry, code string) int {
	switch {
	case strings.HasSuffix(e.ID, "-other"):
		return 2
	case strings.Contains(e.Match, regexp.QuoteMeta(code)):
		return 1
	}
	return 0
}

// about says whether an entry is about a code. OAuth's own words, as invalid_grant, are in the example of many entries
// and explain nothing unless one is named after them.
func about(e diagnose.Entry, code string) bool {
	if code[0] >= 'a' && code[0] <= 'z' {
		return strings.HasSuffix(strings.ReplaceAll(e.ID, "-", "_"), "_"+code)
	}
	return hasCode(e.Example, code) || slices.Contains(e.Codes, code)
}

// hasCode says whether text has the code, not only as a part of a longer one.
func hasCode(text, code string) bool {
	for rest, i := text, 0; ; rest = rest[i+len(code):] {
		if i = strings.Index(rest, code); i < 0 {
			return false
		}
		before, after := strings.TrimRight(rest[:i], "0123456789."), strings.TrimLeft(rest[i+len(code):], "0123456789")
		if len(before) == i && len(after) == len(rest)-i-len(code) {
			return true
		}
	}
}
