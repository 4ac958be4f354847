// Package sqlite is the spool on this machine's disk: one SQLite database, and a file for each long text.
//
// In the order of a message's life:
//
//  1. Open takes the data directory's lock, brings the schema up to date, gives back what a crash left claimed, and
//     removes files that no row speaks of (open.go, start.go, files.go);
//  2. a body collects the text, in memory up to spool.InlineLimit and in a file past it (body.go);
//  3. Put makes file, directory and row durable, in that order: the row is the commit point (put.go);
//  4. every write is a closure handed to one goroutine, which commits whatever waits in one transaction and then
//     answers all (writer.go);
//  5. Claim writes attempt and next due time and only then gives the message out; Return undoes it (claim.go);
//  6. Settle merges what became of each recipient, and decides what is left of the message (settle.go);
//  7. a watched message's first verdict wakes the session that waits for it (watch.go);
//  8. Put of a report marks the message that it is about, in the same transaction (tell.go);
//  9. operators hold, release, retry and drop, from any process (operator.go); Purge forgets (purge.go);
//  10. operators and the courier read over connections of their own, which never wait for the writer (read.go, list.go,
//     backup.go).
//
// When something is wrong:
//
//   - a full disk, or any write that fails: the caller is told, nothing of what was refused is left, and nothing has to
//     be restarted. New mail leaves some room, in which what is queued can still be sent (fault.go, put.go);
//   - a text that is missing, a record that cannot be read: that message becomes failed and is reported (spoilt.go);
//   - a damaged database: refused in words, set aside only if asked to, with its texts (corrupt.go);
//   - a clock that is set: due times and claims follow it, and no mail gets old by it (clock.go);
//   - a directory that is closed to us, read-only, or on a network file system: refused in words (fault.go, statfs*.go).
//
// All SQL is in sql.go and schema.go; what is kept as JSON inside a row is in record.go. The settings are measured, see
// Options and writerSettings. What is proved by whom: crash_test.go the logic, by kill -9; powercut.sh the syncs, on a
// disk that keeps only what was flushed; full_linux_test.go the room, on disks that are really full; million_test.go
// the figures with a million queued messages.
//
// What it never does: answer before the disk has it, delay a write in the hope of company, rename or rewrite a
// text, or keep anything in memory that a crash would have to bring back. A watch mark is the one thing that only
// memory knows, because the client it stands for dies with the process.
package sqlite
