package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// textMissing says whether a message's text is neither in the database nor in its file. If not even the directory of the
// file is there, it is not this text that is missing: the disk that holds them all is not mounted, and may be again.
func (s *Spool) textMissing(t *tx, r *row) (bool, error) {
	var inline int
	if err := t.queryRow([]any{&inline}, sqlHasBody, r.id); err != nil || inline > 0 {
		return false, err
	}
	path := bodyPath(s.opt.Dir, mail.ID(r.id))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // any other trouble may pass, and Open will say what it is
	}
	_, err := os.Stat(filepath.Dir(path))
	return err == nil, nil
}

// unsendable says why a message cannot be sent, if it cannot, and returns its envelope as full as it can be read.
func (s *Spool) unsendable(t *tx, r *row) (env mail.Envelope, why, err error) {
	env, why = decodeEnvelope(r)
	if why != nil {
		return env, why, nil
	}
	missing, err := s.textMissing(t, r)
	if missing {
		why = spool.ErrTextMissing
	}
	return env, why, err
}

// mend says what can be done for a message that cannot be sent. Open looks for every text in its file too, so that is
// where one is put back, whether it was short or long.
func (s *Spool) mend(id mail.ID, why error) string {
	if !errors.Is(why, spool.ErrTextMissing) {
		return fmt.Sprintf("Drop it (mailbearer queue drop %s) and have it sent again; a backup of the data directory may still have it.", id)
	}
	file := filepath.ToSlash(bodyPath(s.opt.Dir, id))
	return fmt.Sprintf("Put its text back as %s, from a backup, then run mailbearer queue retry %s; "+
		"or drop it (mailbearer queue drop %s) and have it sent again.", file, id, id)
}

// setAside makes a message failed that cannot be sent. Who waits for it waits no longer, and it is reported like any
// other failure; of a record that cannot be read there is no more to tell than the trace says. The recipients lose the
// provider's last words, which are in the trace: those were not what they failed for.
func (s *Spool) setAside(t *tx, r *row, now time.Time, x spool.Spoilt) error {
	recipients, report, cause := r.recipients, reportDue, words(x.Cause.Error())
	if list, err := decodeRecipients(recipients); err == nil {
		for i := range list {
			if !list[i].State.Settled() {
				list[i].State, list[i].Reply = mail.Failed, ""
			}
		}
		if recipients, err = encode(list); err != nil {
			return err
		}
		report = r.toTell(list)
	}
	if _, err := t.exec(sqlSpoilt, r.id, millis(now), cause, report, recipients); err != nil {
		return err
	}
	t.after(func() { s.watch.end(mail.ID(r.id)); s.signal() })
	return t.addEvent(mail.ID(r.id), mail.Event{Time: now, Event: mail.EventFailed, Class: mail.ClassPermanent, Cause: cause, Fix: x.Fix})
}
