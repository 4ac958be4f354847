package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/spf13/cobra"
)

// invoked gives the command line of a call under a name that programs know: sendmail, mailq and newaliases are links to
// the binary, as Postfix and the others have them too.
func invoked(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	name := strings.TrimSuffix(filepath.Base(words[0]), ".exe")
	switch args := words[1:]; name {
	case "sendmail":
		return append([]string{"sendmail"}, args...)
	case "mailq":
		return append([]string{"sendmail", "-bp"}, args...)
	case "newaliases":
		return append([]string{"sendmail", "-bi"}, args...)
	default:
		return args
	}
}

func newSendmail(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "sendmail [-t] [-f ADDR] [-F NAME] [-i] [RCPT…]",
		Short: "Take a message from standard input, as /usr/sbin/sendmail does",
		Long: `sendmail puts a message into the spool, whether the relay runs or not. Link it as /usr/sbin/sendmail and cron,
mailx, PHP and the others send through the relay; as mailq it shows the queue, as newaliases it does nothing.

  -t        recipients from To, Cc and Bcc, besides those of the command line; Bcc is removed
  -f ADDR   sender (also -r); without it the From field's address, else USER@ the mailbox's domain
  -F NAME   full name, for the From field that is added when there is none
  -i, -oi   a line with a single dot does not end the message
  -N, -R, -V   DSN: NOTIFY (never, or success,failure,delay), RET (full, hdrs), ENVID
  -v        say under which id the message was queued
  -bs       speak SMTP on standard input and output, for programs that want to
  -bp       show the queue
  -q        flush the queue: nothing to do, the relay delivers by itself

Other options of sendmail are taken and ignored. Exit codes are those of sysexits.h. The configuration is
--config FILE (as the first words), MAILBEARER_CONFIG, or /etc/mailbearer/mailbearer.toml; never the working directory's.`,
		DisableFlagParsing: true, // sendmail's options are older than any parser's rules
		RunE: func(c *cobra.Command, args []string) error {
			inv, err := parseInvocation(args)
			if err != nil {
				return err
			}
			if inv.config == "" {
				inv.config = os.Getenv("MAILBEARER_CONFIG")
			}
			switch inv.mode {
			case modeHelp:
				return c.Help()
			case modeQueue:
				return sendmailQueue(c.Context(), e, inv)
			case modeAliases:
				_, err = fmt.Fprintln(e.stdout, "There is no alias database: [aliases] of the configuration is read each time.")
				return err
			case modeFlush:
				return nil
			case modeSMTP:
				return sendmailSMTP(c.Context(), e, inv)
			}
			return sendmailMessage(c.Context(), e, inv)
		},
	}
}

// sendmailConfig never reads the working directory: whoever may write there would tell a system's programs where their
// mail goes. Secrets are not looked at, since most callers may not read them.
func sendmailConfig(file string) (*config.Config, error) {
	if file == "" {
		file = places[len(places)-1]
	}
	cfg, err := config.Load(file, config.WithoutSecrets)
	var mistakes config.Mistakes
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, exitWith(exConfig, "there is no configuration: make %s, or name one in MAILBEARER_CONFIG", file)
	case errors.As(err, &mistakes), err != nil && !errors.Is(err, fs.ErrPermission):
		return nil, exitWith(exConfig, "%w", err)
	}
	return cfg, err
}

// sendmailQueue is `mailq`.
func sendmailQueue(ctx context.Context, e *env, inv *invocation) error {
	cfg, err := sendmailConfig(inv.config)
	if err != nil {
		return forSendmail(err, 0)
	}
	if may, err := enterSpool(cfg.Relay.DataDir); err != nil || !may {
		return exitWith(exNoPerm, "only root and the relay's user may see the queue: sudo mailbearer queue list")
	}
	l := &listing{w: e.stdout, empty: "Mail queue is empty"}
	sp, err := openSpool(ctx, cfg)
	switch {
	case errors.Is(err, sqlite.ErrNoSpool):
		sp = nil
	case err != nil:
		return exitWith(exTempFail, "the queue cannot be read: %w", err)
	default:
		defer sp.Close()
	}
	if err := l.listQueue(ctx, cfg, sp, spool.Filter{Now: time.Now()}); err != nil {
		return exitWith(exTempFail, "the queue cannot be read: %w", err)
	}
	return nil
}

// intake is where the messages of one call go: into the spool if this user may open it, into the drop folder otherwise.
type intake struct {
	cfg     *config.Config // nil if this user may not read it
	user    string         // of the operating system
	dataDir string
	limit   int64 // octets of a message
	spool   bool  // this user may open it
}

// openIntake reads the configuration. One that may not be read by everybody leaves the drop folder at its usual place.
func openIntake(file string) (*intake, error) {
	t := &intake{dataDir: config.DefaultDataDir(), limit: defaultLimit, user: osUser()} // before root becomes another one
	cfg, err := sendmailConfig(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return t, nil
	case err != nil:
		return nil, err
	}
	t.cfg, t.dataDir, t.limit = cfg, cfg.Relay.DataDir, localLimit(cfg)
	t.spool, err = enterSpool(t.dataDir)
	return t, err
}

// take makes one message durable.
func (t *intake) take(ctx context.Context, inv *invocation, in *input) (id mail.ID, err error) {
	if t.spool {
		id, err = inv.post(ctx, t.cfg, t.user, in)
	} else {
		id, err = inv.drop(t.dataDir, t.limit, in)
	}
	if broken := in.failure(); err != nil && broken != nil {
		return id, broken
	}
	return id, forSendmail(err, t.limit)
}

// sendmailMessage takes the message on standard input.
func sendmailMessage(ctx context.Context, e *env, inv *invocation) error {
	if len(inv.request.Recipients) == 0 && !inv.fromHeader {
		return badUsage("no recipient: name one (mailbearer sendmail printer@example.com), or take them from the header with -t")
	}
	t, err := openIntake(inv.config)
	if err != nil {
		return err
	}
	id, err := t.take(ctx, inv, newInput(ctx, e.stdin, inv.ignoreDots))
	if err == nil && inv.verbose {
		fmt.Fprintln(e.stdout, "queued as "+id.String())
	}
	return err
}

// post puts the message into the spool.
func (i *invocation) post(ctx context.Context, cfg *config.Config, user string, in *input) (mail.ID, error) {
	sp, err := openSpool(ctx, cfg)
	if err != nil { // there is none, or it is of an older version
		sp, err = sqlite.Open(ctx, sqlite.Options{Dir: cfg.Relay.DataDir, MaxSize: cfg.Spool.MaxSize, Create: true})
	}
	if err != nil {
		return 0, err
	}
	defer sp.Close()
	now := time.Now()
	p := newPosting(ctx, cfg, i.request, user, mail.NewID(now), now)
	p.fromHeader = i.fromHeader
	err = p.put(sp, in)
	return p.env.ID, err
}

const (
	defaultLimit      = 35 << 20 // max_message_size's default
	defaultRecipients = 500      // max_recipients'
)

// localLimit is the size that sendmail takes: what any listener would.
func localLimit(cfg *config.Config) int64 {
	return slices.MaxFunc(cfg.Listeners, func(a, b config.Listener) int { return int(a.MaxMessageSize - b.MaxMessageSize) }).MaxMessageSize
}

// localRecipients is how many recipients sendmail takes.
func localRecipients(cfg *config.Config) int {
	return slices.MaxFunc(cfg.Listeners, func(a, b config.Listener) int { return a.MaxRecipients - b.MaxRecipients }).MaxRecipients
}
