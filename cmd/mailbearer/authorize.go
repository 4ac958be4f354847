package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/tokens"
	"github.com/spf13/cobra"
)

func newAuthorize(e *env) *cobra.Command {
	var device, browser bool
	c := &cobra.Command{
		Use:   "authorize ACCOUNT",
		Short: "Sign a person in for an account whose flow is device-code or browser",
		Long: `Sign a person in for an account whose flow is device-code or browser.

It works on a server without a browser (--device-code shows a code to type on any other machine) and beside a running
relay, which picks the sign-in up within a second. Sign in as the mailbox's user, or as a person who may send as it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := loadConfig(e.config, config.AllowMissingCertificate)
			if err != nil {
				return err
			}
			a := cfg.Account(args[0])
			if a == nil {
				return fmt.Errorf("there is no account %q in %s", args[0], cfg.File)
			}
			if a.OAuth.Flow != "device-code" && a.OAuth.Flow != "browser" {
				return fmt.Errorf("account %q needs no sign-in: its flow is %q, which signs in by itself. See how it does: mailbearer check --account %s",
					a.Name, a.OAuth.Flow, a.Name)
			}
			return authorize(c.Context(), e, cfg, *a, device || !browser && a.OAuth.Flow == "device-code")
		},
	}
	c.Flags().BoolVar(&device, "device-code", false, "show a code to type on another machine")
	c.Flags().BoolVar(&browser, "browser", false, "open a browser on this machine")
	c.MarkFlagsMutuallyExclusive("device-code", "browser")
	return c
}

// authorize has a person sign in, stores the sign-in, and wakes a running relay.
func authorize(ctx context.Context, e *env, cfg *config.Config, a config.Account, device bool) error {
	roots, err := rootCAs(a.Endpoints.CAFile)
	if err != nil {
		return err
	}
	way, err := openWay(cfg.Network)
	if err != nil {
		return err
	}
	store, err := tokens.OpenStore(storeOptions(cfg))
	if err != nil {
		return err
	}
	o := tokens.SignInOptions{Provider: providerOf(a, roots, way), Scopes: a.OAuth.Scopes, Hint: a.Mailbox}
	in, err := e.signIn(ctx, o, a, device)
	if err != nil {
		return signInFailed(in, err)
	}
	if err := store.SignIn(ctx, a.Name, in); err != nil {
		return failure{err}
	}
	e.signedIn(in, a)
	if sp, err := openSpool(ctx, cfg); err == nil { // a relay that has run has a spool; a held account is to try at once
		defer sp.Close()
		if err := sp.AskProbe(ctx, a.Name); err != nil {
			fmt.Fprintf(e.stderr, "mailbearer: the running relay could not be asked to try at once: %v; it will by itself\n", err)
		}
	}
	return nil
}

func (e *env) signIn(ctx context.Context, o tokens.SignInOptions, a config.Account, device bool) (tokens.SignedIn, error) {
	if device {
		return tokens.DeviceSignIn(ctx, o, func(code, url string, expires time.Time) {
			fmt.Fprintf(e.stdout, "Sign in for the mailbox %s:\n\n  1. Open %s on any machine.\n  2. Type the code %s\n\nThe code is good until %s. Waiting…\n",
				a.Mailbox, url, code, expires.Local().Format(time.TimeOnly))
		})
	}
	return tokens.BrowserSignIn(ctx, o, func(url string) error {
		fmt.Fprintf(e.stdout, "Sign in for the mailbox %s in the browser that opens now. If none does, open this address on this machine:\n\n  %s\n\n"+
			"If the page says that the redirect address does not match: register http://localhost for the app (Entra: Authentication > Mobile and\n"+
			"desktop applications). Waiting…\n", a.Mailbox, url)
		openBrowser(url)
		return nil
	})
}

// openBrowser tries; the address has been shown in any case.
func openBrowser(url string) {
	switch runtime.GOOS {
	case "windows":
		_ = exec.Command("rundll32", "url.dll,FileProtocolHandler", url).Start()
	case "darwin":
		_ = exec.Command("open", url).Start()
	default:
		_ = exec.Command("xdg-open", url).Start()
	}
}

func (e *env) signedIn(in tokens.SignedIn, a config.Account) {
	who := in.User
	if who == "" {
		who = "somebody whose name the provider does not say"
	}
	fmt.Fprintf(e.stdout, "\nSigned in as %s. The sign-in is stored, encrypted; the relay keeps it fresh by itself.\n", who)
	if in.User != "" && !in.IsMailbox(a.Mailbox) {
		fmt.Fprintf(e.stdout, "That is not the mailbox's own user (%s). It works if %s may send as that mailbox (Send As or Full Access);\n"+
			"if Exchange answers 535, sign in again as %s.\n", a.Mailbox, who, a.Mailbox)
	}
	fmt.Fprintf(e.stdout, "Next: mailbearer test --to YOUR-ADDRESS --account %s\n", a.Name)
}

// signInFailed puts a failed sign-in into words.
func signInFailed(in tokens.SignedIn, err error) error {
	who := ""
	if in.User != "" {
		who = " as " + in.User
	}
	var p *diagnose.Problem
	if errors.As(err, &p) {
		return fail("the sign-in%s did not succeed: %w\nWhat to do: %s", who, err, p.Fix)
	}
	return fail("the sign-in%s did not succeed: %w", who, err)
}
