// Package relay takes a message from an old client and puts it in the spool before it says 250.
//
//  1. A listener accepts the connection, or answers 421 when there are too many (listener.go);
//  2. a conn, a thin layer between the socket and go-smtp, keeps the deadlines, drains on stop, and knows whether
//     the client is still there (conn.go);
//  3. go-smtp speaks the protocol and calls the session (session.go), which asks the policy of its listener and user
//     whether this client may send this (policy.go, auth.go);
//  4. the text streams through its checks and line-end repairs into the spool's body, with bounded memory, our
//     Received field in front (text.go, received.go);
//  5. Put makes it durable; only then is there a 250. With wait_for = "upstream" the reply waits for the first
//     attempt and carries the provider's verdict (verdict.go).
//
// What it never does: relay for a stranger, answer 250 before the disk has the message, keep a message in memory, or
// speak to an upstream. It meets the courier only in the spool.
package relay
