package sqlite

import "github.com/mailbearer/mailbearer/mail"

// The states of a row. They are numbers so that the partial indexes stay small.
const (
	stateWaiting   = 0
	stateClaimed   = 1
	stateHeld      = 2
	stateFailed    = 3
	stateDelivered = 4
)

// newSettings hold for the life of a database and only while it is empty: page_size must come before auto_vacuum
// touches the file, and both before WAL. On one that has a schema they would do nothing but write.
var newSettings = []string{"page_size = 8192", "auto_vacuum = 2"}

// writerSettings: synchronous is FULL because NORMAL lost acknowledged mail when the power was cut.
// fullfsync is for macOS, where an ordinary fsync does not reach the disk. mmap_size stays 0.
var writerSettings = []string{
	"journal_mode = WAL", "synchronous = FULL", "fullfsync = 1",
	"wal_autocheckpoint = 1000", "journal_size_limit = 67108864", "cache_size = -16384",
}

// What is still to be told about a message.
const (
	reportNone = 0
	reportDue  = 1
	reportDone = 2
)

// The writer's own statements.
const (
	sqlBegin       = `BEGIN IMMEDIATE`
	sqlCommit      = `COMMIT`
	sqlRollback    = `ROLLBACK`
	sqlDataVersion = `PRAGMA data_version`
	sqlUserVersion = `PRAGMA user_version`
	sqlFreePages   = `PRAGMA freelist_count`
	sqlVacuumSome  = `PRAGMA incremental_vacuum(2000)`
	sqlTruncateWAL = `PRAGMA wal_checkpoint(TRUNCATE)`
	sqlQuickCheck  = `PRAGMA quick_check(1)`
	sqlLedger      = `SELECT octets, clock FROM ledger`
	sqlSetLedger   = `UPDATE ledger SET octets = $1, clock = $2`
)

// sqlUsed adds up the texts that are still kept, from the four partial indexes alone.
const sqlUsed = `
SELECT (SELECT COALESCE(SUM(size), 0) FROM message WHERE state = 0)
     + (SELECT COALESCE(SUM(size), 0) FROM message WHERE state = 1)
     + (SELECT COALESCE(SUM(size), 0) FROM message WHERE state = 2)
     + (SELECT COALESCE(SUM(size), 0) FROM message WHERE state = 3)`

// What the owner does at start. Marks are cleared state by state because each state has an index; a delivered row
// has no mark.
const (
	sqlInterrupted = `SELECT id, account, attempts FROM message WHERE state = 1`
	sqlRelease     = `
UPDATE message SET state = 0,
	due = CASE WHEN attempts <= 1 THEN MIN(due_before, $1) ELSE due END
WHERE state = 1`
	sqlUnwatchWaiting = `UPDATE message SET watched = 0 WHERE state = 0 AND watched = 1`
	sqlUnwatchHeld    = `UPDATE message SET watched = 0 WHERE state = 2 AND watched = 1`
	sqlUnwatchFailed  = `UPDATE message SET watched = 0 WHERE state = 3 AND watched = 1`
	// A clock that was wrong when mail came in must not keep that mail for years.
	sqlClampDue = `UPDATE message SET due = $1 WHERE state = 0 AND attempts = 0 AND due > $1`
	sqlState    = `SELECT state FROM message WHERE id = $1`
)

// Put.
const (
	sqlPutMessage = `
INSERT INTO message (id, account, state, due, due_before, lease_until, attempts, size, received, settled, watched,
	sender, recipients, envelope, last_reply, since, report, warned)
VALUES ($1, $2, 0, $3, $3, 0, 0, $4, $5, 0, $6, $7, $8, $9, '', $3, $10, $11)`
	sqlPutBody = `INSERT INTO body (message, data) VALUES ($1, $2)`
)

// messageColumns are what row.scan reads, in its order.
const messageColumns = `id, account, state, due, lease_until, attempts, size, received, settled, watched, since, report, warned,
	sender, recipients, envelope, last_reply`

