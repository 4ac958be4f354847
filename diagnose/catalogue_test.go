package diagnose

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestEveryExampleFindsItsOwnEntry(t *testing.T) {
	t.Parallel()
	for _, e := range Entries() {
		if got, ok := Lookup(e.Source, e.Example); !ok || got.ID != e.ID {
			t.Errorf("%s: its example is explained by %q", e.ID, got.ID)
		}
		if !slices.ContainsFunc(LookupAll(e.Example), func(o Entry) bool { return o.ID == e.ID }) {
			t.Errorf("%s: LookupAll misses it", e.ID)
		}
	}
}

func TestEntriesAreComplete(t *testing.T) {
	t.Parallel()
	sources := []string{SourceSMTP, SourceEntra, SourceGraph, SourceTLS, SourceNetwork}
	classes := []string{ClassPermanent, ClassTransient, ClassThrottled, ClassNeedsAdmin, ClassNeedsSignIn, ClassConfig}
	seen := map[string]bool{}
	for _, e := range Entries() {
		if seen[e.ID] {
			t.Errorf("%s: twice", e.ID)
		}
		seen[e.ID] = true
		if !slices.Contains(sources, e.Source) {
			t.Errorf("%s: source %q", e.ID, e.Source)
		}
		if !slices.Contains(classes, e.Class) {
			t.Errorf("%s: class %q", e.ID, e.Class)
		}
		if e.Title == "" || e.Fix == "" || strings.ContainsAny(e.Title, "\r\n") {
			t.Errorf("%s: a title of one line and a fix are needed", e.ID)
		}
	}
}

var step = regexp.MustCompile(`(?:^| )([0-9]{1,2})\. `)

// An administrator with one hour follows a fix from top to bottom: it is numbered, short, and leads nowhere that this
// version does not have.
func TestFixesCanBeFollowed(t *testing.T) {
	t.Parallel()
	for _, e := range Entries() {
		steps := step.FindAllStringSubmatch(e.Fix, -1)
		if len(steps) == 0 || len(steps) > 5 || len(e.Fix) > 700 {
			t.Errorf("%s: %d steps in %d characters", e.ID, len(steps), len(e.Fix))
		}
		for i, s := range steps {
			if s[1] != strconv.Itoa(i+1) {
				t.Errorf("%s: step %d is numbered %s", e.ID, i+1, s[1])
			}
		}
		for _, deadEnd := range []string{`transport = "graph"`, `transport = "auto"`, "Graph transport", "use Graph", "relay's console", "relay's settings"} {
			if strings.Contains(e.Fix, deadEnd) {
				t.Errorf("%s: its fix sends people to %s", e.ID, deadEnd)
			}
		}
		if !strings.HasPrefix(e.Ref, "https://") {
			t.Errorf("%s: %q is no address", e.ID, e.Ref)
		}
	}
}

// A reply may repeat an address that somebody chose: it must not pass for a code that holds the account.
func TestAddressesAreNoCodes(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"5.7.705@evil.example", "a-5.7.705@evil.example", "5.1.8.access.denied@evil.example", "x-5.7.501@evil.example",
		"SubmissionQuotaExceeded@evil.example", "STOREDRV.Submission.QuotaExceededException@evil.example", "MapiExceptionLogonFailed@evil.example"} {
		text := "550 5.1.1 <" + address + ">: Recipient address rejected: User unknown"
		if got, _ := Lookup(SourceSMTP, text); got.ID != "smtp-550-5.1.1" {
			t.Errorf("%s: explained by %q", text, got.ID)
		}
	}
}

