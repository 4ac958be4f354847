package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
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

It works on a server without a browser: --device-code shows a code to type on any other machine, and with --browser you
can open the address on any other machine and paste back the address that the browser ends at. A running relay picks the
sign-in up within a second. Sign in as the mailbox's user, or as a person who may send as it.`,
		Args: oneArg("the account's name"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := loadConfig(e.config, config.AllowMissingCertificate)
			if err != nil {
				return err
			}
			a := cfg.Account(args[0])
			if a == nil {
				return fmt.Errorf("there is no account %q in %s", args[0], cfg.File)
			}
			if !bySignIn(a.OAuth) {
				return fmt.Errorf("account %q needs no sign-in: its flow is %q, which signs in by itself. See how it does: mailbearer check --account %s%s",
					a.Name, a.OAuth.Flow, a.Name, e.configFlag())
			}
			return authorize(c.Context(), e, cfg, *a, device || !browser && a.OAuth.Flow == "device-code")
		},
	}
	c.Flags().BoolVar(&device, "device-code", false, "show a code to type on another machine")
	c.Flags().BoolVar(&browser, "browser", false, "use a browser, on this machine or another")
	c.MarkFlagsMutuallyExclusive("device-code", "browser")
	return c
}

// authorize has a person sign in, stores the sign-in, and wakes a running relay.
func authorize(ctx context.Context, e *env, cfg *config.Config, a config.Account, device bool) error {
	if err := filledIn(a); err != nil {
		return err
	}
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
	if err := store.Writable(); err != nil { // before a person has gone to the trouble
		return withFix("nobody was asked to sign in", a.Name, err)
	}
	o := tokens.SignInOptions{
		Provider: providerOf(a, roots, way), Scopes: a.OAuth.Scopes, API: apiOf(a), Hint: a.Mailbox, Account: a.Name, Redirect: a.Endpoints.Redirect,
		Troubled: func(p *diagnose.Problem) {
			fmt.Fprintf(e.stdout, "\nIt takes longer: %v. It is asked again, and the sign-in goes on as soon as it answers.\n", p)
		},
	}
	in, err := e.signIn(ctx, o, a, device)
	if err != nil {
		return signInFailed(in, a.Name, err)
	}
	if err := store.SignIn(ctx, a.Name, in); err != nil {
		return withFix("the sign-in went well, but is not kept", a.Name, err)
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.Pasted = e.lines(ctx)
	o.Mispasted = func(why string) { fmt.Fprintln(e.stdout, why) }
	return tokens.BrowserSignIn(ctx, o, func(url string) error {
		fmt.Fprintf(e.stdout, `Sign in for the mailbox %s in the browser that opens now, or open this address in any browser:

  %s

If that browser is on another machine, it ends at a page that cannot be reached: paste the address of that page here, and press Enter.
%s Waiting…
`, a.Mailbox, url, redirectHint(a))
		openBrowser(url)
		return nil
	})
}

// lines gives the lines of standard input, empty ones apart, until ctx or the input ends. A read of a terminal cannot be
// called off: one may be left when a browser on this machine was faster. That eats nothing: the process ends with the
// command, and what is typed then is the shell's.
func (e *env) lines(ctx context.Context) <-chan string {
	if e.stdin == nil {
		return nil
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(e.stdin)
		for in.Scan() {
			if strings.TrimSpace(in.Text()) == "" {
				continue
			}
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// openBrowser tries; the address has been shown in any case.
func openBrowser(url string) {
	switch {
	case runtime.GOOS == "windows":
		_ = exec.Command("rundll32", "url.dll,FileProtocolHandler", url).Start()
	case runtime.GOOS == "darwin":
		_ = exec.Command("open", url).Start()
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "": // else xdg-open finds a browser for terminals
		_ = exec.Command("xdg-open", url).Start()
	}
}

func (e *env) signedIn(in tokens.SignedIn, a config.Account) {
	who := in.User
	if who == "" {
		who = "a user whom the provider did not name"
	}
	fmt.Fprintf(e.stdout, "\nSigned in as %s. The sign-in is stored, encrypted; the relay keeps it fresh by itself.\n", who)
	fmt.Fprint(e.stdout, whoIsThat(in, a))
	fmt.Fprintf(e.stdout, "Next: mailbearer test --to YOUR-ADDRESS --account %s%s\n", a.Name, e.configFlag())
}

// redirectHint is what to do about a page that refuses our address.
func redirectHint(a config.Account) string {
	if a.Endpoints.Redirect != "" {
		return "If the page says that the redirect address does not match: endpoints.redirect must be, to the letter, what is registered for the app."
	}
	switch vendorOf(a) {
	case tokens.Microsoft:
		return "If Microsoft says that the redirect address does not match: register http://localhost for the app (Entra: Authentication > Mobile and\ndesktop applications)."
	case tokens.Google:
		return "If Google says that the redirect address does not match: the OAuth client must be of the type Desktop app, or set endpoints.redirect."
	}
	return "If the page says that the redirect address does not match: set endpoints.redirect to the address that is registered for the app."
}

// whoIsThat compares who signed in with the mailbox, as far as the provider says who that is.
func whoIsThat(in tokens.SignedIn, a config.Account) string {
	switch {
	case in.IsMailbox(a.Mailbox):
		return ""
	case in.User == "":
		return fmt.Sprintf("So it cannot be seen whether that is %s; a test message will show it. Providers that follow OpenID Connect name the user if\n"+
			"oauth.scopes has \"openid\" and \"email\" (or \"profile\").\n", a.Mailbox)
	case vendorOf(a) == tokens.Microsoft:
		return fmt.Sprintf("That is not the mailbox's own user (%s). It works if %s may send as that mailbox (Send As or Full Access);\n"+
			"if Exchange answers 535, sign in again as %s.\n", a.Mailbox, in.User, a.Mailbox)
	}
	return fmt.Sprintf("That is not the mailbox's own user (%s). If the mail server refuses to sign in, sign in again as %s.\n", a.Mailbox, a.Mailbox)
}

// signInFailed puts a failed sign-in into words.
func signInFailed(in tokens.SignedIn, account string, err error) error {
	who := ""
	if in.User != "" {
		who = " as " + in.User
	}
	if errors.Is(err, context.Canceled) {
		return fail("interrupted: nobody is signed in, and a sign-in there was before stays as it was")
	}
	if p := (*diagnose.Problem)(nil); errors.As(err, &p) {
		err = p.For(account)
	}
	return withFix(fmt.Sprintf("the sign-in%s did not succeed", who), account, err)
}

// withFix is a failure with what to do about it, where that is known.
func withFix(what, account string, err error) error {
	if p := (*diagnose.Problem)(nil); errors.As(err, &p) {
		return fail("%s: %w\nWhat to do: %s", what, err, p.For(account).Fix)
	}
	return fail("%s: %w", what, err)
}
