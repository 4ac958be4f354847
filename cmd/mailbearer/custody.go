package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/rs/zerolog"
)

const (
	// shortageEvery is how often a log that goes on about the same shortage says so.
	shortageEvery = time.Minute
	// shortageOver is how long nothing was refused when a shortage is over: where there is little room, a short message
	// still finds some between two long ones.
	shortageOver = time.Minute
)

// shortage is the time in which mail cannot be kept safe, for want of room or because the disk fails, and is refused. A
// fleet of devices tries again and again meanwhile: the log says so once a minute, and the operators hear of beginning
// and end.
type shortage struct {
	log   zerolog.Logger
	raise func(report.Alert)

	mu      sync.Mutex
	cause   string    // "" while there is none
	refused int       // since it began
	last    time.Time // when mail was last refused
	logged  time.Time
}

// stored takes note of a message that was stored, or could not be. It is called for each.
func (s *shortage) stored(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch now := time.Now(); {
	case err != nil:
		s.met(err, now)
	case s.cause != "" && now.Sub(s.last) >= shortageOver:
		s.log.Info().Int("refused", s.refused).Msg("mail is kept safe again; what was refused meanwhile is sent again by its clients")
		s.raise(report.Alert{Kind: report.AlertWell, Key: "store mail", Title: "Mail is taken again"})
		s.cause, s.refused = "", 0
	}
}

func (s *shortage) met(err error, now time.Time) {
	cause, fix := whyNotStored(err)
	began := s.cause == ""
	s.refused, s.last = s.refused+1, now
	if s.cause == cause && now.Sub(s.logged) < shortageEvery {
		return
	}
	s.cause, s.logged = cause, now
	s.log.Error().Err(err).Int("refused", s.refused).Str("cause", cause).Str("fix", fix).Msg("mail is refused, since it cannot be kept safe")
	if began {
		s.raise(report.Alert{
			Kind: report.AlertSpool, Key: "store mail", Title: "Mail is refused: " + cause, Fix: fix,
			Text: fmt.Sprintf("Clients are told to try again later. Nothing that was accepted is lost.\n%v\n", err),
		})
	}
}

// whyNotStored says in plain words why mail cannot be kept, and what to do.
func whyNotStored(err error) (cause, fix string) {
	switch {
	case errors.Is(err, spool.ErrFull):
		return "the spool is full (max_size of [spool])",
			"See what is queued and why it does not leave: mailbearer status. Then raise max_size, or drop what nobody needs: mailbearer queue drop."
	case errors.Is(err, spool.ErrDiskFull):
		return "the disk of the data directory is full", "Make room on the disk that holds data_dir. Nothing has to be restarted."
	}
	return "the spool cannot be written", "Look at the disk that holds data_dir, and at the system's log."
}
