// Package courier carries each message from the spool to an upstream until every recipient is settled.
//
// One carrier works for each account (carrier.go). A message's way through it:
//
//  1. the carrier asks the account's pace how many messages may be started, and claims as many: attempt and next
//     due time are on disk before the network is touched;
//  2. each claimed message is attempted in a goroutine of its own (attempt.go): handed to the Deliverer, then
//     settled per recipient by the table in outcome.go, then logged;
//  3. trouble that is the account's (nobody reaches the provider, sign-in needed, a switch is off) gives the message
//     back untouched and holds the account (condition.go): the others wait, and one probe at a time, a different
//     message each while there is one, finds out when it is over;
//  4. a message that meets trouble which others do not meet is judged on its own: no single message holds an account;
//  5. the account's state, with cause and fix, is written to the spool, from which status reads it.
//
// It never decides what a reply means (upstream does), never writes a report itself, and never gives a message up that
// the provider did not refuse, except when it is older than max_age, or when the spool has found that its text is gone.
// When it stops, attempts that have not sent their end of data are given back; the others are waited for.
package courier
