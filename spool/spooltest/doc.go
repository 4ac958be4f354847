// Package spooltest is the contract of spool.Spool as tests, for every engine alike.
//
//  1. Run goes through the sentences of the interface one by one, on a fresh spool each (put.go, claim.go,
//     settle.go, watch.go, read.go, operate.go, tell.go, keep.go);
//  2. its last test lets rapid play random sequences against a model in memory, and compares all there is to see
//     after each step (model*.go, play*.go).
//
// It knows no engine: no file, no SQL, no restart. What an engine does on its own disk, and what it does after a
// crash, that engine tests. It never sleeps; time is what the calls are told.
package spooltest
