package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/spf13/cobra"
)

// maxExplained is how much is read of what somebody pipes in, in octets: some thousand lines of log.
const maxExplained = 1 << 20

// explanation is the JSON of one entry that `explain` found; its names are fixed.
type explanation struct {
	ID    string `json:"id"`
	Class string `json:"class"`
	Title string `json:"title"`
	Fix   string `json:"fix"`
	Ref   string `json:"ref"`
	Text  string `json:"text"`            // the words that it was found in, where it came first
	Count int    `json:"count,omitempty"` // how often it came, when that is more than once
}

func newExplain(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [TEXT…]",
		Short: "Say what a provider's error means and what to do about it",
		Long: `Say what a provider's error means and what to do about it: a reply of the mail server, an AADSTS code, an error
of Microsoft Graph, a whole log line, or only the code (also the bare number that Entra's sign-in log shows). Without
TEXT it reads standard input, at most 1 MiB; of several lines each different error is explained once, with how often it
came. Nothing leaves this machine.

  mailbearer explain AADSTS7000215
  mailbearer explain "535 5.7.3 Authentication unsuccessful"
  journalctl -u mailbearer -n 500 | mailbearer explain`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := explainWhat(e, newPrompts(c.Context(), e.stdin), args)
			if err != nil {
				return err
			}
			found := errorsIn(text)
			if err := printAnswers(e.stdout, found, asJSON, len(strings.Fields(text)) <= 2); err != nil {
				return err
			}
			if len(found) == 0 {
				return unexplained(text)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	return c
}

// deviceCode is a number that a device shows instead of what the server said.
var deviceCode = regexp.MustCompile(`(?i)^\W*(?:error|fehler|err)?\W*(?:0x[0-9a-f]{1,8}|#?[0-9]{1,4})\W*$`)

func unexplained(text string) error {
	if deviceCode.MatchString(text) {
		return fail("this is a code of the device or program itself, and says nothing about the provider. What the server answered stands in the " +
			"device's log, or, once the device sends through the relay, in the relay's log and in mailbearer queue list: explain those words")
	}
	return fail("this error is not in the catalogue. If it has a code (AADSTS…, 5.7.139, Error…), try with the code alone; " +
		"otherwise search for the code on learn.microsoft.com. mailbearer status shows what the relay makes of it")
}

// explainWhat is what the arguments say together, or standard input.
func explainWhat(e *env, p *prompts, args []string) (string, error) {
	text := strings.Join(args, " ")
	if len(args) == 0 {
		if _, ok := p.terminal(); ok {
			fmt.Fprintln(e.stderr, "Paste the error, then press Enter and Ctrl-D (on Windows Ctrl-Z and Enter):")
		}
		data, err := p.all(maxExplained + 1)
		if err != nil {
			return "", err
		}
		text = cutInput(data, e.stderr)
	}
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("which error? Give its text, as in: mailbearer explain \"535 5.7.3 Authentication unsuccessful\"")
	}
	return text, nil
}

// cutInput ends what is too long at the end of a line, and says so.
func cutInput(data string, stderr io.Writer) string {
	if len(data) <= maxExplained {
		return data
	}
	data = data[:maxExplained]
	if end := strings.LastIndexByte(data, '\n'); end > 0 {
		data = data[:end+1]
	}
	fmt.Fprintf(stderr, "The input is longer than 1 MiB: only its first %d lines are looked at. Give the rest by itself, or less of it "+
		"(journalctl -u mailbearer -n 500).\n", strings.Count(data, "\n"))
	return data
}

// printAnswers writes the best of each answer in full, and of what else it could be only what that is.
func printAnswers(w io.Writer, found []answer, asJSON, bare bool) error {
	if asJSON {
		return writeJSON(w, flat(found))
	}
	if bare && len(found) == 1 && len(found[0].others) > 0 {
		fmt.Fprint(w, "The code alone can mean several things; the whole text says which. The first of them:\n\n")
	}
	if len(found) > 1 {
		fmt.Fprintf(w, "%d different errors, in the order in which they first came.\n\n", len(found))
	}
	for i, a := range found {
		if len(found) > 1 {
			fmt.Fprintf(w, "%sError %d of %d: ", strings.Repeat("\n", min(i, 1)), i+1, len(found))
		}
		a.print(w)
	}
	return nil
}

func (a answer) print(w io.Writer) {
	x, times := a.best, ""
	if x.Count > 1 {
		times = fmt.Sprintf(" (%d times)", x.Count)
	}
	fmt.Fprintf(w, "%s%s\n(%s; %s)\n\nWhat to do:\n%s\n\nSource: %s\n", x.Title, times, x.ID, meaning[x.Class], stepLines(x.Fix), x.Ref)
	for i, o := range a.others {
		if i == 0 {
			fmt.Fprintln(w, "\nIt could also be:")
		}
		fmt.Fprintf(w, "  %s (%s)\n", o.Title, o.ID)
	}
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
