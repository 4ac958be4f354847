package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// textMissing says whether a message's text is neither in the database nor in its file.
func (s *Spool) textMissing(t *tx, r *row) (bool, error) {
	var inline int
	if err := t.queryRow([]any{&inline}, sqlHasBody, r.id); err != nil || inline > 0 {
		return false, err
	}
	_, err := os.Stat(bodyPath(s.opt.Dir, mail.ID(r.id)))
	return errors.Is(err, fs.ErrNotExist), nil // any other trouble may pass, and Open will say what it is
}

// setAside makes a message failed that cannot be sent. Who waits for it waits no longer, and it is reported like any
// other failure; of a record that cannot be read there is no more to tell than the trace says.
func (s *Spool) setAside(t *tx, r *row, now time.Time, why error) error {
	recipients := r.recipients
	if list, err := decodeRecipients(recipients); err == nil {
		for i := range list {
			if !list[i].State.Settled() {
				list[i].State, list[i].Reply = mail.Failed, words(why.Error())
			}
		}
		if recipients, err = encode(list); err != nil {
			return err
		}
	}
	report := reportDue
	if r.report == reportDone {
		report = reportDone
	}
	if _, err := t.exec(sqlSpoilt, r.id, millis(now), words(why.Error()), report, recipients); err != nil {
		return err
	}
	t.after(func() { s.watch.end(mail.ID(r.id)); s.signal() })
	return t.addEvent(mail.ID(r.id), mail.Event{Time: now, Event: mail.EventFailed, Cause: words(why.Error())})
}

// withoutText turns a settlement that would have a message tried again into a failure, if its text is gone.
func (s *Spool) withoutText(t *tx, r *row, v verdict, st spool.Settlement) (verdict, spool.Settlement, error) {
	missing, err := s.textMissing(t, r)
	if err != nil || !missing {
		return v, st, err
	}
	list, err := decodeRecipients(v.recipients)
	if err != nil {
		return v, st, err
	}
	why := spool.ErrTextMissing.Error()
	outcomes := map[int]mail.Outcome{}
	for i, x := range list {
		if !x.State.Settled() {
			outcomes[i] = mail.Outcome{State: mail.Failed, Reply: mail.Reply{Text: why}, Class: mail.ClassPermanent, Cause: why}
		}
	}
	v, err = judge(list, outcomes)
	st.Events = append(st.Events[:len(st.Events):len(st.Events)],
		mail.Event{Event: mail.EventFailed, Class: mail.ClassPermanent, Cause: why})
	return v, st, err
}
