package courier

import (
	"context"
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// publishEvery bounds how often mere progress (the last delivery) is written for status to read.
const publishEvery = time.Second

// expiresEvery is how often it is looked whether the credential is another one, which nobody tells.
const expiresEvery = time.Minute

// recall takes over what status showed of the account before we began: a restart has not made mail undelivered.
func (k *carrier) recall(ctx context.Context) {
	accounts, err := k.opts.Spool.Accounts(ctx)
	if err != nil {
		return // it is shown as unknown until the next delivery
	}
	a := accounts[k.Name]
	k.delivered, k.lastError, k.erredAt = a.LastDelivered, a.LastError, a.LastErrorAt
}

// publish writes the account's state to the spool when it has changed, and says when to be called again.
func (k *carrier) publish(ctx context.Context) time.Duration {
	now := k.state()
	if now == k.published {
		return k.publishNext()
	}
	quiet := now
	quiet.LastDelivered, quiet.LastError, quiet.LastErrorAt = k.published.LastDelivered, k.published.LastError, k.published.LastErrorAt
	if since := time.Since(k.publishedAt); quiet == k.published && since < publishEvery && ctx.Err() == nil {
		return publishEvery - since
	}
	if err := k.opts.Spool.SetAccount(context.WithoutCancel(ctx), now); err != nil {
		k.log.Error().Err(err).Msg("cannot write the account's state to the spool")
		return publishEvery
	}
	k.published, k.publishedAt = now, time.Now()
	return k.publishNext()
}

func (k *carrier) publishNext() time.Duration {
	if k.Expires != nil {
		return expiresEvery
	}
	return idle
}

// expiry is when the account's credential ends, as it was known a minute ago at the earliest: to find out may touch the disk,
// and this is asked at each message.
func (k *carrier) expiry(now time.Time) time.Time {
	if k.Expires != nil && (k.expiryAt.IsZero() || now.Sub(k.expiryAt) >= expiresEvery) {
		k.expires, k.expiryAt = k.Expires(), now
	}
	return k.expires
}

// state puts together what is known of the account. Trouble that mail met says more than the token source's own.
func (k *carrier) state() mail.Account {
	a := mail.Account{
		Name: k.Name, Mailbox: k.Mailbox, State: mail.AccountReady,
		LastDelivered: k.delivered, LastError: k.lastError, LastErrorAt: k.erredAt,
	}
	a.CredentialExpires = k.expiry(time.Now())
	if k.Sign != nil {
		s := k.Sign()
		a.State, a.Since, a.TokenExpires = s.State, s.Since, s.Expires
		if s.Trouble != nil {
			a.Reason, a.Fix = s.Trouble.Error(), s.Trouble.Fix
		}
	}
	if t := k.cond.trouble; t != nil {
		a.State, a.Reason, a.Fix, a.Since = mail.AccountHeld, t.Error(), t.Fix, k.cond.since
	}
	return a
}
