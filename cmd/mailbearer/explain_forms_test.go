package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/diagnose"
)

// ids are what a text is explained by, the best first of each error.
func ids(found []answer) (list []string) {
	for _, a := range found {
		list = append(list, a.best.ID)
	}
	return list
}

// entraCodes are the codes of the catalogue's own examples.
func entraCodes() map[string]diagnose.Entry {
	codes := map[string]diagnose.Entry{}
	for _, e := range diagnose.Entries() {
		if m := regexp.MustCompile(`AADSTS([0-9]+)`).FindStringSubmatch(e.Example); m != nil && strings.Contains(e.Match, "AADSTS") {
			codes[m[1]] = e
		}
	}
	return codes
}

// Codes are typed by hand, and copied from places that write them in their own way.
func TestExplainForms(t *testing.T) {
	t.Parallel()
	for code, e := range entraCodes() {
		for _, text := range []string{
			"AADSTS" + code, "aadsts" + code, "AADSTS " + code, "AADSTS-" + code, "aadsts: " + code, code, " " + code + "\n", "#" + code,
			"error code " + code, "Sign-in error code: " + code, "Sign-in error code\n" + code + "\nFailure reason\nOther", `{"status":{"errorCode":` + code + `,"failureReason":"x"}}`,
			"\"status\": {\n  \"errorCode\": " + code + ",\n  \"failureReason\": \"x\"\n}",
		} {
			if got := ids(errorsIn(text)); len(got) != 1 || got[0] != e.ID {
				t.Errorf("%q is explained by %v, not %s", text, got, e.ID)
			}
		}
	}
}

func TestExplainNoNumberAtRandom(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"12345", "99999999", "order 50126 was shipped", "50126 pages printed", "line 1\n50126\nline 3", "error code 10061", "errorCode: 0",
		"error code 501260", "process 50126 exited with error code 1", "429 items", "page 429", "Error 0x4", "0x80070005", "Error 801", "#839",
	} {
		if found := errorsIn(text); len(found) > 0 {
			t.Errorf("%q is explained by %v", text, ids(found))
		}
	}
}

// A device's own number says nothing; where to find the words, does.
func TestExplainDeviceCode(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Error 0x4", "0x4", "#839", "error 801"} {
		if _, errs, code := output("explain", text); code != exitFailed || !strings.Contains(errs, "code of the device") {
			t.Errorf("%s: exit %d, %s", text, code, errs)
		}
	}
}

// Whatever is in the catalogue is found in a line of the relay's own log, whose advice is full of other codes.
func TestExplainOwnLog(t *testing.T) {
	t.Parallel()
	for _, e := range diagnose.Entries() {
		if len(lookUp(e.Example)) > 1 || !specific(e) || strings.HasSuffix(e.Match, "$") {
			continue // it is told with alternatives, or is all there is of a text
		}
		for _, form := range []string{
			`Nov 28 10:00:01 relay mailbearer[812]: {"level":"error","event":"held","account":"default","reply":%s,"class":%s,"cause":%s,"fix":%s,"time":"2026-11-28T10:00:01Z"}`,
			`2026-11-28 10:00:01 ERR held account=default reply=%s class=%s cause=%s fix=%s`,
		} {
			line := fmt.Sprintf(form, quoted(e.Example), quoted(e.Class), quoted(e.Title), quoted(e.Fix))
			if got := ids(errorsIn(line)); len(got) != 1 || got[0] != e.ID {
				t.Errorf("%s is explained by %v", e.ID, got)
			}
		}
	}
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

const mixedLog = `Nov 28 10:00:01 relay mailbearer[812]: {"level":"info","event":"delivered","id":"01A","reply":"250 2.0.0 OK 5.7.60"}
Nov 28 10:00:02 relay mailbearer[812]: {"level":"error","event":"held","reply":"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.","fix":"1. 5.7.60 AADSTS50126"}
Nov 28 10:00:03 relay mailbearer[812]: invalid_client: AADSTS7000215: Invalid client secret provided.
Nov 28 10:04:03 relay mailbearer[812]: {"level":"error","event":"held","reply":"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. [AB1]"}
Nov 28 10:05:03 relay mailbearer[812]: invalid_client: AADSTS7000215: Invalid client secret provided.
Nov 28 10:06:03 relay mailbearer[812]: 2.2 of 5.2.2 done
Nov 28 10:07:03 relay mailbearer[812]: invalid_client: AADSTS7000215: Invalid client secret provided.
Nov 28 10:08:03 relay mailbearer[812]: reply 5.7.3
`

// Different errors are not alternatives of one another: each is answered, in order of appearance, with a count.
func TestExplainSeveral(t *testing.T) {
	t.Parallel()
	c := command("explain")
	c.Stdin = strings.NewReader(mixedLog)
	data, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, want := range []string{"2 different errors", "Error 1 of 2: SMTP sending is switched off for the whole organization (2 times)", "What to do:", "Source:", "Error 2 of 2: The client secret is wrong (3 times)", "What to do:"} {
		i := strings.Index(string(data)[last:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or comes too early:\n%s", want, data)
		}
		last += i
	}
	if strings.Contains(string(data), "could also be") {
		t.Errorf("another error is called an alternative:\n%s", data)
	}
	c = command("explain", "--json")
	c.Stdin = strings.NewReader(mixedLog)
	data, _ = c.Output()
	var list []explanation
	if err := json.Unmarshal(data, &list); err != nil || len(list) != 2 || list[0].Count != 2 || list[1].Count != 3 || !strings.Contains(list[0].Text, "10:00:02") {
		t.Errorf("%v: %s", err, data)
	}
}

// Alternatives are those of one line's words.
func TestExplainAlternatives(t *testing.T) {
	t.Parallel()
	found := errorsIn("5.2.2\n5.2.2\nAADSTS50126")
	if len(found) != 2 || found[0].best.Count != 2 || len(found[0].others) == 0 || len(found[1].others) != 0 {
		t.Errorf("%+v", found)
	}
}

// One error is one error however its text was broken into lines.
func TestExplainBrokenLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"535-5.7.139 Authentication unsuccessful,\r\n535 5.7.139 SmtpClientAuthentication is disabled\r\n  for the Tenant.":         "smtp-535-5.7.139-tenant-disabled",
		"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the\nTenant. Visit https://aka.ms/x":     "smtp-535-5.7.139-tenant-disabled",
		"535 5.7.139 Authentication unsuccessful\nSmtpClientAuthentication is disabled for the Tenant.":                             "smtp-535-5.7.139-tenant-disabled",
		"invalid_grant\nAADSTS700082: The refresh token has expired due to inactivity.":                                             "entra-700082",
		"{\n  \"error\": {\n    \"code\": \"ErrorItemNotFound\",\n    \"message\": \"The specified object was not found.\"\n  }\n}": "graph-item-not-found",
	} {
		if found := errorsIn(text); len(found) != 1 || found[0].best.ID != want || found[0].best.Count != 0 {
			t.Errorf("%q is explained by %+v", text, found)
		}
	}
}

