package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// TestSecretPrintsRedacted: whatever prints it, alone or inside other values.
func TestSecretPrintsRedacted(t *testing.T) {
	t.Parallel()
	const text = "correct horse"
	file := write(t, "s", text)
	type outer struct {
		S        Secret
		P        *Secret
		L        []Secret
		M        map[string]Secret
		unseen   Secret
		Config   Config
		Embedded struct{ Secret }
	}
	for _, s := range []Secret{mustSecret(t, text), mustSecret(t, "file:"+file)} {
		if got, err := s.Reveal(); got != text || err != nil {
			t.Fatalf("Reveal: %q, %v", got, err)
		}
		o := outer{S: s, P: &s, L: []Secret{s}, M: map[string]Secret{"a": s}, unseen: s}
		o.Config.Accounts = []Account{{OAuth: OAuth{ClientSecret: s}}}
		o.Embedded.Secret = s
		var out bytes.Buffer
		for _, v := range []any{s, &s, o, &o} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%20s", "%p"} {
				fmt.Fprintf(&out, verb, v)
			}
			fmt.Fprintln(&out, v)
			log := zerolog.New(&out)
			log.Info().Interface("v", v).Any("a", v).Str("t", fmt.Sprint(v)).Msg("")
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			j, err := json.Marshal(v)
			out.Write(j)
			if err != nil {
				t.Error(err)
			}
		}
		if err := toml.NewEncoder(&out).Encode(map[string]any{"s": s}); err != nil {
			t.Error(err)
		}
		for _, leak := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), "horse", fmt.Sprint([]byte(text))} {
			if strings.Contains(out.String(), leak) {
				at := strings.Index(out.String(), leak)
				t.Errorf("%q is in the output: …%s…", leak, out.String()[max(at-80, 0):at+len(leak)])
			}
		}
		for _, got := range []string{fmt.Sprintf("%x", s), fmt.Sprintf("%#v", s), s.String(), s.GoString(), s.LogValue().String()} {
			if got != "[redacted]" {
				t.Errorf("printed %q", got)
			}
		}
	}
}

func TestSecretSources(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		return map[string]string{"HAVE": "from env"}[name], name == "HAVE" || name == "EMPTY"
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unix": "a\n", "windows": bom + "b\r\n", "two": "c\n\n", "none": "d", "empty": "\n", "utf16": "\xff\xfee\x00", "large": strings.Repeat("x", maxSecretSize+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, test := range []struct{ text, want, problem string }{
		{"literal", "literal", ""},
		{"env:HAVE", "from env", ""},
		{"env:EMPTY", "", `the environment variable "EMPTY" is not set, or empty`},
		{"env:LACK", "", `the environment variable "LACK" is not set, or empty`},
		{"file:unix", "a", ""},
		{"file:" + at("windows"), "b", ""},
		{"file:two", "c\n", ""},
		{"file:none", "d", ""},
		{"file:empty", "", at("empty") + " is empty"},
		{"file:utf16", "", at("utf16") + " is stored as UTF-16: save it as UTF-8 or ASCII"},
		{"file:large", "", at("large") + " is too large for a secret"},
		{"file:.", "", dir + " is not a file"},
		{"file:", "", `names no file: write "file:/path/to/file"`},
		{"", "", "is empty"},
	} {
		s, err := parseSecret(test.text, dir, env)
		if problem := fmt.Sprint(err); err != nil && problem != test.problem || err == nil && test.problem != "" {
			t.Errorf("%s: got %s, want %s", test.text, problem, test.problem)
		}
		if got, _ := s.Reveal(); got != test.want {
			t.Errorf("%s: revealed %q, not %q", test.text, got, test.want)
		}
		if s.IsSet() != (test.problem == "") {
			t.Errorf("%s: IsSet is %v", test.text, s.IsSet())
		}
	}
}

// TestSecretFollowsItsFile: rewritten in place, and replaced as editors and Kubernetes do.
func TestSecretFollowsItsFile(t *testing.T) {
	t.Parallel()
	path := write(t, "s", "one")
	s := mustSecret(t, "file:"+path)
	copied := s
	if err := os.WriteFile(path, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := copied.Reveal(); got != "second" || err != nil {
		t.Errorf("after a rewrite: %q, %v", got, err)
	}
	if runtime.GOOS != "windows" {
		info, _ := os.Stat(path)
		next := path + ".new"
		if err := os.WriteFile(next, []byte("third!\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Chtimes(next, info.ModTime(), info.ModTime()) // the same size and time: another file all the same
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Reveal(); got != "third!" || err != nil {
			t.Errorf("after a rename: %q, %v", got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Reveal(); got != "" || err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("after a removal: %q, %v", got, err)
	}
}

func TestSecretZero(t *testing.T) {
	t.Parallel()
	var s Secret
	if got, err := s.Reveal(); s.IsSet() || got != "" || err != nil || s.Source() != "" {
		t.Errorf("the zero Secret is set: %q, %v", got, err)
	}
}

func TestSecretEqual(t *testing.T) {
	t.Parallel()
	file := "file:" + write(t, "s", "a")
	for _, test := range []struct {
		a, b Secret
		want bool
	}{
		{Secret{}, Secret{}, true},
		{Secret{}, mustSecret(t, "a"), false},
		{mustSecret(t, "a"), mustSecret(t, "a"), true},
		{mustSecret(t, "a"), mustSecret(t, "b"), false},
		{mustSecret(t, "a"), mustSecret(t, file), false},
		{mustSecret(t, file), mustSecret(t, file), true},
	} {
		if got := cmp.Equal(test.a, test.b); got != test.want || test.b.Equal(test.a) != test.want {
			t.Errorf("from %q and %q: %v", test.a.Source(), test.b.Source(), got)
		}
	}
}

func TestTokenKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(write(t, "store-key", "k"))
	env := func(name string) (string, bool) {
		if name == "CREDENTIALS_DIRECTORY" {
			return dir, true
		}
		return "", false
	}
	s, err := parseKey("systemd:store-key", "", env)
	if got, _ := s.Reveal(); got != "k" || err != nil || s.Source() != "systemd:store-key" {
		t.Errorf("%q from %q, %v", got, s.Source(), err)
	}
	for _, bad := range []string{"systemd:", "systemd:../x", "systemd:lack", "the key itself", "env:LACK", "file:lack"} {
		if _, err := parseKey(bad, dir, env); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
