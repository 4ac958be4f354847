package diagnose

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// The sources of provider words, as entries name them.
const (
	SourceSMTP    = "smtp"    // replies of a mail server
	SourceEntra   = "entra"   // Microsoft Entra ID and other OAuth token endpoints
	SourceGraph   = "graph"   // Microsoft Graph
	SourceTLS     = "tls"     // this machine's or the other side's TLS
	SourceNetwork = "network" // name resolution, connections, proxies
)

// The classes of entries and of Problems. They are what package mail calls Class; this package imports no other
// room, so it repeats the words.
const (
	ClassPermanent   = "permanent"    // this message or recipient is refused for good
	ClassTransient   = "transient"    // passes by itself
	ClassThrottled   = "throttled"    // too much, too fast, or a quota is used up
	ClassNeedsAdmin  = "needs_admin"  // an administrator of the provider has to change something
	ClassNeedsSignIn = "needs_signin" // a person has to sign in
	ClassConfig      = "config"       // this relay's own configuration is at fault
)

// maxText is how much of a provider's words is looked at, in octets. What identifies an error stands at its
// start; a server that sends more costs us no more than this.
const maxText = 8 << 10

// Entry is what is known about one error of a provider.
type Entry struct {
	ID      string   `json:"id"`              // stable, for logs and documentation links
	Source  string   `json:"source"`          // whose words: one of the Source constants
	Match   string   `json:"match"`           // RE2, searched for in the whole text on one line
	Example string   `json:"example"`         // the words as seen or as documented
	Codes   []string `json:"codes,omitempty"` // those it is about beside the example's, for who asks with a code alone
	Class   string   `json:"class"`           // one of the Class constants
	Title   string   `json:"title"`           // what it means, in one line
	Fix     string   `json:"fix"`             // numbered steps in the order to try them
	Ref     string   `json:"ref"`             // where it comes from

	pattern *regexp.Regexp
	word    string // without which the pattern cannot match; to look for it costs next to nothing
}

// matches says whether the entry is about text, which has been normalised.
func (e *Entry) matches(text string) bool {
	return strings.Contains(text, e.word) && e.pattern.MatchString(text)
}

// oneCode is a pattern of one code, or of several that begin alike. Two of three are: Entra's and Graph's.
var oneCode = regexp.MustCompile(`^\\b([A-Za-z_]+)[0-9]*(?:\(\?:[^()]*\)|\[[0-9]+\])?\\b$`)

//go:embed errors.json
var catalogueJSON []byte

// catalogue is read and compiled at the first look-up: most commands never need it, and two hundred patterns cost
// a few milliseconds.
var catalogue = sync.OnceValue(func() []Entry {
	entries, err := parse(catalogueJSON)
	if err != nil {
		panic("diagnose: errors.json: " + err.Error()) // the test would have found it
	}
	return entries
})

func parse(data []byte) ([]Entry, error) {
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		var err error
		if e.pattern, err = regexp.Compile(e.Match); err != nil {
			return nil, fmt.Errorf("%s: %w", e.ID, err)
		}
		if m := oneCode.FindStringSubmatch(e.Match); m != nil {
			e.word = m[1]
		}
	}
	return entries, nil
}

// ForAccount names the account in a fix, so that its commands can be pasted as they are. Whoever knows the account does
// it, once: where a token source or a transport gives its trouble away. Without a name (in `explain`, which knows no
// account) the word stays that stands in its place.
func ForAccount(fix, account string) string {
	if account == "" {
		return fix
	}
	return strings.ReplaceAll(fix, placeholder, account)
}

// placeholder is what stands for the account's name in the catalogue's commands.
const placeholder = "ACCOUNT"

// Lookup returns the first entry of source that matches text; specific entries stand before general ones, so the
// first is the best. An empty source searches them all. Text is a whole reply, code first, with or without line
// breaks, an OAuth error as JSON or as words, or the text of a network error; only its first 8 KiB are looked at.
func Lookup(source, text string) (Entry, bool) {
	text = normalise(text)
	for _, e := range catalogue() {
		if (source == "" || e.Source == source) && e.matches(text) {
			return e, true
		}
	}
	return Entry{}, false
}

// LookupAll returns every entry that matches text, the most specific of each source first. It is for people who
// paste an error into `explain`; code uses Lookup.
func LookupAll(text string) []Entry {
	text = normalise(text)
	var found []Entry
	for _, e := range catalogue() {
		if e.matches(text) {
			found = append(found, e)
		}
	}
	return found
}

// Entries returns the whole catalogue in its own order, for documentation and tests.
func Entries() []Entry { return append([]Entry(nil), catalogue()...) }

// unescape undoes what JSON does to the words we look for: providers send their errors inside JSON, and a line
// break written \n would glue its n to the code that follows.
var unescape = strings.NewReplacer(
	`\r`, " ", `\n`, " ", `\t`, " ", `\"`, `"`, `\/`, "/",
	`\u0027`, "'", `\u0022`, `"`, `\u0026`, "&", `\u003c`, "<", `\u003e`, ">", `\u003C`, "<", `\u003E`, ">",
)

// normalise bounds text and puts it on one line with single spaces, as the patterns expect it.
func normalise(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Join(strings.Fields(unescape.Replace(strings.ToValidUTF8(text, "?"))), " ")
}
