package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// The drop folder takes mail of users who may not open the spool. Everyone may put a file there and nobody may look
// into it (mode 3733); a file belongs to its user, and by the folder's setgid bit to the relay's group, which alone may
// read it. The relay takes files in as their owner's. It stands beside the data directory, because that is closed.
//
//	tmp.RANDOM   being written, by a sendmail
//	ID.drop      complete and synced: a request (one line of JSON), then the message
//	ID.bad       what the relay could not take, kept for the operator
const (
	dropSuffix = ".drop"
	badSuffix  = ".bad"
	tmpPrefix  = "tmp."
	dropMode   = 0o640 // of a file, when it is complete
	dropEvery  = time.Second
	dropPause  = 10 * time.Second // when the spool takes nothing
	tmpAge     = 24 * time.Hour   // after so long nobody is writing any more
	badAge     = 30 * 24 * time.Hour
)

// requestLimit bounds the first line of a dropped file.
const requestLimit = 1 << 20

func dropDir(dataDir string) string { return dataDir + "-drop" }

// droppedFile is a file of the drop folder that has been opened and found to be what it should be.
type droppedFile struct {
	id    mail.ID
	user  string    // the file's owner
	given time.Time // when it was handed over
	text  io.Reader
}

// putDrop puts a dropped file into the spool. An id that is there already is a file that was taken before a crash and
// not yet removed.
func putDrop(ctx context.Context, cfg *config.Config, sp spool.Spool, d droppedFile) (*mail.Envelope, error) {
	m, err := sp.Get(ctx, d.id)
	switch {
	case err == nil && m.Envelope.Client.Listener == localListener && m.Envelope.Client.User == d.user:
		return nil, nil
	case err == nil:
		return nil, exitWith(exData, "its id is that of another message")
	case !errors.Is(err, spool.ErrNotFound):
		return nil, err
	}
	in := bufio.NewReaderSize(d.text, requestLimit)
	r, err := readRequest(in)
	if err != nil {
		return nil, err
	}
	p := newPosting(ctx, cfg, r, d.user, d.id, d.given)
	return p.env, forSendmail(p.put(sp, in), localLimit(cfg))
}

// readRequest reads the first line of a dropped file. Its writer has checked everything in it, but anyone may have
// written it by hand.
func readRequest(in *bufio.Reader) (request, error) {
	var r request
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) {
		return r, exitWith(exData, "it does not begin with a request")
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(line, &r); err != nil || r.Version != 1 {
		return r, exitWith(exData, "it does not begin with a request of this version")
	}
	return r, r.check()
}

// check holds a request against the rules of the options that it was made of.
func (r *request) check() error {
	var i invocation
	err := i.addRecipients(r.Recipients)
	if err == nil && r.Sender != "" {
		err = i.setSender(r.Sender)
	}
	if err == nil && len(r.Notify) > 0 {
		err = i.setNotify(strings.Join(r.Notify, ","))
	}
	if err == nil && r.Return != "" {
		err = i.setReturn(r.Return)
	}
	if err == nil && r.EnvelopeID != "" && !isXtext(r.EnvelopeID) {
		err = exitWith(exData, "its envelope id is not one")
	}
	r.Recipients, r.Sender, r.Notify, r.Return = i.request.Recipients, i.request.Sender, i.request.Notify, i.request.Return
	return err
}

// isXtext says whether an ENVID may stand on the wire as it is (RFC 3461 §4).
func isXtext(s string) bool {
	return len(s) <= 300 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' })
}
