// Package mail holds the nouns everyone uses: envelope, id, reply, outcome, account state.
//
// It imports no other room, so that every other room may import it. It knows no disk, no network and no
// configuration; what it holds are values, and the few pure rules that go with them:
//
//  1. an ID is made once, in time order, and never used again (id.go);
//  2. an Envelope says who sends what to whom; the message itself is never in it (envelope.go);
//  3. a Reply keeps a server's words verbatim, a Class says what kind of trouble they are (reply.go);
//  4. an Outcome is what became of one recipient, a Result what became of one attempt (outcome.go);
//  5. an Event is one row of a message's trace (event.go);
//  6. an Account is the state of one upstream mailbox, as status shows it (account.go).
package mail
