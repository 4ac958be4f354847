package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
)

// answer is one error that was found in a text: what it is, with how often it came, and what else its words could be.
type answer struct {
	best   explanation
	others []explanation
}

// flat lists each error in order of appearance, then what else they could be.
func flat(found []answer) []explanation {
	list := []explanation{}
	for _, a := range found {
		list = append(list, a.best)
	}
	for _, a := range found {
		for _, o := range a.others {
			if !slices.ContainsFunc(list, func(x explanation) bool { return x.ID == o.ID }) {
				list = append(list, o)
			}
		}
	}
	return list
}

// shortText is what is looked at as a whole: the catalogue looks at the beginning of a text only.
const shortText = 4 << 10

// errorsIn finds the errors in a text. A log has one in a line, and each different one is answered once. Any other short
// text whose lines do not disagree is taken as a whole: a reply may have been broken into lines anywhere.
func errorsIn(text string) []answer {
	if m := bareNumber.FindStringSubmatch(text); m != nil {
		text = cmp.Or(lettered(m[1]), text)
	}
	lines := records(text)
	found := collect(lines)
	if len(text) > shortText || len(lines) == 1 || logBegins.MatchString(text) {
		return found
	}
	if found = withoutKinds(found); len(found) > 1 {
		return found
	}
	whole, ok := answerTo(text)
	if !ok {
		return found
	}
	if len(found) == 1 && found[0].best.ID == whole.best.ID {
		whole.best.Count, whole.best.Text = found[0].best.Count, found[0].best.Text
	}
	return []answer{whole}
}

// collect answers each different error once. Lines that differ in ids and times only are looked up once.
func collect(records []string) (found []answer) {
	seen := map[string]int{} // a line without what passes: its answer, counted from 1
	for _, r := range records {
		if allWell.MatchString(r) {
			continue
		}
		alike := passing.ReplaceAllString(r, "")
		i, known := seen[alike]
		if !known {
			if a, ok := answerTo(r); ok {
				if i = 1 + slices.IndexFunc(found, func(b answer) bool { return b.best.ID == a.best.ID }); i == 0 {
					found = append(found, a)
					i = len(found)
				}
			}
			seen[alike] = i
		}
		if i > 0 {
			found[i-1].best.Count++
		}
	}
	for i := range found {
		if found[i].best.Count == 1 {
			found[i].best.Count = 0 // it is told when it is more than once
		}
	}
	return found
}

// allWell is in this relay's own lines about mail that nothing happened to: most of a log, and no error.
var allWell = regexp.MustCompile(`"event":"(?:accepted|delivered)"`)

// ownAdvice is what this relay's own log lines say about what to do, which is full of codes of other errors.
var ownAdvice = regexp.MustCompile(`"fix":"(?:[^"\\]|\\.)*"|\bfix=(?:"(?:[^"\\]|\\.)*"|\S+)`)

// answerTo looks up the words of one error.
func answerTo(words string) (answer, bool) {
	entries := lookUp(ownAdvice.ReplaceAllString(words, ""))
	if len(entries) == 0 {
		return answer{}, false
	}
	words = strings.Join(strings.Fields(safe(words)), " ")
	var a answer
	for i, e := range entries {
		x := explanation{ID: e.ID, Class: e.Class, Title: e.Title, Fix: e.Fix, Ref: e.Ref, Text: words}
		if i == 0 {
			a.best = x
		} else {
			a.others = append(a.others, x)
		}
	}
	return a, true
}

// withoutKinds drops what names only the kind of an error where a line beside it names the error: an exception's first
// line, a code that the text was broken behind. Lines of a log are each about something of their own.
func withoutKinds(found []answer) []answer {
	named := func(a answer) bool { return specific(diagnose.Entry{ID: a.best.ID}) }
	if !slices.ContainsFunc(found, named) {
		return found
	}
	return slices.DeleteFunc(found, func(a answer) bool { return !named(a) })
}

// logBegins is how the lines of a log begin: with a time, a level or a JSON object.
var logBegins = regexp.MustCompile(`(?m)^\s*(?:<[0-9]+>)?(?:\{"|\[?[0-9]{4}-[0-9]{2}-[0-9]{2}|\[?[0-9]{2}:[0-9]{2}:[0-9]{2}|[A-Z][a-z]{2} +[0-9]{1,2} [0-9]{2}:[0-9]{2}|time=|level=)`)

// records are the lines of a text, with what continues a line joined to it.
func records(text string) (list []string) {
	first := "" // of the record's lines
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			first = ""
			continue
		}
		if last := len(list) - 1; first != "" && continues(list[last], first, line) && len(list[last])+len(line) < shortText {
			list[last] += "\n" + line
			continue
		}
		list, first = append(list, line), line
	}
	return list
}

// labelled ends a line whose value stands in the next one, as in what is copied from a web page.
var labelled = regexp.MustCompile(`(?i)\berror code:?$`)

// continues says whether a line belongs to the record before it: it is further in, it closes what was opened, the
// record is a reply of several lines (RFC 5321 §4.2.1), or it is the value of a label.
func continues(record, first, line string) bool {
	if indent(line) > indent(first) || strings.ContainsRune("})]", rune(line[0])) {
		return true
	}
	begin := record[strings.LastIndexByte(record, '\n')+1:]
	if len(begin) > 3 && begin[3] == '-' && len(line) >= 3 && line[:3] == begin[:3] && strings.Trim(line[:3], "0123456789") == "" {
		return true
	}
	return labelled.MatchString(begin)
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// passing is what differs from one line of a log to the next though both say the same: ids, times, addresses. An error
// code is shorter than an id and has fewer dots than an address.
var passing = regexp.MustCompile(`\b[0-9a-fA-F][0-9a-fA-F-]{7,}\b|[0-9]{2}:[0-9]{2}:[0-9.]+|\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b`)
