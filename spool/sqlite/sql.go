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

// migrations bring a database from user_version i to i+1, each in one transaction. They are only ever added to.
var migrations = []string{schema1}

// schema1 holds the queue and the history in one table, so that a settled message keeps its place and its trace.
// Times are milliseconds since 1970, 0 for none. Every state but delivered has a partial index that also covers
// what is counted (attempts, size): the queue is read without touching the history, however long that is, and a
// delivered row costs no index entry at all.
const schema1 = `
CREATE TABLE message (
	id          INTEGER PRIMARY KEY,
	account     TEXT    NOT NULL,
	state       INTEGER NOT NULL, -- 0 waiting, 1 claimed, 2 held, 3 failed, 4 delivered
	due         BIGINT  NOT NULL,
	due_before  BIGINT  NOT NULL, -- what due was before the claim, for Return
	lease_until BIGINT  NOT NULL,
	attempts    INTEGER NOT NULL,
	size        BIGINT  NOT NULL,
	received    BIGINT  NOT NULL,
	settled     BIGINT  NOT NULL,
	watched     INTEGER NOT NULL,
	sender      TEXT    NOT NULL,
	recipients  TEXT    NOT NULL, -- JSON, []mail.Recipient
	envelope    TEXT    NOT NULL, -- JSON, mail.Envelope without what has a column
	last_reply  TEXT    NOT NULL
);
CREATE INDEX message_waiting ON message (account, due, id, attempts, size) WHERE state = 0;
CREATE INDEX message_claimed ON message (account, lease_until, id, size) WHERE state = 1;
CREATE INDEX message_held ON message (account, id, size) WHERE state = 2;
CREATE INDEX message_failed ON message (account, id, size) WHERE state = 3;

CREATE TABLE body (
	message INTEGER PRIMARY KEY, -- texts up to spool.InlineLimit; a longer one has a file and no row
	data    BLOB NOT NULL
);

CREATE TABLE trace (
	message BIGINT  NOT NULL,
	seq     INTEGER NOT NULL, -- from 1; the accepted event is made from the message row
	time    BIGINT  NOT NULL,
	event   TEXT    NOT NULL, -- JSON, mail.Event
	PRIMARY KEY (message, seq)
) WITHOUT ROWID;

CREATE TABLE account (
	name   TEXT PRIMARY KEY,
	state  TEXT NOT NULL,
	record TEXT NOT NULL -- JSON, mail.Account
);`

// writerSettings are in the order that counts: page_size holds only before auto_vacuum touches an empty file, and both
// only before WAL. synchronous is FULL because NORMAL lost acknowledged mail when the power was cut (SPOOL.md, 7).
// fullfsync is for macOS, where an ordinary fsync does not reach the disk. mmap_size stays 0.
var writerSettings = []string{
	"page_size = 8192", "auto_vacuum = 2", "journal_mode = WAL", "synchronous = FULL", "fullfsync = 1",
	"wal_autocheckpoint = 1000", "journal_size_limit = 67108864", "cache_size = -16384",
}

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
	sqlInterrupted = `SELECT id, attempts FROM message WHERE state = 1`
	sqlRelease     = `
UPDATE message SET state = 0, lease_until = 0,
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
	sender, recipients, envelope, last_reply)
VALUES ($1, $2, 0, $3, $3, 0, 0, $4, $5, 0, $6, $7, $8, $9, '')`
	sqlPutBody = `INSERT INTO body (message, data) VALUES ($1, $2)`
)

// messageColumns are what row.scan reads, in its order.
const messageColumns = `id, account, state, due, attempts, size, received, settled, watched, sender, recipients, envelope, last_reply`

// Claim and Return. sqlDue takes from two ordered indexes, each no further than it must: what waits ($2 is the
// latest due time) and what was claimed so long ago ($3 is now) that the claim has lapsed.
const (
	sqlDue = `
SELECT ` + messageColumns + `, since FROM (
	SELECT * FROM (SELECT ` + messageColumns + `, due AS since FROM message
		WHERE state = 0 AND account = $1 AND due <= $2 ORDER BY due, id LIMIT $4) AS waiting
	UNION ALL
	SELECT * FROM (SELECT ` + messageColumns + `, lease_until AS since FROM message
		WHERE state = 1 AND account = $1 AND lease_until <= $3 ORDER BY lease_until, id LIMIT $4) AS lapsed
) AS due ORDER BY since, id LIMIT $4`
	sqlClaim = `
UPDATE message SET state = 1, attempts = attempts + 1, due = $2, due_before = $3, lease_until = $4 WHERE id = $1`
	sqlReturn = `
UPDATE message SET state = 0, attempts = attempts - 1, due = due_before, lease_until = 0 WHERE id = $1 AND state = 1`
	sqlSpoilt = `UPDATE message SET state = 3, watched = 0, lease_until = 0, settled = $2, last_reply = $3 WHERE id = $1`
)

// Settle, Forget and the watch marks. sqlEndWait leaves the mark of a message that was wholly refused just before:
// only such a message is failed and watched.
const (
	sqlGet    = `SELECT ` + messageColumns + ` FROM message WHERE id = $1`
	sqlSettle = `
UPDATE message SET state = $2, due = $3, lease_until = 0, settled = $4, watched = $5, recipients = $6, last_reply = $7
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

// A listing takes the ids of each state that is asked for, joined by UNION ALL, so that each finds its own index, and
// then the rows in the order of their ids: $1 account or ”, $2 received before, and $3 now where listStates needs it.
const (
	sqlListHead   = `SELECT ` + messageColumns + ` FROM message WHERE received < $2 AND id IN (`
	sqlListBranch = `SELECT id FROM message WHERE ($1 = '' OR account = $1) AND `
	sqlListTail   = `) ORDER BY id`
)

// listStates are the conditions for the states of spool.Filter. The zero value lists all that is not delivered.
var listStates = map[mail.State][]string{
	"":                  {"state = 0", "state = 1", "state = 2", "state = 3"},
	mail.StateReady:     {"state = 0 AND (attempts = 0 OR due <= $3)", "state = 1"},
	mail.StateDeferred:  {"state = 0 AND attempts > 0 AND due > $3"},
	mail.StateHeld:      {"state = 2"},
	mail.StateFailed:    {"state = 3"},
	mail.StateDelivered: {"state = 4"},
}
