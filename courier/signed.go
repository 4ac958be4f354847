package courier

import (
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// signed is what a carrier knows of its token source. An account without mail has trouble too: who hears of it only when
// the nightly backup is refused hears of it a night late.
type signed struct {
	held bool // there is no token
	told bool // the operators know
}

// heed looks at the token source, which has changed. When it has just got well, a probe is due at once: mail need not
// wait for the next one.
func (k *carrier) heed() {
	if k.Sign == nil {
		return
	}
	k.expiryAt = time.Time{} // somebody may have signed in
	now := k.Sign()
	switch {
	case k.signed.held && now.State == mail.AccountReady:
		k.signed.held = false
		k.cond.hurry(time.Now())
		k.signedWell()
	case !k.signed.held && now.State == mail.AccountHeld && now.Trouble != nil:
		k.signed.held = true
		if k.cond.trouble != nil {
			return // mail has found out
		}
		t := now.Trouble
		k.log.Warn().Str("event", mail.EventHeld).Str("reply", t.Reply.String()).Str("class", string(t.Class)).Str("cause", t.Cause).Str("fix", t.Fix).
			Msg("there is no access token; mail would wait")
	}
}

// tellSigned tells the operators that there is no token, if it is time, and says how long it will not be. Trouble that
// mail has met is told as that.
func (k *carrier) tellSigned(now time.Time) time.Duration {
	if !k.signed.held || k.signed.told || k.cond.trouble != nil {
		return idle
	}
	s := k.Sign()
	if s.State != mail.AccountHeld || s.Trouble == nil {
		return idle
	}
	if wait := tellAfter - now.Sub(s.Since); s.Trouble.Kind != mail.Refused && wait > 0 {
		return wait
	}
	k.signed.told = true
	k.opts.Alert(heldAlert(k.Name, k.Mailbox, s.Trouble))
	return idle
}

// signedWell ends what tellSigned told, unless mail has met trouble meanwhile, which has an end of its own.
func (k *carrier) signedWell() {
	if k.cond.trouble != nil {
		k.cond.told = k.cond.told || k.signed.told
		k.signed.told = false
		return
	}
	k.log.Info().Msg("there is an access token again")
	if k.signed.told {
		k.signed.told = false
		k.opts.Alert(wellAlert(k.Name))
	}
}
