package spool

import "errors"

// Errors that callers act on.
var (
	ErrNotFound = errors.New("no message with this id is in the spool")
	ErrFull     = errors.New("the spool has reached its max_size")
	ErrLocked   = errors.New("another mailbearer is running on this data directory")

	// ErrBusy: the message is being sent, or its client is being told of its refusal. Try again in a moment.
	ErrBusy = errors.New("the message is being sent at this moment")

	// ErrAlreadyReported: a report would be the second about the same thing.
	ErrAlreadyReported = errors.New("this was told already")

	// ErrNotDue: there is nothing to report: not yet, or, for a delay, no longer.
	ErrNotDue = errors.New("there is nothing to tell about the message as it stands")

	// ErrDiskFull: the disk (or the quota) of the data directory is used up, but for what it takes to send mail that
	// is queued. It passes once there is room again; nothing has to be restarted.
	ErrDiskFull = errors.New("the disk of the data directory is full")

	// ErrTextMissing: the text of a message that still needs it is not on the disk.
	ErrTextMissing = errors.New("its text is missing from the data directory")

	// ErrUnfit: a settlement that does not fit the message as it stands; it never will.
	ErrUnfit = errors.New("what became of the attempt does not fit the message as it stands")

	// ErrCorrupt: the database is damaged, or is not one. Nothing is deleted because of it.
	ErrCorrupt = errors.New("the spool's database is damaged")

	// ErrNetworkFS: the data directory is on a file system that other machines can write.
	ErrNetworkFS = errors.New("the data directory is on a network file system")
)
