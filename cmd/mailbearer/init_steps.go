package main

import (
	"fmt"
	"strings"

	"github.com/mailbearer/mailbearer/config"
)

// steps is what the page of steps is filled with: what the script knows, and what was answered.
type steps struct {
	answers
	Script             *script // nil where there is none
	PublicFile, Config string
	CannotRewrite      bool
}

// stepsOf writes the steps at Microsoft for a configuration that `init` has written.
func stepsOf(a answers, path string) (string, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return "", err
	}
	all := steps{answers: a, Config: path, PublicFile: publicBeside(a.Certificate()), CannotRewrite: a.OwnFrom == "rewrite" && a.From() == "keep"}
	name := "personal.txt.tmpl"
	if !a.Personal() {
		name = "steps.txt.tmpl"
		if all.Script, err = newScript(cfg, cfg.Account(a.Account), scriptOptions{config: path}); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	err = page(name, &b, all)
	return b.String(), err
}

// identifierPowerShell leaves an ID that is not known to the reader.
func identifierPowerShell(id string) string {
	if id == "" {
		return ""
	}
	return wordPowerShell(id)
}

// scopeFilter is the filter of a management scope, as people write it where the address allows.
func scopeFilter(mailbox string) string {
	filter := fmt.Sprintf("PrimarySmtpAddress -eq '%s'", strings.ReplaceAll(mailbox, "'", "''"))
	if strings.ContainsFunc(mailbox, notPlain) {
		return quotePowerShell(filter)
	}
	return `"` + filter + `"`
}
