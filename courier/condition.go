package courier

import (
	"time"

	"github.com/mailbearer/mailbearer/mail"
)

// condition is what an account is known to be in: well, or in trouble since a time, with the next probe due. It is
// touched by its carrier alone.
//
// No single message can hold an account. Whoever meets trouble is a suspect; when a probe with another message
// passes, each suspect gets a second chance, and one that meets trouble again is accused: another message is tried at
// once, and if that passes, the accused is judged by its own reply.
type condition struct {
	trouble *mail.Trouble // nil while the account is well
	since   time.Time     // when this trouble was first met
	probes  int           // failed so far in this trouble
	probeAt time.Time     // when the next one is due
	probed  mail.ID       // the message that the last one took
	told    bool          // the operators know of it

	suspects map[mail.ID]bool // who met trouble; true: and has had its second chance
	accused  *finished        // waits, still claimed, for what another message shows
}

// suspectLimit bounds the memory of suspects; one forgotten only costs another probe.
const suspectLimit = 1000

// met takes note of trouble that an attempt met. held says that the account was well before; accused, that the
// message had its second chance and is to be kept claimed.
func (c *condition) met(f finished, now time.Time, retry []time.Duration) (held, accused bool) {
	t, id := f.result.Trouble, f.claimed.Envelope.ID
	held = c.trouble == nil
	if held {
		c.since, c.probes, c.told = now, 0, false
	}
	accused = c.suspects[id] && c.accused == nil
	c.suspect(id)
	if !held && now.Before(c.probeAt) {
		return false, false // it was under way when the account became held: no new knowledge
	}
	c.trouble, c.probed = t, id
	c.probes++
	c.probeAt = now.Add(probeDelay(t, c.probes, now.Sub(c.since), retry))
	if accused {
		c.accused, c.probeAt = &f, now
	}
	return held, accused
}

func (c *condition) suspect(id mail.ID) {
	if c.suspects == nil {
		c.suspects = make(map[mail.ID]bool)
	}
	if len(c.suspects) < suspectLimit {
		c.suspects[id] = false
	}
}

// passed takes note of an attempt that the provider judged, and says whether that ended trouble. One that was under
// way before the trouble was met shows nothing.
func (c *condition) passed(f finished) (ended bool) {
	delete(c.suspects, f.claimed.Envelope.ID)
	if c.trouble == nil || f.started.Before(c.since) {
		return false
	}
	c.trouble = nil
	for id := range c.suspects {
		c.suspects[id] = true
	}
	return true
}

// tellAfter is how long an outage, or a provider that wants us slower, lasts before the operators are told. What needs
// a person is told at once.
const tellAfter = 5 * time.Minute

// tell says once in a trouble that it is time to tell the operators.
func (c *condition) tell(now time.Time) bool {
	if c.told || c.trouble.Kind != mail.Refused && now.Sub(c.since) < tellAfter {
		return false
	}
	c.told = true
	return true
}

// release hands out the accused, if there is one.
func (c *condition) release() *finished {
	f := c.accused
	c.accused = nil
	return f
}

// hurry makes the next probe due at once, unless the provider forbade it with Retry-After.
func (c *condition) hurry(now time.Time) {
	if c.trouble != nil && c.trouble.RetryAfter == 0 {
		c.probeAt = now
	}
}
