package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/relay"
)

// mode is what sendmail was called for.
type mode int

// The modes; the others that sendmail had (-bd, -bt, -bv, …) are refused in words.
const (
	modeMessage mode = iota // -bm, and without any
	modeQueue               // -bp, mailq
	modeAliases             // -bi, -I, newaliases
	modeFlush               // -q
	modeSMTP                // -bs
	modeHelp
)

// invocation is a command line of sendmail, read.
type invocation struct {
	mode       mode
	config     string // --config; only as the first words, see parseInvocation
	fromHeader bool   // -t
	ignoreDots bool   // -i, -oi
	verbose    bool   // -v
	request    request
}

// takes says what follows an option's letter.
type takes int

const (
	nothing  takes = iota
	attached       // the rest of the word, which may be empty: -q, -q15m
	value          // the rest of the word, or the next one: -fADDR, -f ADDR
)

// sendmailOption is one letter of sendmail's. Without set it is taken and ignored: callers have passed it for forty years, and
// there is nothing here that it could change.
type sendmailOption struct {
	takes takes
	set   func(*invocation, string) error
}

// sendmailOptions are those of sendmail 8 and of Postfix's.
var sendmailOptions = map[byte]sendmailOption{
	'A': {takes: value}, // which sendmail.cf
	'B': {takes: value}, // body type: what the text is, is seen in the text
	'b': {takes: value, set: (*invocation).setMode},
	'C': {takes: value},                                   // another sendmail.cf: never another mailbearer.toml, see --config
	'd': {takes: attached},                                // debugging
	'e': {takes: value},                                   // how errors are reported: by exit code and on standard error
	'F': {takes: value, set: (*invocation).setFullName},   // full name, for a From that is added
	'f': {takes: value, set: (*invocation).setSender},     // sender
	'G': {},                                               // gateway submission
	'h': {takes: value},                                   // hop count: Received fields are counted
	'I': {set: modeIs(modeAliases)},                       // newaliases
	'i': {set: (*invocation).setIgnoreDots},               // a lone dot does not end the message
	'L': {takes: value},                                   // syslog tag
	'm': {},                                               // me too
	'N': {takes: value, set: (*invocation).setNotify},     // DSN NOTIFY
	'n': {},                                               // no aliasing
	'O': {takes: value},                                   // long option of sendmail.cf
	'o': {takes: value, set: (*invocation).setOld},        // short option of sendmail.cf: -oi is -i
	'p': {takes: value},                                   // protocol and host
	'q': {takes: attached, set: flush},                    // flush the queue
	'R': {takes: value, set: (*invocation).setReturn},     // DSN RET
	'r': {takes: value, set: (*invocation).setSender},     // old name of -f
	's': {},                                               // keep a UNIX From line
	't': {set: (*invocation).setFromHeader},               // recipients from the header
	'U': {},                                               // initial user submission
	'V': {takes: value, set: (*invocation).setEnvelopeID}, // DSN ENVID
	'v': {set: func(i *invocation, _ string) error { i.verbose = true; return nil }},
	'X': {takes: value}, // traffic log: a file that a caller names is never written
}

// parseInvocation reads a command line as sendmail does: letters may stand together (-ti), a value may be attached,
// options may follow recipients, "--" ends them. Another configuration can be named in front only, since programs pass
// addresses of strangers behind.
func parseInvocation(args []string) (*invocation, error) {
	i := &invocation{}
	args, err := i.takeConfig(args)
	if err != nil {
		return nil, err
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			return i, i.addRecipients(args)
		case word == "--help":
			i.mode = modeHelp
		case strings.HasPrefix(word, "--"):
			return nil, badUsage("unknown option %s: see mailbearer sendmail --help (--config FILE must stand first)", word)
		case len(word) > 1 && word[0] == '-':
			if args, err = i.takeLetters(word[1:], args); err != nil {
				return nil, err
			}
		default:
			if err := i.addRecipients([]string{word}); err != nil {
				return nil, err
			}
		}
	}
	return i, nil
}

func badUsage(format string, args ...any) error { return exitWith(exUsage, format, args...) }

func (i *invocation) takeConfig(args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	if file, ok := strings.CutPrefix(args[0], "--config="); ok {
		i.config = file
		return args[1:], nil
	}
	if args[0] != "--config" {
		return args, nil
	}
	if len(args) == 1 {
		return nil, badUsage("--config needs the name of a file")
	}
	i.config = args[1]
	return args[2:], nil
}

