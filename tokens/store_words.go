package tokens

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
)

// unwritable explains why a sign-in is in memory only.
func (s *Store) unwritable(err error) *diagnose.Problem {
	return &diagnose.Problem{
		Class: diagnose.ClassConfig,
		Cause: "The sign-in cannot be stored; if the relay is restarted now, someone has to sign in again",
		Said:  clean(err.Error()),
		Fix: fmt.Sprintf("1. The relay's user must be allowed to write in %s and to the files tokens and key in it. 2. The disk must have room. "+
			"3. Nothing else: mail goes on, and it is tried again within a minute.", s.dir),
	}
}

// unstorable is unwritable for a command, which has no memory to go on from.
func (s *Store) unstorable(err error) *diagnose.Problem {
	p := &diagnose.Problem{
		Class: diagnose.ClassConfig, Cause: "The sign-in cannot be stored", Said: clean(err.Error()),
		Fix: fmt.Sprintf("1. Run this as the relay's user, or as root. 2. That user must be allowed to write in %s and to the files tokens and key in it "+
			"(tokens.store, relay.data_dir). 3. The disk must have room, and must not be read-only.", s.dir),
	}
	if errors.Is(err, errNewer) {
		p.Fix = fixNewer
	}
	return p
}

const fixNewer = "1. Install the newer version of mailbearer again; this one leaves the file alone."

// unreadableNow is unreadable for a relay whose memory still has the sign-ins, and whose they are. The caller holds s.mu.
func (s *Store) unreadableNow(err error) *diagnose.Problem {
	accounts := slices.Sorted(maps.Keys(s.known))
	p := unreadable(err, accounts[0], s.dir)
	p.Cause = "The stored sign-ins cannot be read; mail goes on from memory"
	if more := accounts[1:]; len(more) > 0 && !errors.Is(err, errNewer) {
		p.Fix += " The same goes for the accounts " + strings.Join(more, ", ") + "."
	}
	return p
}

// unreadable explains a store whose sign-in of an account cannot be had.
func unreadable(err error, account, dir string) *diagnose.Problem {
	p := signInNeeded("The stored sign-in cannot be read", account)
	p.Said = clean(err.Error())
	remedy := "2. The unreadable file is kept beside the new one as tokens.unreadable-…"
	switch {
	case errors.Is(err, errNewer):
		p.Class, p.Fix = diagnose.ClassConfig, fixNewer
		return p
	case errors.Is(err, errOtherKey), errors.Is(err, errKeyGone):
		remedy = "2. Or bring the key back that it was encrypted with (tokens.key; by default the file key in the data directory). The relay then goes on by itself."
	case errors.Is(err, fs.ErrPermission):
		remedy = "2. Or let the relay's user read the files tokens and key in " + dir + "; the relay then goes on by itself."
	}
	p.Fix += " " + remedy
	return p
}