// Claim and Return. lease_until stays as it was when a claim ends: 0 says that nobody ever claimed the message. sqlDue
// takes from two ordered indexes, each no further than it must: what waits ($2 is the latest due time) and what was
// claimed so long ago ($3 is now) that the claim has lapsed.
const (
	sqlDue = `
SELECT ` + messageColumns + `, ripe FROM (
	SELECT * FROM (SELECT ` + messageColumns + `, due AS ripe FROM message
		WHERE state = 0 AND account = $1 AND due <= $2 ORDER BY due, id LIMIT $4) AS waiting
	UNION ALL
	SELECT * FROM (SELECT ` + messageColumns + `, lease_until AS ripe FROM message
		WHERE state = 1 AND account = $1 AND lease_until <= $3 ORDER BY lease_until, id LIMIT $4) AS lapsed
) AS due ORDER BY ripe, id LIMIT $4`
	sqlClaim = `
UPDATE message SET state = 1, attempts = attempts + 1, due = $2, due_before = $3, lease_until = $4 WHERE id = $1`
	sqlReturn = `
UPDATE message SET state = 0, attempts = attempts - 1, due = due_before WHERE id = $1 AND state = 1`
	sqlSpoilt = `
UPDATE message SET state = 3, watched = 0, settled = $2, last_reply = $3, report = $4, recipients = $5
WHERE id = $1`
	sqlHasBody = `SELECT COUNT(*) FROM body WHERE message = $1`
)

// Settle, Forget and the watch marks. sqlEndWait leaves the mark of a message that was wholly refused just before:
// only such a message is failed and watched.
const (
	sqlGet    = `SELECT ` + messageColumns + ` FROM message WHERE id = $1`
	sqlSettle = `
UPDATE message SET state = $2, due = $3, settled = $4, watched = $5, recipients = $6, last_reply = $7,
	report = $8
WHERE id = $1`
	sqlAddEvent = `
INSERT INTO trace (message, seq, time, event)
VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM trace WHERE message = $1), $2, $3)`
	sqlDropBody    = `DELETE FROM body WHERE message = $1`
	sqlDropTrace   = `DELETE FROM trace WHERE message = $1`
	sqlDropMessage = `DELETE FROM message WHERE id = $1`
	sqlEndWait     = `UPDATE message SET watched = 0 WHERE id = $1 AND watched = 1 AND state <> 3`
	sqlUnwatch     = `UPDATE message SET watched = 0 WHERE id = $1`
)

// What operators do.
const (
	sqlHold    = `UPDATE message SET state = 2, watched = 0 WHERE id = $1`
	sqlRequeue = `
UPDATE message SET state = 0, due = $2, since = $3, settled = 0, report = $4, recipients = $5 WHERE id = $1`
)

// What is to be told.
const (
	sqlUntold    = `SELECT ` + messageColumns + ` FROM message WHERE report = 1 AND state BETWEEN 0 AND 4 AND watched = 0 ORDER BY id LIMIT $1`
	sqlLate      = `SELECT ` + messageColumns + ` FROM message WHERE state = 0 AND warned = 0 AND received < $1 ORDER BY received, id LIMIT $2`
	sqlSetTold   = `UPDATE message SET report = $2, recipients = $3 WHERE id = $1`
	sqlSetWarned = `UPDATE message SET warned = 1 WHERE id = $1`
)

// Purge.
const (
	sqlOldDelivered = `SELECT id, 0 FROM message WHERE state = 4 AND settled < $1 ORDER BY settled LIMIT $2`
	sqlOldFailed    = `
SELECT id, size FROM message WHERE state = 3 AND settled < $1 AND report <> 1 AND watched = 0 ORDER BY settled LIMIT $2`
	sqlOldHolds    = `SELECT COUNT(*) FROM hold WHERE until > 0 AND until < $1`
	sqlOldestSince = `SELECT MIN(CASE WHEN since > 0 THEN since ELSE received END) FROM message WHERE state = 0 OR state = 1 OR state = 2`
	sqlDropHolds   = `DELETE FROM hold WHERE until > 0 AND until < $1`
)

// Accounts that are held.
const (
	sqlIsHeld    = `SELECT COUNT(*) FROM hold WHERE account = $1 AND until = 0`
	sqlBeginHold = `INSERT INTO hold (account, since, until) VALUES ($1, $2, 0)`
	sqlEndHold   = `UPDATE hold SET until = MAX(since, $2) WHERE account = $1 AND until = 0`
	sqlClient    = `SELECT record FROM client WHERE key = $1`
	sqlSaw       = `INSERT INTO client (key, last, record, served) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE SET last = excluded.last, record = excluded.record, served = excluded.served`
	sqlForgetOld = `DELETE FROM client WHERE key IN (SELECT key FROM client ORDER BY served DESC, last DESC LIMIT -1 OFFSET $1)`
	sqlClients   = `SELECT record FROM client ORDER BY last DESC`
	sqlAskProbe  = `INSERT INTO probe (account, asked) VALUES ($1, 1) ON CONFLICT (account) DO UPDATE SET asked = probe.asked + 1`
	sqlProbes    = `SELECT account, asked FROM probe`
	sqlHolds     = `SELECT since, until FROM hold WHERE account IN ($1, '') AND (until = 0 OR until > $2) ORDER BY since`
)

