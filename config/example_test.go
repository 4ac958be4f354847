package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// exampleFile is shown to administrators; what it says must be true.
var exampleFile = filepath.Join("..", "config.example.toml")

// TestExample: the active lines load on any machine, without a warning, and say nothing but the defaults.
func TestExample(t *testing.T) {
	t.Parallel()
	got, err := Load(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	o := got.Accounts[0].OAuth
	want := parse(t, strings.NewReplacer("noreply@Example.com", got.Accounts[0].Mailbox,
		"contoso.onmicrosoft.com", o.Tenant, "11111111-2222-3333-4444-555555555555", o.ClientID).Replace(account))
	want.File, want.Digest, want.Accounts[0].OAuth.ClientSecret = got.File, got.Digest, o.ClientSecret
	if diff := cmp.Diff(want, got, comparePrefixes, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the example differs from the defaults (-default +example):\n%s", diff)
	}
}

// Lines of the example, commented or not.
var (
	headerLine = regexp.MustCompile(`^(?:# )?(\[\[?[a-z.]+\]\]?)$`)
	keyLine    = regexp.MustCompile(`^(?:# )?([a-z_]+) = (.*)$`)
	alias      = regexp.MustCompile(`^# root = `)
)

// exampleKeys reads the example as an administrator does: table by table.
func exampleKeys(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	keys, table := make(map[string]string), ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if m := headerLine.FindStringSubmatch(line); m != nil {
			table = m[1]
			keys[table] = ""
		} else if m := keyLine.FindStringSubmatch(line); m != nil && !alias.MatchString(line) {
			value, _, _ := strings.Cut(m[2], " #")
			keys[table+" "+m[1]] = strings.TrimSpace(value)
		}
	}
	return keys
}

// TestExampleIsComplete holds the example against the structs: every table, every key, every default; and nothing
// that does not exist.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	shown := exampleKeys(t)
	for _, table := range allTables()[1:] {
		if _, ok := shown[table.title]; !ok {
			t.Errorf("%s is not in the example", table.title)
		}
		delete(shown, table.title)
		for _, s := range table.keys {
			value, ok := shown[table.title+" "+s.name()]
			delete(shown, table.title+" "+s.name())
			switch text := s.defaultText(); {
			case !ok && s.name() != "oauth" && s.name() != "limits" && s.name() != "endpoints":
				t.Errorf("%s: %s is not in the example", table.title, s.name())
			case text != "" && strings.NewReplacer(`"`, "", "[", "", "]", "", " ", "").Replace(value) != text:
				t.Errorf("%s: %s has the default %s, the example says %s", table.title, s.name(), text, value)
			}
		}
	}
	delete(shown, "[aliases]")
	for key := range shown {
		t.Errorf("the example has %s, which does not exist", key)
	}
}

// TestExampleUncommented switches every commented key on: none of them is unknown or of a wrong type.
func TestExampleUncommented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	uncommented := regexp.MustCompile(`(?m)^# (\[|[a-z_]+ = |"\*" = )`).ReplaceAll(text, []byte("$1"))
	_, err = Parse("t.toml", uncommented)
	var rest []string
	for line := range strings.Lines(err.Error()) {
		if !strings.Contains(line, "exist") && !strings.Contains(line, "be read") && !strings.Contains(line, "belong") &&
			!strings.Contains(line, "bcrypt") && !strings.Contains(line, "never uses") && !strings.Contains(line, "keep one") && !strings.Contains(line, "not available in this version") {
			rest = append(rest, line)
		}
	}
	if len(rest) > 0 {
		t.Errorf("beyond files that do not exist, and keys of other flows:\n%s", strings.Join(rest, ""))
	}
}
