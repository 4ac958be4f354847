package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/mailbearer/mailbearer/config"
)

// checkPrinter writes a check for people, each step as soon as it is known.
type checkPrinter struct {
	w     io.Writer // nil: nothing is written
	only  string    // --account
	file  string    // --config
	marks map[checkStatus]string
}

func newCheckPrinter(w io.Writer, only, file string) *checkPrinter {
	p := &checkPrinter{w: w, only: only, file: file, marks: map[checkStatus]string{checkOK: "ok     ", checkFailed: "FAILED ", checkSkipped: "-      "}}
	if onTerminal(w) && speaksUTF8() {
		p.marks = map[checkStatus]string{checkOK: "✓", checkFailed: "✗", checkSkipped: "–"}
	}
	return p
}

// speaksUTF8 says whether a terminal can be expected to show more than ASCII. On Windows only the new one is known to.
func speaksUTF8() bool {
	if runtime.GOOS == "windows" {
		return os.Getenv("WT_SESSION") != ""
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set counts, POSIX.1-2017 §8.2
		if v := strings.ToLower(os.Getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

func (p *checkPrinter) say(format string, args ...any) {
	if p.w != nil {
		fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

// account collects the steps of one account and prints them as they come, then what there is to explain.
func (p *checkPrinter) account(a config.Account, c *checkup) checkAccount {
	p.say("Account %s (%s)", a.Name, a.Mailbox)
	result := checkAccount{Name: a.Name}
	for _, name := range checkOrder {
		s := <-c.steps[name]
		result.Steps = append(result.Steps, s)
		p.say("  %s %-7s %s", p.marks[s.Status], s.Step, s.line())
	}
	for _, s := range result.Steps {
		if s.Status == checkFailed || s.Status == checkOK && s.Cause != "" {
			p.explain(s)
		}
	}
	p.say("")
	return result
}

// line is what stands beside a step's name.
func (s checkStep) line() string {
	switch {
	case s.Status == checkSkipped:
		return safe(s.Cause)
	case s.Said == "":
		return shortened(safe(s.Tried))
	}
	return shortened(safe(s.Tried) + ": " + safe(s.Said))
}

// lineLimit is how long a line may be; what failed is explained in full below.
const lineLimit = 140

func shortened(s string) string {
	if utf8.RuneCountInString(s) <= lineLimit {
		return s
	}
	return string([]rune(s)[:lineLimit]) + "..."
}

// whoSaid are the steps whose words are somebody else's for certain.
var whoSaid = map[string]string{"token": "The sign-in service said", "claims": "The token says", "auth": "The mail server said"}

// explain writes what a failed step or a warning means.
func (p *checkPrinter) explain(s checkStep) {
	what := s.Step + " failed"
	if s.Status == checkOK {
		what = "About " + s.Step
	}
	p.say("\n%s: %s", what, safe(s.Cause))
	if s.Said != "" && s.Status == checkFailed {
		p.say("  %s: %s", cmp.Or(whoSaid[s.Step], "In full"), safe(s.Said))
	}
	if s.Fix != "" {
		lines := numbered(safe(s.Fix))
		p.say("  What to do: %s", lines[0])
		for _, line := range lines[1:] {
			p.say("    %s", line)
		}
	}
}

// numbered puts each step of a numbered fix ("Do this: 1. … 2. …") on a line of its own. The first line is what stands
// before them, perhaps nothing.
func numbered(fix string) []string {
	before, rest, found := strings.Cut(" "+fix, " 1. ")
	if !found {
		return []string{fix}
	}
	lines := []string{strings.TrimSpace(before)}
	for n := 1; ; n++ {
		step, after, more := strings.Cut(rest, fmt.Sprintf(" %d. ", n+1))
		lines = append(lines, fmt.Sprintf("%d. %s", n, step))
		if !more {
			return lines
		}
		rest = after
	}
}

// next says what to do now.
func (p *checkPrinter) next(v checkView) {
	again, where := "mailbearer check", ""
	if p.only != "" {
		again += " --account " + p.only
	}
	if p.file != "" {
		where = " --config " + quotePath(p.file)
	}
	var first []string
	for _, a := range v.Accounts {
		if steps := a.failed(); len(steps) > 0 {
			first = append(first, fmt.Sprintf("%q of account %s", steps[0].Step, a.Name))
		}
	}
	if len(first) > 0 {
		p.say("Next: do what stands above under %s, then run `%s` again.", strings.Join(first, " and "), again+where)
		return
	}
	p.say("Next: nothing failed; send a real message with `mailbearer test --to you@your-domain%s`.", where)
}