// What is not read is said; what is read takes no minute, even if no two lines are alike.
func TestExplainTooMuch(t *testing.T) {
	t.Parallel()
	c := command("explain", "--json")
	c.Stdin = strings.NewReader(strings.Repeat("AADSTS50126\n", maxExplained/12+2) + "AADSTS7000215\n")
	var errs strings.Builder
	c.Stderr = &errs
	data, err := c.Output()
	if err != nil || !strings.Contains(errs.String(), "only its first 87381 lines") || strings.Contains(string(data), "7000215") || !strings.Contains(string(data), `"count": 87381`) {
		t.Errorf("%v, %s%s", err, errs.String(), data)
	}
	if out := cutInput(strings.Repeat("x", maxExplained), &errs); len(out) != maxExplained {
		t.Errorf("%d octets of what fits are left", len(out))
	}
}

// New in the catalogue, in words other than its own.
func TestExplainMore(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"AADSTS9002325: Proof Key for Code Exchange is required for cross-origin authorization code redemption. Trace ID: 1":                                                                                                             "entra-9002325",
		"AADSTS90093: Fabrikam's administrator has set a policy that prevents you from granting mailer the permissions":                                                                                                                  "entra-90093",
		"{\"error\":\"interaction_required\",\"error_description\":\"AADSTS50199: For security reasons, user confirmation is required for this request. Please repeat the request allowing user interaction.\",\"error_codes\":[50199]}": "entra-50199",
		"AADSTS90100: login_hint parameter is empty or not valid.":                                                                                                                                                                       "entra-90100",
		"Remote Server returned '550 5.1.51 RESOLVER.ADR.Other; something about the address'":                                                                                                                                            "smtp-5.1.x-other",
		"5.1.51": "smtp-5.1.x-other",
		"Microsoft.Graph.ServiceException: Code: ErrorItemNotFound Message: The specified object was not found in the store.": "graph-item-not-found",
		"429 Too Many Requests": "graph-429-other",
		"HTTP 429":              "graph-429-other",
		"POST https://login.microsoftonline.com/x/oauth2/v2.0/token 429 Too Many Requests":          "entra-429",
		"334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=":                                      "smtp-xoauth2-334-json",
		"550 5.7.520 Access denied, Your organization does not allow external forwarding. AS(7550)": "smtp-550-5.7.520-forwarding",
		"5.7.720": "smtp-550-5.7.700-tenant",
		"5.7.25":  "smtp-5.7.23-26-unauthenticated",
		"5.4.300": "smtp-4.4.7-expired",
		"5.7.129": "smtp-550-5.7.1-group",
		"554 5.6.0 Corrupt message content [AB1]": "smtp-5.6.x-content",
		"503 5.5.1 Bad sequence of commands":      "smtp-5.5.x-protocol",
		"AADSTS65002: Consent between first party application '9e5f' and first party resource '0002' must be configured": "entra-65002",
		"AADSTS50107: The requested federation realm object 'http://sts' does not exist.":                                "entra-20012",
	} {
		got := ids(errorsIn(text))
		if len(got) != 1 || got[0] != want {
			t.Errorf("%q is explained by %v, not %s", text, got, want)
		}
	}
}

// The lines of a log have nothing to do with each other: what is in none of them is not there.
func TestExplainNothingAcrossLines(t *testing.T) {
	t.Parallel()
	log := "Nov 28 10:00:01 host app: 550 5.7.54\nNov 28 10:00:01 host app: nothing\n"
	if got := ids(errorsIn(log)); len(got) != 1 || got[0] != "smtp-550-5.7.54-relay" {
		t.Errorf("%v", got)
	}
	log = "Nov 28 10:00:01 host app: started 535\nNov 28 10:00:02 host app: sent the password reset mail\n"
	if got := ids(errorsIn(log)); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Damaged input is explained as far as it goes, each error once.
func TestExplainDamaged(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		text := []byte(mixedLog + "\n}\n535-5.7.139 x\n535\nerror code\n50126\n")
		for range 40 {
			text[random.IntN(len(text))] = "\n \x00\xff5-}\""[random.IntN(8)]
		}
		seen := map[string]bool{}
		for _, x := range explain(string(text)) {
			if seen[x.ID] || x.Count == 1 || x.Count < 0 {
				t.Errorf("%q: %+v", text, x)
			}
			seen[x.ID] = true
		}
	}
}
