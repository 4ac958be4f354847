// Package report writes what is told about a message: delivery reports and alerts.
//
// A delivery report goes to the sender of one message:
//
//  1. Due says which recipients call for which report, if any (due.go);
//  2. Message writes it: a multipart/report of three parts (message.go);
//  3. the first is for people: what happened, the provider's own words, what they mean, what to do (words.go);
//  4. the second is for programs, RFC 3464 (status.go);
//  5. the third is the message it is about, or its header (original.go).
//
// An alert goes to the operators of this relay:
//
//  1. Raise takes it, and never makes anybody wait (alerts.go);
//  2. what repeats is collapsed, with its count, into fewer and fewer tellings until the trouble ends (collapse.go);
//  3. an e-mail is made (alertmail.go), at most so many an hour and then a digest (mailer.go);
//  4. a signed webhook is called, and called again while it does not answer (webhook.go).
//
// Whatever came from outside (a provider's reply, an address, a HELO, the message itself) passes through clean.go on
// its way into a header or a field, so that it can never become one of its own.
//
// It never decides whether mail failed (courier does) and never sends anything but the webhook: what it writes goes
// into the spool like all mail. It never reports on a report, and never to a stranger. What it returns depends on what
// it is given and on nothing else: id, time and host name come in with the message.
package report
