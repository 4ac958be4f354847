package courier

import (
	"strings"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

// reportAccepted logs that custody has passed to us, for mail that no listener of ours took and logged: what a command
// put into the spool, and what we write ourselves. It comes with the first claim, which there is once in a message's life.
func (k *carrier) reportAccepted(env *mail.Envelope) {
	if env.Client.Address != mail.LocalClient {
		return
	}
	line := k.log.Info().Str("event", mail.EventAccepted).Str("id", env.ID.String()).Str("client", env.Client.Address).
		Str("user", env.Client.User).Str("sender", env.Sender).Str("recipient", addresses(env.Recipients)).Int64("size", env.Size)
	if env.Kind != "" {
		line = line.Str("detail", string(env.Kind))
	}
	line.Send()
}

// reportSpoilt logs what a claim had to set aside, and wakes the teller.
func (k *carrier) reportSpoilt(spoilt []spool.Spoilt) {
	for _, x := range spoilt {
		var open []mail.Recipient
		for _, i := range x.Envelope.Unsettled() {
			open = append(open, x.Envelope.Recipients[i])
		}
		k.log.Error().Str("event", mail.EventFailed).Str("id", x.Envelope.ID.String()).Str("sender", x.Envelope.Sender).
			Str("recipient", addresses(open)).Int("attempt", x.Attempts).Str("class", string(mail.ClassPermanent)).
			Str("cause", x.Cause.Error()).Str("fix", x.Fix).Send()
	}
	if len(spoilt) > 0 {
		k.failed()
	}
}

func addresses(list []mail.Recipient) string {
	to := make([]string, len(list))
	for i, r := range list {
		to[i] = r.Address
	}
	return strings.Join(to, ", ")
}

// told is what a settlement that could not be written would have said, for the log to keep.
func told(s spool.Settlement) string {
	var words []string
	for _, e := range s.Events {
		words = append(words, e.Event+" "+e.Recipient+": "+e.Reply)
	}
	return strings.Join(words, "; ")
}

// report logs an outcome: one line for each row of the trace.
func (k *carrier) report(f finished, s spool.Settlement) {
	for _, e := range s.Events {
		level := zerolog.InfoLevel
		if e.Event != mail.EventDelivered {
			level = zerolog.WarnLevel
		}
		line := k.log.WithLevel(level).Str("event", e.Event).Str("id", s.ID.String()).
			Str("sender", f.claimed.Envelope.Sender).Str("recipient", e.Recipient).Int("attempt", e.Attempt).
			Str("connection", e.Connection).Str("reply", e.Reply).Int64("duration_ms", e.DurationMS)
		if e.Event != mail.EventDelivered {
			line = line.Str("class", string(e.Class)).Str("cause", e.Cause).Str("fix", e.Fix)
		}
		if e.Event == mail.EventDeferred {
			line = line.Time("next_attempt", f.claimed.Next)
		}
		if e.Detail != "" {
			line = line.Str("detail", e.Detail)
		}
		line.Send()
	}
}
