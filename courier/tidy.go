package courier

import (
	"context"
	"fmt"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
)

const (
	tidyEvery = 10 * time.Minute
	// tidyBatch is small, since one writer serves everybody: mail that arrives must not wait for old history.
	tidyBatch = 200
)

// tidy removes history that is older than it is kept, a little at a time, and looks for mail that nobody carries, until
// ctx ends.
func (c *Courier) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		c.tidyOnce(ctx, c.opts.Clock())
		c.findStrays(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Courier) tidyOnce(ctx context.Context, now time.Time) {
	for n := tidyBatch; n == tidyBatch && ctx.Err() == nil; {
		var err error
		n, err = c.opts.Spool.Purge(ctx, now.Add(-c.opts.HistoryRetention), now.Add(-c.opts.FailedRetention), tidyBatch)
		if err != nil {
			if ctx.Err() == nil {
				c.opts.Log.Error().Err(err).Msg("old history cannot be removed from the spool; trying again in ten minutes")
			}
			return
		}
	}
}

// Stray is the trouble of mail whose account is not in the configuration.
func Stray(account string) *mail.Trouble {
	return &mail.Trouble{Kind: mail.Refused, Class: mail.ClassConfig, Cause: "no such account is in the configuration",
		Fix: fmt.Sprintf("Put the account %q back into the configuration and send SIGHUP, or drop its mail: mailbearer queue drop --account %s", account, account)}
}

// findStrays tells the operators of mail whose account has left the configuration: it waits, and no carrier will ever
// look at it.
func (c *Courier) findStrays(ctx context.Context) {
	counts, err := c.opts.Spool.Counts(ctx)
	if err != nil {
		return // seen in ten minutes
	}
	for account, n := range counts {
		if c.carriers[account] != nil || n.Queued() == 0 {
			continue
		}
		t := Stray(account)
		c.opts.Log.Error().Str("event", mail.EventHeld).Str("account", account).Int("queued", n.Queued()).Str("class", string(t.Class)).
			Str("cause", t.Cause).Str("fix", t.Fix).Msg("mail waits for an account that is gone")
		c.opts.Alert(report.Alert{Kind: report.AlertHeld, Account: account, Key: trouble(t), Fix: t.Fix,
			Title: fmt.Sprintf("%d messages wait for the account %s, which is not in the configuration any more", n.Queued(), account),
			Text:  "Nothing is lost, and nothing of it is sent.\n"})
	}
}