// takeLetters reads one word of options and returns the words after what it used.
func (i *invocation) takeLetters(letters string, args []string) ([]string, error) {
	for letters != "" {
		letter := letters[0]
		letters = letters[1:]
		o, known := sendmailOptions[letter]
		if !known {
			return nil, badUsage("unknown option -%s: see mailbearer sendmail --help", letterName(letter))
		}
		given := ""
		switch {
		case o.takes != nothing && letters != "", o.takes == attached:
			given, letters = letters, ""
		case o.takes == value && len(args) == 0:
			return nil, badUsage("option -%c needs a value", letter)
		case o.takes == value:
			given, args = args[0], args[1:]
		}
		if o.set == nil {
			continue
		}
		if err := o.set(i, given); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func letterName(c byte) string {
	if c > ' ' && c < 0x7f {
		return string(rune(c))
	}
	return fmt.Sprintf("%q", c)
}

// addRecipients takes words that are no options; one may hold several addresses, as in "a@b, c@d".
func (i *invocation) addRecipients(words []string) error {
	for _, word := range words {
		for _, a := range relay.AddressList(word) {
			address, err := relay.Address(a.Address)
			if err != nil {
				return exitWith(exNoUser, "recipient %w", err)
			}
			i.request.Recipients = append(i.request.Recipients, address)
		}
	}
	return nil
}

func (i *invocation) setIgnoreDots(string) error { i.ignoreDots = true; return nil }

func (i *invocation) setFromHeader(string) error { i.fromHeader = true; return nil }

func (i *invocation) setFullName(name string) error { i.request.FullName = name; return nil }

func modeIs(m mode) func(*invocation, string) error {
	return func(i *invocation, _ string) error { i.mode = m; return nil }
}

// flush has nothing to do, since the relay delivers by itself; any value (-q15m, -qRdomain) is one of a daemon.
func flush(i *invocation, _ string) error { return modeIs(modeFlush)(i, "") }

// setMode takes -b and its letter.
func (i *invocation) setMode(letter string) error {
	switch letter {
	case "m":
		i.mode = modeMessage
	case "p":
		i.mode = modeQueue
	case "i":
		i.mode = modeAliases
	case "d", "D":
		return badUsage("-b%s: the relay is started by `mailbearer run`", letter)
	case "s":
		i.mode = modeSMTP
	default:
		return badUsage("-b%s is not a mode of this sendmail: -bm takes a message, -bp shows the queue", letter)
	}
	return nil
}

// setOld takes the options that sendmail once had in its configuration. Only -oi changes something here; -om, -oem,
// -odb and all others do not.
func (i *invocation) setOld(what string) error {
	if strings.HasPrefix(what, "i") {
		i.ignoreDots = true
	}
	return nil
}

// setSender takes -f and -r. An empty one, or <>, is the null sender.
func (i *invocation) setSender(s string) error {
	i.request.Sender, i.request.SenderGiven = "", true
	list := relay.AddressList(s)
	if len(list) == 0 {
		return nil
	}
	address, err := relay.Address(list[0].Address)
	if err != nil || len(list) > 1 {
		return badUsage("sender %q is not an address: write it as in -f printer@example.com", s)
	}
	i.request.Sender = address
	return nil
}

// setNotify takes -N: "never", or a list of the others (RFC 3461 §4.1).
func (i *invocation) setNotify(s string) error {
	words := strings.Split(strings.ToUpper(strings.ReplaceAll(s, " ", "")), ",")
	for _, w := range words {
		if w == "NEVER" && len(words) == 1 {
			continue
		}
		if !slices.Contains([]string{"SUCCESS", "FAILURE", "DELAY"}, w) {
			return badUsage("-N %q: write never, or a list of success, failure and delay", s)
		}
	}
	i.request.Notify = words
	return nil
}

// setReturn takes -R (RFC 3461 §4.3).
func (i *invocation) setReturn(s string) error {
	if s = strings.ToUpper(s); s != "FULL" && s != "HDRS" {
		return badUsage("-R %q: write full or hdrs", s)
	}
	i.request.Return = s
	return nil
}

// setEnvelopeID takes -V (RFC 3461 §4.4).
func (i *invocation) setEnvelopeID(s string) (err error) {
	if i.request.EnvelopeID, err = relay.EnvelopeID(s); err != nil {
		return badUsage("-V: %w", err)
	}
	return nil
}
