package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// maxExplained is how much is read of what somebody pipes in: a whole day's log is not an error message.
const maxExplained = 1 << 20

// explanation is the JSON of one entry that `explain` found; its names are fixed.
type explanation struct {
	ID    string `json:"id"`
	Class string `json:"class"`
	Title string `json:"title"`
	Fix   string `json:"fix"`
	Ref   string `json:"ref"`
	Text  string `json:"text"` // the words that it was found in
}

func newExplain(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [TEXT…]",
		Short: "Say what a provider's error means and what to do about it",
		Long: `Say what a provider's error means and what to do about it: a reply of the mail server, an AADSTS code, an error
of Microsoft Graph, a whole log line, or only the code. Without TEXT it reads standard input. Nothing leaves this machine.

  mailbearer explain AADSTS7000215
  mailbearer explain "535 5.7.3 Authentication unsuccessful"
  journalctl -u mailbearer -n 50 | mailbearer explain`,
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := explainWhat(e, args)
			if err != nil {
				return err
			}
			found := explain(text)
			if err := printExplanations(e.stdout, found, asJSON, len(strings.Fields(text)) <= 2); err != nil {
				return err
			}
			if len(found) == 0 {
				return fail("this error is not in the catalogue. If it has a code (AADSTS…, 5.7.139, Error…), try with the code alone; " +
					"otherwise search for the code on learn.microsoft.com. mailbearer status shows what the relay makes of it")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	return c
}

// explainWhat is what the arguments say together, or standard input.
func explainWhat(e *env, args []string) (string, error) {
	text := strings.Join(args, " ")
	if len(args) == 0 {
		if f, ok := e.stdin.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			fmt.Fprintln(e.stderr, "Paste the error, then press Enter and Ctrl-D (on Windows Ctrl-Z and Enter):")
		}
		data, err := io.ReadAll(io.LimitReader(e.stdin, maxExplained))
		if err != nil {
			return "", err
		}
		text = string(data)
	}
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("which error? Give its text, as in: mailbearer explain \"535 5.7.3 Authentication unsuccessful\"")
	}
	return text, nil
}

// explain finds what the catalogue knows of a text, best first.
func explain(text string) []explanation {
	found := []explanation{}
	for _, t := range passages(text) {
		for _, e := range lookUp(t) {
			if !slices.ContainsFunc(found, func(x explanation) bool { return x.ID == e.ID }) {
				found = append(found, explanation{e.ID, e.Class, e.Title, e.Fix, e.Ref, strings.Join(strings.Fields(safe(t)), " ")})
			}
		}
	}
	return found
}

func lookUp(text string) []diagnose.Entry {
	text = quotedCode.ReplaceAllString(text, " $1")
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

// shortText is what is looked at as a whole: the catalogue looks at the beginning of a text only.
const shortText = 4 << 10

// passages are the whole of a short text, since a reply may have several lines, and the lines of a long one in which
// something is: what is repeated is asked once, and whole pieces before their lines, so that a day's log takes no minute.
func passages(text string) (found []string) {
	if len(text) <= shortText {
		return []string{text}
	}
	piece, seen := "", map[string]bool{}
	for line := range strings.Lines(text + "\n") {
		alike := passing.ReplaceAllString(line, "")
		if seen[alike] {
			continue
		}
		seen[alike] = true
		if len(piece)+len(line) <= shortText {
			piece += line
			continue
		}
		found = append(found, telling(piece)...)
		piece = line
	}
	return append(found, telling(piece)...)
}

// passing is what differs from one line of a log to the next though both say the same: ids, times, addresses. An error
// code is shorter than an id and has fewer dots than an address.
var passing = regexp.MustCompile(`\b[0-9a-fA-F][0-9a-fA-F-]{7,}\b|[0-9]{2}:[0-9]{2}:[0-9.]+|\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b`)

// telling are the lines of a piece of log in which something is, or all of it when that takes several of them.
func telling(piece string) (lines []string) {
	if len(lookUp(piece)) == 0 {
		return nil
	}
	for line := range strings.Lines(piece) {
		if len(lookUp(line)) > 0 {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return []string{piece}
	}
	return lines
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
	return hasCode(e.Example, code)
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

// printExplanations writes the best one in full, and of the others what they are.
func printExplanations(w io.Writer, found []explanation, asJSON, bare bool) error {
	if asJSON {
		return writeJSON(w, found)
	}
	if bare && len(found) > 1 {
		fmt.Fprint(w, "The code alone can mean several things; the whole text says which. The first of them:\n\n")
	}
	for i, x := range found {
		switch {
		case i == 0:
			fmt.Fprintf(w, "%s\n(%s; %s)\n\nWhat to do:\n%s\n\nSource: %s\n", x.Title, x.ID, meaning[x.Class], stepLines(x.Fix), x.Ref)
		case i == 1:
			fmt.Fprintln(w, "\nIt could also be:")
			fallthrough
		default:
			fmt.Fprintf(w, "  %s (%s)\n", x.Title, x.ID)
		}
	}
	return nil
}

// meaning says a class in a person's words.
var meaning = map[string]string{
	diagnose.ClassPermanent:   "this message is refused for good; others are not affected",
	diagnose.ClassTransient:   "it passes by itself, and the relay goes on trying",
	diagnose.ClassThrottled:   "too much at once, or a quota is used up; the relay slows down and goes on",
	diagnose.ClassNeedsAdmin:  "an administrator has to change something at the provider",
	diagnose.ClassNeedsSignIn: "somebody has to sign in again",
	diagnose.ClassConfig:      "something in this relay's configuration, or on its way to the provider, is wrong",
}

// stepNumber begins each step of a fix.
var stepNumber = regexp.MustCompile(`(?:^| )([0-9]{1,2}\. )`)

// stepLines puts each step of a fix on its own line.
func stepLines(fix string) string {
	return strings.TrimPrefix(stepNumber.ReplaceAllString(fix, "\n  $1"), "\n")
}