// When the clock was set back by $2 to $1, what lies ahead moves with it, and nothing that was lies ahead. When it was
// set forward by $1, only claims move: mail may be tried too early, but an attempt under way must not be made twice; and
// the time that was leapt over is kept as one in which every account was held, under the empty name. That is one row,
// where moving every time of every message would keep new mail waiting.
var (
	sqlMoveBack = []string{
		`UPDATE message SET due = MAX($1, due - $2) WHERE state = 0 AND due > $1`,
		`UPDATE message SET due = MAX($1, due - $2), lease_until = MAX($1, lease_until - $2) WHERE state = 1`,
	}
	sqlClampPast = []string{
		`UPDATE message SET since = $1 WHERE state <= 2 AND (since > $1 OR since = 0 AND received > $1)`,
		`UPDATE message SET settled = $1 WHERE state = 3 AND settled > $1`,
		`UPDATE message SET settled = $1 WHERE state = 4 AND settled > $1`,
		`UPDATE hold SET since = MIN(since, $1), until = MIN(until, $1)`,
	}
)

const (
	sqlClockAhead = `UPDATE message SET lease_until = lease_until + $1 WHERE state = 1`
	sqlLeapt      = `INSERT INTO hold (account, since, until) VALUES ('', $1, $2)`
	sqlAllLeapt   = `SELECT COALESCE(SUM(until - since), 0) FROM hold WHERE account = ''`
)

// sqlBackupGone writes into a copy what became of a message while the copy was made.
const (
	sqlCopyTo     = `VACUUM INTO $1`
	sqlLongTexts  = `SELECT id FROM message WHERE state <> 4 AND id NOT IN (SELECT message FROM body) AND id > $1 ORDER BY id LIMIT 1000`
	sqlBackupGone = `UPDATE message SET state = 4, watched = 0, report = 2, settled = $2 WHERE id = $1`
)

// What readers ask.
const (
	sqlBody    = `SELECT data FROM body WHERE message = $1`
	sqlTrace   = `SELECT event FROM trace WHERE message = $1 ORDER BY seq`
	sqlNextDue = `
SELECT MIN(at) FROM (
	SELECT MIN(due) AS at FROM message WHERE state = 0 AND account = $1
	UNION ALL
	SELECT MIN(lease_until) FROM message WHERE state = 1 AND account = $1
) AS next`
	sqlCounts = `
SELECT account, 0, SUM(CASE WHEN attempts > 0 AND due > $1 THEN 0 ELSE 1 END), COUNT(*) FROM message WHERE state = 0 GROUP BY account
UNION ALL SELECT account, 1, COUNT(*), COUNT(*) FROM message WHERE state = 1 GROUP BY account
UNION ALL SELECT account, 2, 0, COUNT(*) FROM message WHERE state = 2 GROUP BY account
UNION ALL SELECT account, 3, 0, COUNT(*) FROM message WHERE state = 3 GROUP BY account`
	sqlAccounts   = `SELECT name, record FROM account`
	sqlSetAccount = `
INSERT INTO account (name, state, record) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, record = excluded.record`
)

// A listing of a short queue takes the ids of each state that is asked for, joined by UNION ALL, so that each finds its
// own index, and then the rows in the order of their ids. A listing of a long queue, or of the history, walks the
// table itself from where the last page ended: nothing has to be sorted or kept. $1 is the account or ”, $2 received
// before, $3 after which id, $4 now where listStates needs it.
const (
	sqlListHead   = `SELECT ` + messageColumns + ` FROM message WHERE ($1 = '' OR account = $1) AND received < $2 AND id > $3 AND `
	sqlListBranch = `SELECT id FROM message WHERE id > $3 AND ($1 = '' OR account = $1) AND `
	sqlListTail   = ` ORDER BY id`
	sqlCountHead  = `(SELECT COUNT(*) FROM (SELECT 1 FROM message WHERE `
	sqlCountTail  = ` LIMIT $1))`
)

const listDelivered = "state = 4"

// listStates are the conditions for the states of spool.Filter. The zero value lists all that is not delivered.
var listStates = map[mail.State][]string{
	"":                  {"state = 0", "state = 1", "state = 2", "state = 3"},
	mail.StateReady:     {"state = 0 AND (attempts = 0 OR due <= $4)", "state = 1"},
	mail.StateDeferred:  {"state = 0 AND attempts > 0 AND due > $4"},
	mail.StateHeld:      {"state = 2"},
	mail.StateFailed:    {"state = 3"},
	mail.StateDelivered: {listDelivered},
}
