package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/mailbearer/mailbearer/config"
)

// answers are what `init` has to know; everything else follows from them.
type answers struct {
	Account, Mailbox, Provider, Tenant string
	ClientID                           string // "" when the app is not registered yet
	Flow                               string
	Networks                           []string // of devices; none: only this machine
	OwnFrom                            string   // whether devices have senders of their own: one of ownFroms
	SendAs                             []string // for send-as: their addresses, as far as they are known
	DataDir, SecretFile                string   // absolute
}

// ownFroms are the answers to whether devices use a From of their own.
var ownFroms = []string{"no", "rewrite", "send-as"}

// noClientID stands in the file until the app is registered.
const noClientID = "00000000-0000-0000-0000-000000000000"

// From is what the account's from is to be. Where this version cannot rewrite, the devices have to be set right, and
// the steps that init prints say so.
func (a answers) From() string {
	if a.OwnFrom == "rewrite" && a.offered("rewrite", a.Flow) {
		return "rewrite"
	}
	return "keep"
}

// Certificate is where the app's certificate is.
func (a answers) Certificate() string { return filepath.Join(a.DataDir, a.Account+".pfx") }

//go:embed templates
var templates embed.FS

// page fills a template of the templates directory. What is put into it goes through a function that quotes it for the
// language of the page; only text for people has none.
func page(name string, w io.Writer, data any) error {
	return pages().ExecuteTemplate(w, name, data)
}

var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(quoting).ParseFS(templates, "templates/*"))
})

var quoting = template.FuncMap{
	"toml": quoteTOML, "ps": quotePowerShell, "psword": wordPowerShell, "psid": identifierPowerShell, "scope": scopeFilter,
	"sh": quoteShell, "jmes": quoteJMES, "odata": quoteOData, "path": quotePath,
}

// render writes the configuration.
func (a answers) render() ([]byte, error) {
	var b bytes.Buffer
	err := page("mailbearer.toml.tmpl", &b, a)
	return b.Bytes(), err
}

// problem says what is wrong with one of the configuration's keys, or "".
func (a answers) problem(keys ...string) string {
	text, err := a.render()
	if err != nil {
		return err.Error()
	}
	var mistakes config.Mistakes
	_, err = config.Parse("mailbearer.toml", text, config.AllowMissingCertificate, config.WithoutSecrets)
	errors.As(err, &mistakes)
	for _, m := range append(mistakes, a.mistaken()...) {
		if slices.Contains(keys, m.Key) || len(keys) == 0 {
			return strings.TrimPrefix(m.Key+": "+m.Text, ": ")
		}
	}
	return ""
}

// offered asks the configuration itself whether this version has a way to send or to sign in, so that nothing is offered
// that would be refused afterwards.
func (a answers) offered(from, flow string) bool {
	probe := answers{
		Account: "default", Mailbox: "a@example.com", Provider: a.Provider, Tenant: "example.com", Flow: flow,
		DataDir: "/", SecretFile: "/secret",
	}
	if probe.Provider == "" {
		probe.Provider = "microsoft365"
	}
	text, err := probe.render()
	if err != nil {
		return false
	}
	text = bytes.Replace(text, []byte(`from = "keep"`), []byte(`from = "`+from+`"`), 1)
	_, err = config.Parse("mailbearer.toml", text, config.AllowMissingCertificate, config.WithoutSecrets)
	return err == nil
}

// quoteTOML writes a string: as it is where a path would need each backslash twice, else with escapes.
func quoteTOML(s string) string {
	if strings.Contains(s, `\`) && !strings.ContainsFunc(s, func(r rune) bool { return r == '\'' || r < ' ' || r == 0x7f }) {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// chooseDataDir is the directory that was named, else where the operating system expects it, else one beside the
// configuration for whoever may not write there.
func chooseDataDir(named, beside string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	if dir := config.DefaultDataDir(); writable(dir) {
		return dir, nil
	}
	return filepath.Abs(filepath.Join(filepath.Dir(beside), "mailbearer-data"))
}

// writable says whether files can be made in a directory, which need not exist yet. It leaves nothing behind.
func writable(dir string) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		return writable(filepath.Dir(dir))
	case err != nil || !info.IsDir():
		return false
	}
	f, err := os.CreateTemp(dir, ".mailbearer-*")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}
