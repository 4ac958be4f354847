package courier

import (
	"context"
	"time"
)

const (
	tidyEvery = 10 * time.Minute
	// tidyBatch is small, since one writer serves everybody: mail that arrives must not wait for old history.
	tidyBatch = 200
)

// tidy removes history that is older than it is kept, a little at a time, until ctx ends.
func (c *Courier) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		c.tidyOnce(ctx, time.Now())
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