// What changes between one occurrence and the next must not change what it means.
func TestLookupVariants(t *testing.T) {
	t.Parallel()
	secret := "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID"
	inJSON, err := json.Marshal(map[string]any{
		"error": "invalid_client", "error_description": "Trace ID: 1\r\n" + secret + "\r\nTimestamp: 2026-11-25 01:02:03Z",
		"error_codes": []int{7000215}, "correlation_id": "22222222-2222-2222-2222-222222222222",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, source, text, want string }{
		{"as documented", SourceEntra, "invalid_client: " + secret, "entra-7000215"},
		{"in OAuth JSON after an escaped line break", SourceEntra, string(inJSON), "entra-7000215"},
		{"any source", "", string(inJSON), "entra-7000215"},
		{"another host and time", SourceSMTP, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. [XX9PR99CA0001.eurprd01.prod.exchangelabs.com 2027-02-03T04:05:06.789Z 08DDFFFFFFFFFFFF]", "smtp-535-5.7.139-mailbox-disabled"},
		{"two lines", SourceSMTP, "535-5.7.139 Authentication unsuccessful,\r\n535 5.7.139 SmtpClientAuthentication is disabled\r\n  for the Tenant.", "smtp-535-5.7.139-tenant-disabled"},
		{"apostrophe escaped by .NET", SourceSMTP, `535 5.7.139 Authentication unsuccessful, user is locked by your organization\u0027s security defaults policy.`, "smtp-535-5.7.139-security-defaults"},
		{"a longer code is another code", SourceEntra, "AADSTS70002150: something else", ""},
		{"a longer enhanced code is another code", SourceSMTP, "550 5.7.301 whatever", ""},
		{"the wrong source", SourceSMTP, secret, ""},
		{"nothing", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, _ := Lookup(c.source, c.text); got.ID != c.want {
				t.Errorf("explained by %q, want %q", got.ID, c.want)
			}
		})
	}
}

func TestLookupIsBounded(t *testing.T) {
	t.Parallel()
	start := time.Now()
	Lookup("", strings.Repeat("5.7.139 login. dial tcp 1 x509: certificate is valid for ", 1<<20))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("60 MiB of words took %v", d)
	}
}

func FuzzLookup(f *testing.F) {
	for i, e := range Entries() {
		if i%8 == 0 { // all of them are in TestEveryExampleFindsItsOwnEntry
			f.Add(e.Source, e.Example)
		}
	}
	f.Add("", "\xff\\u0027\\")
	f.Fuzz(func(t *testing.T, source, text string) {
		if n := normalise(text); strings.ContainsAny(n, "\r\n\t") {
			t.Errorf("%q is not one line", n)
		}
		all := LookupAll(text)
		first, ok := Lookup("", text)
		if ok != (len(all) > 0) || ok && first.ID != all[0].ID {
			t.Errorf("Lookup finds %q, LookupAll %d entries", first.ID, len(all))
		}
		if e, ok := Lookup(source, text); ok && source != "" && e.Source != source {
			t.Errorf("asked %s, answered %s", source, e.Source)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		Lookup(SourceSMTP, "550 5.1.1 nothing in the catalogue says quite this, so every pattern is tried")
	}
}

// Advice keeps a word in the account's place until somebody knows the account; what was given away is not changed.
func TestForAccount(t *testing.T) {
	t.Parallel()
	fix := "1. Run `mailbearer authorize ACCOUNT`. 2. `mailbearer setup-script --account ACCOUNT`."
	p := &Problem{Cause: "c", Fix: fix}
	if got := p.For("office"); got.Fix != "1. Run `mailbearer authorize office`. 2. `mailbearer setup-script --account office`." || got.Cause != "c" {
		t.Errorf("%+v", got)
	}
	if p.Fix != fix || ForAccount(fix, "") != fix {
		t.Error("advice was changed for nobody")
	}
	for _, e := range Entries() {
		if strings.Contains(strings.NewReplacer("authorize "+placeholder, "", "--account "+placeholder, "").Replace(e.Fix), placeholder) {
			t.Errorf("%s: %s stands where no command takes an account", e.ID, placeholder)
		}
	}
}

// The codes beside an example's are there for who asks with the code alone: one that the pattern finds needs no mention.
func TestCodesAreNeeded(t *testing.T) {
	t.Parallel()
	for _, e := range Entries() {
		for _, code := range e.Codes {
			if e.matches(code) || !strings.Contains(e.Match, `\.`) {
				t.Errorf("%s: %s is found without being listed", e.ID, code)
			}
		}
	}
}
