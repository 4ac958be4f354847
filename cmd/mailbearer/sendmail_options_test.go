package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestInvocations: how programs really call sendmail.
func TestInvocations(t *testing.T) {
	t.Parallel()
	const to, from = "a@example.com", "printer@example.com"
	for _, test := range []struct {
		program string
		words   string // split at blanks; _ is a blank inside a word
		want    invocation
	}{
		{"plain", to, invocation{request: request{Recipients: []string{to}}}},
		{"Vixie cron", "-FCronDaemon -i -B8BITMIME -oem root", invocation{ignoreDots: true, request: request{FullName: "CronDaemon", Recipients: []string{"root"}}}},
		{"cronie", "-FCronDaemon -i -odi -oem -oi -t -f root", invocation{ignoreDots: true, fromHeader: true, request: request{FullName: "CronDaemon", Sender: "root", SenderGiven: true}}},
		{"BusyBox crond", "-ti root", invocation{ignoreDots: true, fromHeader: true, request: request{Recipients: []string{"root"}}}},
		{"anacron", "-FAnacron -odi root", invocation{request: request{FullName: "Anacron", Recipients: []string{"root"}}}},
		{"at", "-i root", invocation{ignoreDots: true, request: request{Recipients: []string{"root"}}}},
		{"bsd-mailx", "-i -m -- a@example.com b@example.com", invocation{ignoreDots: true, request: request{Recipients: []string{to, "b@example.com"}}}},
		{"s-nail", "-i -r printer@example.com -- a@example.com", invocation{ignoreDots: true, request: request{Sender: from, SenderGiven: true, Recipients: []string{to}}}},
		{"GNU mailutils", "-oi -f printer@example.com -t", invocation{ignoreDots: true, fromHeader: true, request: request{Sender: from, SenderGiven: true}}},
		{"mutt", "-oem -oi -f printer@example.com -- a@example.com b@example.com", invocation{ignoreDots: true, request: request{Sender: from, SenderGiven: true, Recipients: []string{to, "b@example.com"}}}},
		{"mutt with DSN", "-oem -oi -N failure,delay -R hdrs -- a@example.com", invocation{ignoreDots: true, request: request{Notify: []string{"FAILURE", "DELAY"}, Return: "HDRS", Recipients: []string{to}}}},
		{"Alpine", "-oem -oi -t", invocation{ignoreDots: true, fromHeader: true}},
		{"PHP mail()", "-t -i", invocation{ignoreDots: true, fromHeader: true}},
		{"PHP mail() with -f", "-t -i -fprinter@example.com", invocation{ignoreDots: true, fromHeader: true, request: request{Sender: from, SenderGiven: true}}},
		{"PHPMailer", "-oi -fprinter@example.com -t", invocation{ignoreDots: true, fromHeader: true, request: request{Sender: from, SenderGiven: true}}},
		{"git send-email", "-i a@example.com b@example.com", invocation{ignoreDots: true, request: request{Recipients: []string{to, "b@example.com"}}}},
		{"git send-email with an envelope sender", "-f printer@example.com -i a@example.com", invocation{ignoreDots: true, request: request{Sender: from, SenderGiven: true, Recipients: []string{to}}}},
		{"logwatch", "-t", invocation{fromHeader: true}},
		{"smartd", "-i -t root", invocation{ignoreDots: true, fromHeader: true, request: request{Recipients: []string{"root"}}}},
		{"Nagios", "-vt", invocation{verbose: true, fromHeader: true}},
		{"Debian reportbug", "-oi -t -oem", invocation{ignoreDots: true, fromHeader: true}},
		{"fail2ban", "-t -f printer@example.com a@example.com", invocation{fromHeader: true, request: request{Sender: from, SenderGiven: true, Recipients: []string{to}}}},
		{"mdadm", "-t", invocation{fromHeader: true}},
		{"Django, sendmail backends", "-t -i -f printer@example.com", invocation{ignoreDots: true, fromHeader: true, request: request{Sender: from, SenderGiven: true}}},
		{"Perl Mail::Mailer", "-t -oi -oem", invocation{ignoreDots: true, fromHeader: true}},
		{"Ruby mail", "-i -f printer@example.com -- a@example.com", invocation{ignoreDots: true, request: request{Sender: from, SenderGiven: true, Recipients: []string{to}}}},
		{"options behind", "a@example.com -f printer@example.com", invocation{request: request{Sender: from, SenderGiven: true, Recipients: []string{to}}}},
		{"a list in one word", "a@example.com,_b@example.com", invocation{request: request{Recipients: []string{to, "b@example.com"}}}},
		{"null sender", "-f <> a@example.com", invocation{request: request{SenderGiven: true, Recipients: []string{to}}}},
		{"old sender", "-rprinter@example.com -ba@example.com", invocation{}},
		{"-r, -F apart, -V", "-r printer@example.com -F Jane_Doe -V id+1 -U -G -h5 -X/tmp/log -O Timeout=1 -L tag -p x -d0.1 -n -m -s -e q -A c -C /x.cf a@example.com",
			invocation{request: request{Sender: from, SenderGiven: true, FullName: "Jane Doe", EnvelopeID: "id+2B1", Recipients: []string{to}}}},
		{"-o apart", "-o i -o em a@example.com", invocation{ignoreDots: true, request: request{Recipients: []string{to}}}},
		{"-N never", "-Nnever a@example.com", invocation{request: request{Notify: []string{"NEVER"}, Recipients: []string{to}}}},
		{"mailq", "-bp", invocation{mode: modeQueue}},
		{"newaliases", "-bi", invocation{mode: modeAliases}},
		{"-I", "-I", invocation{mode: modeAliases}},
		{"flush", "-q", invocation{mode: modeFlush}},
		{"queue runner", "-q15m", invocation{mode: modeFlush}},
		{"-b apart", "-b m a@example.com", invocation{request: request{Recipients: []string{to}}}},
		{"configuration", "--config x.toml -t", invocation{config: "x.toml", fromHeader: true}},
		{"configuration in one word", "--config=x.toml -t", invocation{config: "x.toml", fromHeader: true}},
		{"help", "--help", invocation{mode: modeHelp}},
	} {
		got, err := parseInvocation(splitWords(test.words))
		if test.program == "old sender" { // -b takes its letter, and "a@example.com" is none
			if exitCode(err) != exUsage {
				t.Errorf("%s: %v", test.program, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.program, err)
			continue
		}
		if diff := cmp.Diff(test.want, *got, cmp.AllowUnexported(invocation{})); diff != "" {
			t.Errorf("%s: %s", test.program, diff)
		}
	}
}

func splitWords(s string) []string {
	var list []string
	for _, w := range strings.Fields(s) {
		list = append(list, strings.ReplaceAll(w, "_", " "))
	}
	return list
}

func TestWrongInvocations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		code int
		says string
	}{
		"-Z a@b.c":             {exUsage, "unknown option -Z"},
		"-i\x00 a@b.c":         {exUsage, `unknown option -'\x00'`},
		"--bogus":              {exUsage, "unknown option --bogus"},
		"-t --config x":        {exUsage, "--config FILE must stand first"},
		"--config":             {exUsage, "--config needs the name of a file"},
		"-f":                   {exUsage, "-f needs a value"},
		"-bd":                  {exUsage, "mailbearer run"},
		"-bv a@b.c":            {exUsage, "-bv is not a mode"},
		"-N sometimes a@b.c":   {exUsage, "never, or a list"},
		"-N never,delay a@b.c": {exUsage, "never, or a list"},
		"-R all a@b.c":         {exUsage, "full or hdrs"},
		"-V \x01 a@b.c":        {exUsage, "printable ASCII"},
		"-f a_b@c.d x@y.z":     {exUsage, "is not an address"},
		"-f a@b.c,d@e.f x@y.z": {exUsage, "is not an address"},
		"a@b.c d@":             {exNoUser, `recipient "d@" is not an address`},
		"-- -f":                {0, ""},
	} {
		_, err := parseInvocation(splitWords(text))
		if want.code == 0 {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		var sys sysexit
		if !errors.As(err, &sys) || sys.code != want.code || !strings.Contains(fmt.Sprint(err), want.says) {
			t.Errorf("%q: %v, want %d and %q", text, err, want.code, want.says)
		}
	}
}

func TestInvokedNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"mailbearer run":          "run",
		"/usr/sbin/sendmail -t":   "sendmail -t",
		"sendmail.exe a@b.c":      "sendmail a@b.c",
		"/usr/bin/mailq":          "sendmail -bp",
		"/usr/bin/newaliases":     "sendmail -bi",
		"./mailbearer sendmail -": "sendmail -",
		"":                        "",
	} {
		if got := strings.Join(invoked(strings.Fields(in)), " "); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
