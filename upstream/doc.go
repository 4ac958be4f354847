// Package upstream hands one message to one provider and reports exactly what it said.
//
// By SMTP (NewSMTP), in the order it happens:
//
//  1. Deliver waits for one of the mailbox's places and takes the connection that was used last, or makes a new one
//     (smtp.go, pool.go);
//  2. a new one is greeted, encrypted and verified before a byte of AUTH, then signed in with an access token; a token
//     that is refused is renewed once, on another connection (connect.go, signin.go);
//  3. addresses are written as the wire wants them, or refused here (address.go, envelope.go); MAIL, RCPT and a small
//     body leave in one flight where the server allows it, so that a warm message costs one round trip
//     (transaction.go, body.go);
//  4. every reply is read within bounds of size and time (conn.go, reply.go, capabilities.go);
//  5. what was said becomes one outcome for each recipient, or the trouble of the account, by one table
//     (outcome.go, conclude.go);
//  6. the connection waits for the next message, watched, and says QUIT when none comes (pool.go).
//
// A Governor keeps a mailbox within its provider's limits (governor.go).
//
// What it never does: commit a body that is not whole, send AUTH in the clear or before the certificate is verified,
// report a failure of QUIT, try a message again once its end may have been taken (one case, marked in doubt, apart:
// see SMTP.Deliver), log, or let a token into a result.
package upstream
