package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// checkView is the JSON of `check`; its names are fixed.
type checkView struct {
	OK       bool           `json:"ok"`
	Accounts []checkAccount `json:"accounts"`
}

type checkAccount struct {
	Name  string      `json:"name"`
	Steps []checkStep `json:"steps"` // in the order of checkOrder
}

// checkStep is one link of the chain. An ok step with a cause has a warning.
type checkStep struct {
	Step   string      `json:"step"`
	Status checkStatus `json:"status"`
	Tried  string      `json:"tried,omitempty"` // what we did
	Said   string      `json:"said,omitempty"`  // the other side's words, or those of the error that there were instead
	Cause  string      `json:"cause,omitempty"` // what it means, or why the step was skipped
	Fix    string      `json:"fix,omitempty"`   // what to do about it
}

type checkStatus string

const (
	checkOK      checkStatus = "ok"
	checkFailed  checkStatus = "failed"
	checkSkipped checkStatus = "skipped"
)

// checkOrder are the steps in the order of work.
var checkOrder = []string{"config", "dns", "tcp", "proxy", "tls", "clock", "token", "claims", "auth", "graph"}

func newCheck(e *env) *cobra.Command {
	var only string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Go the whole way to the provider without sending mail, and say what is wrong",
		Long: `Go the whole way to the provider, step by step, without sending mail: configuration, DNS, connection, proxy,
encryption, clock, access token, what the token allows, and the sign-in at the mail server. For what fails it prints
the provider's own words, what they mean and what to do. It takes 20 seconds for an account at most, and can run
beside the relay.

Exit code 0: everything passed; 1: something failed; 2: the configuration has a mistake.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runCheck(c.Context(), e, only, asJSON)
		},
	}
	c.Flags().StringVar(&only, "account", "", "only this `account`")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON value")
	return c
}

func runCheck(ctx context.Context, e *env, only string, asJSON bool) error {
	cfg, err := loadConfig(e.config)
	var accounts []config.Account
	if err == nil {
		accounts, err = accountsToCheck(cfg, only)
	}
	if err != nil {
		if asJSON {
			return errors.Join(writeJSON(e.stdout, unreadableConfig(e.config, only, err)), err)
		}
		fmt.Fprintln(e.stdout, "The configuration has to be right before anything else can be checked: correct what is named here, then run `mailbearer check` again.")
		return err
	}
	printer := newCheckPrinter(e.stdout, only, e.config)
	if asJSON {
		printer.w = nil
	}
	view := checkView{OK: true}
	for i, c := range startCheckups(ctx, cfg, accounts) {
		a := printer.account(accounts[i], c)
		view.Accounts = append(view.Accounts, a)
		view.OK = view.OK && len(a.failed()) == 0
	}
	for _, name := range wakeHeld(ctx, cfg, view) {
		printer.say("The relay held account %s; it has been asked to try again at once.\n", name)
	}
	printer.next(view)
	if asJSON {
		if err := writeJSON(e.stdout, view); err != nil {
			return err
		}
	}
	return view.verdict(ctx)
}

// wakeHeld asks a running relay to try accounts at once that it holds and that have just passed, and names them. A relay
// that cannot be asked tries by itself, later.
func wakeHeld(ctx context.Context, cfg *config.Config, v checkView) (names []string) {
	if !sqlite.Running(cfg.Relay.DataDir) {
		return nil
	}
	sp, err := openSpool(ctx, cfg)
	if err != nil {
		return nil
	}
	defer sp.Close()
	states, err := sp.Accounts(ctx)
	if err != nil {
		return nil
	}
	for _, a := range v.Accounts {
		if states[a.Name].State == mail.AccountHeld && a.passed() && sp.AskProbe(ctx, a.Name) == nil {
			names = append(names, a.Name)
		}
	}
	return names
}

// passed says whether the account can sign in, for all that the check has seen.
func (a checkAccount) passed() bool {
	signedIn := slices.ContainsFunc(a.Steps, func(s checkStep) bool { return s.Step == "auth" && s.Status == checkOK })
	return signedIn && len(a.failed()) == 0
}

// accountsToCheck are all, or the one that is named.
func accountsToCheck(cfg *config.Config, only string) ([]config.Account, error) {
	if only == "" {
		return cfg.Accounts, nil
	}
	if a := cfg.Account(only); a != nil {
		return []config.Account{*a}, nil
	}
	return nil, noSuchAccount(cfg, only)
}

func noSuchAccount(cfg *config.Config, name string) error {
	var names []string
	for _, a := range cfg.Accounts {
		names = append(names, a.Name)
	}
	return fmt.Errorf("%s has no [[account]] with the name %q: it has %s", cfg.File, name, strings.Join(names, ", "))
}

// verdict is the error that makes the exit code.
func (v checkView) verdict(ctx context.Context) error {
	var failed []string
	broken := false
	for _, a := range v.Accounts {
		for _, s := range a.failed() {
			broken = broken || s.Step == "config"
		}
		if steps := a.failed(); len(steps) > 0 {
			failed = append(failed, fmt.Sprintf("%s (%s)", a.Name, steps[0].Step))
		}
	}
	switch {
	case ctx.Err() != nil:
		return fail("interrupted: the check is not complete")
	case len(failed) == 0:
		return nil
	case broken:
		return fmt.Errorf("the check failed for %s: correct the configuration first", strings.Join(failed, ", "))
	}
	return fail("the check failed for %s", strings.Join(failed, ", "))
}

func (a checkAccount) failed() []checkStep {
	var list []checkStep
	for _, s := range a.Steps {
		if s.Status == checkFailed {
			list = append(list, s)
		}
	}
	return list
}

// unreadableConfig is what --json says when there is no configuration to go by. The accounts' names are read from the
// file as far as it can be read.
func unreadableConfig(path, only string, err error) checkView {
	names := []string{only}
	if only == "" {
		names = namesOfAccounts(path)
	}
	view := checkView{Accounts: []checkAccount{}}
	for _, name := range names {
		a := checkAccount{Name: name, Steps: []checkStep{{
			Step: "config", Status: checkFailed, Tried: "read " + cmp.Or(path, "the configuration"),
			Cause: err.Error(), Fix: "Correct these lines, then run `mailbearer check` again.",
		}}}
		var mistakes config.Mistakes
		if !errors.As(err, &mistakes) {
			a.Steps[0].Fix = "Name a configuration that can be read with --config FILE; `mailbearer init` writes one."
		}
		for _, step := range checkOrder[1:] {
			a.Steps = append(a.Steps, checkStep{Step: step, Status: checkSkipped, Cause: "the configuration has to be right first"})
		}
		view.Accounts = append(view.Accounts, a)
	}
	return view
}

func namesOfAccounts(path string) []string {
	var file struct {
		Account []struct {
			Name string `toml:"name"`
		} `toml:"account"`
	}
	if _, err := toml.DecodeFile(path, &file); err != nil || len(file.Account) == 0 {
		return []string{""}
	}
	var names []string
	for _, a := range file.Account {
		names = append(names, a.Name)
	}
	return names
}
