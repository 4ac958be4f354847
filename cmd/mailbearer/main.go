package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/mailbearer/mailbearer/config"
	"github.com/spf13/cobra"
)

// Exit codes, the same for every command but sendmail, which has those of sysexits.h (sendmail_exit.go).
const (
	exitFine   = 0
	exitFailed = 1 // the thing asked for failed
	exitUsage  = 2 // usage or configuration error
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks; with the handler gone, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, invoked(os.Args), os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; the end-to-end tests call it too, so there is no second wiring.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&env{stdin: stdin, stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(stderr, mistakes.Error()) // FILE:LINE: begins each line, for editors that jump there
	} else {
		fmt.Fprintln(stderr, "mailbearer: "+err.Error())
	}
	return exitCode(err)
}

// exitCode is what the process ends with after an error.
func exitCode(err error) int {
	var failed failure
	var sys sysexit
	switch {
	case errors.As(err, &sys):
		return sys.code
	case errors.As(err, &failed):
		return exitFailed
	}
	return exitUsage
}

// env is what a command may touch of the outside.
type env struct {
	config         string // --config
	stdin          io.Reader
	stdout, stderr io.Writer
}

// failure marks an error as "the thing asked for failed"; every other error is one of usage or configuration.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func fail(format string, args ...any) error { return failure{fmt.Errorf(format, args...)} }

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "mailbearer",
		Short: "A local SMTP relay that submits old devices' mail to Microsoft 365 and others with OAuth 2.0",
		Long: `mailbearer takes mail from printers, scanners, backup jobs and cron the old way (plain or
basic-auth SMTP on localhost:2525), keeps it safe on disk, and submits it the new way (OAuth 2.0).

See it work on this machine, with no account anywhere:  mailbearer demo
Then run it with your own mailbox:                      mailbearer run --config mailbearer.toml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVar(&e.config, "config", os.Getenv("MAILBEARER_CONFIG"),
		"configuration `file` (or MAILBEARER_CONFIG; otherwise mailbearer.toml here, then /etc/mailbearer/mailbearer.toml)")
	root.AddCommand(newInit(e), newSetupScript(e), newCertificate(e), newAuthorize(e), newCheck(e), newTest(e), newExplain(e))
	root.AddCommand(newRun(e), newDemo(e), newStatus(e), newQueue(e), newSendmail(e), newHashPassword(e), newVersion(e))
	return root
}

// notYet are commands of the product that this version does not have; saying so beats "unknown command".
var notYet = strings.Fields("service")

// noSuchCommand answers for a command that cobra does not find.
func noSuchCommand(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case slices.Contains(notYet, args[0]):
		return fmt.Errorf("%q is not in this version: CHANGELOG.md says what is", args[0])
	}
	return fmt.Errorf("unknown command %q: mailbearer --help lists them", args[0])
}
