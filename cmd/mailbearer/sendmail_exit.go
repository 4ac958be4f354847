package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/spool"
)

// Exit codes of sendmail, which every caller of it knows (sysexits.h). Where nothing better is known it is 75: a
// caller that keeps its message tries again, and none takes that for good.
const (
	exUsage     = 64 // the command line is wrong
	exData      = 65 // the message is
	exNoInput   = 66 // standard input cannot be read
	exNoUser    = 67 // a recipient is no address
	exCantCreat = 73 // the data directory cannot be made
	exIOErr     = 74 // standard input broke off
	exTempFail  = 75 // spool full, disk full, locked, interrupted
	exNoPerm    = 77 // this user may not
	exConfig    = 78 // the configuration is wrong, or there is none
)

// sysexit is an error of sendmail and the code that the process ends with.
type sysexit struct {
	code int
	error
}

func (s sysexit) Unwrap() error { return s.error }

func exitWith(code int, format string, args ...any) error {
	return sysexit{code, fmt.Errorf(format, args...)}
}

// forSendmail gives an error of taking a message in its exit code. The texts say what becomes of the message: it was
// not taken.
func forSendmail(err error, limit int64) error {
	var done sysexit
	var path *fs.PathError
	switch {
	case err == nil || errors.As(err, &done):
		return err
	case errors.Is(err, relay.ErrTooBig):
		return exitWith(exData, "the message is larger than %d octets (the largest max_message_size of the listeners): send less, or raise it", limit)
	case errors.Is(err, relay.ErrHeaderTooLong), errors.Is(err, relay.ErrLoop), errors.Is(err, relay.ErrControls):
		return exitWith(exData, "%w", err)
	case errors.Is(err, spool.ErrFull):
		return exitWith(exTempFail, "%w (max_size of [spool]): the message was not taken; try again when some mail is delivered or dropped", err)
	case errors.Is(err, context.Canceled):
		return exitWith(exTempFail, "interrupted: the message was not taken")
	case errors.Is(err, os.ErrPermission):
		return exitWith(exNoPerm, "%w: the message was not taken; the spool belongs to the user whom the relay runs as", err)
	case errors.As(err, &path) && path.Op == "mkdir":
		return exitWith(exCantCreat, "the data directory cannot be made: %w", err)
	}
	return exitWith(exTempFail, "%w: the message was not taken; try again later", err)
}

// isPermanent says whether a message will never be taken, however often it is tried.
func isPermanent(err error) bool {
	var s sysexit
	return errors.As(err, &s) && (s.code == exUsage || s.code == exData || s.code == exNoUser)
}
