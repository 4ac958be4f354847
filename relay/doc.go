// Package relay takes a message from an old client and puts it in the spool before it says 250.
//
//  1. A listener (sockets.go) accepts the connection, or answers 421 when there are too many (listener.go);
//  2. a conn, a layer between the socket and go-smtp, owns TLS and the deadlines, hands the library one command at a
//     time in a form that it understands, whatever the device's dialect, and reads the texts itself; conn.go says
//     which file does what;
//  3. go-smtp speaks the protocol and calls the session (session.go), which asks the policy of its listener and user
//     whether this client may send this (policy.go), and who it is (auth.go, mechanisms.go, users.go; throttle.go makes
//     guessing slow);
//  4. names without a domain are completed, the account is chosen, and a sender that its provider would refuse becomes
//     its mailbox (envelope.go);
//  5. the text streams through its checks and line-end repairs into the spool's body, with bounded memory, our
//     Received field in front (text.go, received.go); its header section is mended where it must be (mend.go, author.go,
//     repair.go, eight_bit.go). Meanwhile its parts are looked at (parts.go): if one has lines that no provider takes, the
//     text is written once more with that part encoded (long_lines.go, rewrite.go), and nothing else changed. What
//     sendmail hands over comes the same way (post.go);
//  6. Put makes it durable; only then is there a 250. With wait_for = "upstream" the reply waits for the first
//     attempt and carries the provider's verdict (verdict.go);
//  7. when the connection ends, the inventory is told who it was (visit.go).
//
// The layer holds a conversation in lock-step: the library asks for its next line when it has replied to the last, so
// the reply's code says what the client's next octets are (a command, a line of an AUTH exchange, a text) and no parser
// of ours and the library's can ever disagree about it. Texts go past the library, whose reader of them is slow and
// knows CR CR LF not; what ends one is decided in body.go alone. For a client that speaks as RFC 5321 has it the layer
// changes nothing but EHLO's lines and the words of replies (TestLayerChangesNothing, replies.go).
//
// What it never does: relay for a stranger, answer 250 before the disk has the message, keep a message in memory, or
// speak to an upstream. It meets the courier only in the spool.
package relay
