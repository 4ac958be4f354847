package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	lib "modernc.org/sqlite/lib"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// rowOctets is about what a message takes beside its text, for the size of a batch.
const rowOctets = 1 << 10

// Put implements spool.Spool. A message is due from when it was received, so that new mail and retries take turns
// in the order of their times; a time of receipt that lies in the future counts as now.
func (s *Spool) Put(ctx context.Context, env *mail.Envelope, text spool.Body, watch bool) error {
	b, ok := text.(*body)
	if !ok || b.s != s {
		text.Discard()
		return fmt.Errorf("put %s: the text was begun in another spool", env.ID)
	}
	if err := s.put(ctx, env, b, watch && s.opt.Owner); err != nil {
		return fmt.Errorf("put %s: %w", env.ID, err)
	}
	return nil
}

func (s *Spool) put(ctx context.Context, env *mail.Envelope, b *body, watch bool) error {
	if b.err != nil {
		return b.err
	}
	recipients, rest, err := encodeEnvelope(env)
	if err == nil && b.id != env.ID {
		err = fmt.Errorf("the text was begun for message %s", b.id)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = b.harden()
	}
	if err != nil {
		b.give(errBodyUsed)
		return s.plain(err)
	}
	account := env.Account
	err = s.write(ctx, len(b.text)+rowOctets, func(t *tx) error {
		if err := s.fits(t, env, b); err != nil {
			return refusal{err}
		}
		if err := t.markAbout(env); err != nil {
			return err
		}
		if err := t.insert(env, b, watch, recipients, rest); err != nil {
			return err
		}
		t.used += b.size
		t.growth += int64(len(b.text)) + rowOctets
		t.after(func() {
			if watch {
				s.watch.add(env.ID, account)
			}
			s.signal()
		})
		return nil
	})
	s.settleFile(b, err)
	return err
}

// fits says whether there is room for a message. An alert is let in where others are not, since it says that there is
// none; alerts are short and few. max_size does not keep reports out either: a spool full of failed mail that nobody has
// been told of could never be cleared.
func (s *Spool) fits(t *tx, env *mail.Envelope, b *body) error {
	if env.Kind == mail.KindAlert {
		return nil
	}
	if env.Kind == "" && s.opt.MaxSize > 0 && t.used+b.size > s.opt.MaxSize {
		return spool.ErrFull
	}
	return s.room(t.growth + int64(len(b.text)))
}

// insert writes the two rows of a message, or the one of a message whose text has a file.
func (t *tx) insert(env *mail.Envelope, b *body, watch bool, recipients, rest string) error {
	now := b.s.opt.Clock()
	received := env.Received
	if received.IsZero() {
		received = now
	}
	due := received
	if due.After(now) {
		due = now
	}
	report, warned := marksOf(env)
	_, err := t.exec(sqlPutMessage, int64(env.ID), env.Account, millis(due), b.size, millis(received), watch,
		env.Sender, recipients, rest, report, warned)
	if err == nil && b.file == nil {
		_, err = t.exec(sqlPutBody, int64(env.ID), b.inline())
	}
	return err
}

// inline is the text as a row; never nil, which would be NULL.
func (b *body) inline() []byte {
	if b.text == nil {
		return []byte{}
	}
	return b.text
}

// settleFile ends the body after Put. When a commit failed, a crash in the next moment could still bring the row
// back; its file is kept until another commit has made sure that it will not. A full disk is not such a case: SQLite
// says so only when it could not write the frame that makes the commit, and the room is needed.
func (s *Spool) settleFile(b *body, err error) {
	var doubt commitError
	switch {
	case err == nil:
		b.end(errBodyUsed)
	case errors.As(err, &doubt) && b.file != nil && sqliteCode(err) != lib.SQLITE_FULL:
		b.end(errBodyUsed)
		s.mu.Lock()
		s.doubtful = append(s.doubtful, b.id)
		s.mu.Unlock()
	default:
		b.give(errBodyUsed)
	}
}

func (s *Spool) removeDoubtful() {
	s.mu.Lock()
	ids := s.doubtful
	s.doubtful = nil
	s.mu.Unlock()
	for _, id := range ids {
		_ = os.Remove(bodyPath(s.opt.Dir, id))
	}
}
