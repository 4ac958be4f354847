// Package spool keeps what was accepted safe across crashes: one interface, two engines, one contract test.
//
// The client owns a message until our 250; the spool owns it until every recipient is settled. In the order of a
// message's life:
//
//  1. NewBody takes the text while it arrives, in bounded memory;
//  2. Put makes envelope and text durable (it returns only after the disk has both), and may mark the message
//     watched, for a client that waits for the verdict;
//  3. Changed wakes the courier;
//  4. Claim gives the courier what is due, the attempt and the next due time already on disk, and names what it found
//     spoilt and made failed;
//  5. Open reads the text, from its beginning, as often as it is asked;
//  6. Settle writes what became of each recipient; Return gives a claim back as if it had not been made;
//  7. Wait tells the waiting client's session how it ended, or takes the mark off;
//  8. Untold and Late say what somebody still has to be told; Put of a report is what ends that;
//  9. an operator may Hold, Release, Retry and Drop; Purge forgets what has been settled for long enough.
//
// What it never does: decide what a reply means, talk to a network, or forget a message that nobody
// settled (but for an operator's Drop).
// relay and courier meet here and nowhere else. The engines are spool/sqlite and, later, spool/postgres;
// spool/spooltest holds the contract both must pass.
package spool
