package sqlite

// migrations bring a database from user_version i to i+1, each in one transaction. They are only ever added to.
var migrations = []string{schema1, schema2, schema3}

// schema1 holds the queue and the history in one table, so that a settled message keeps its place and its trace.
// Times are milliseconds since 1970, 0 for none. Every state but delivered has a partial index that also covers
// what is counted (attempts, size): the queue is read without touching the history, however long that is.
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

// schema2 adds what custody needs:
//
//   - report and warned, so that everyone concerned is told once; the two partial indexes hold only what is still to
//     be told. Nobody was ever told about mail that failed under schema 1, so its failures are to be reported;
//   - since, from which max_age counts. 0 is the time of receipt, so that old rows need not be rewritten;
//   - indexes in the order of settling, for Purge. The one of delivered rows only grows at its end, which is cheap;
//   - hold, the times in which accounts were held. Rows of an account may overlap after the clock was set back;
//   - probe, what other processes ask the relay to try at once;
//   - client, who connects: the inventory before a switch-off;
//   - ledger, one row: the octets of all texts, so that nobody counts a million rows because another process has
//     written, and the latest time known, so that a clock that was set back while nothing ran is noticed.
const schema2 = `
ALTER TABLE message ADD COLUMN since  BIGINT  NOT NULL DEFAULT 0; -- max_age counts from here; 0: from received
ALTER TABLE message ADD COLUMN report INTEGER NOT NULL DEFAULT 0; -- 0 nothing to tell, 1 to be told, 2 told
ALTER TABLE message ADD COLUMN warned INTEGER NOT NULL DEFAULT 0; -- 1: its delay has been told
UPDATE message SET report = 1 WHERE state = 3;
CREATE INDEX message_untold ON message (state, id) WHERE report = 1;
CREATE INDEX message_late ON message (received, id) WHERE state = 0 AND warned = 0;
CREATE INDEX message_delivered ON message (settled) WHERE state = 4;
CREATE INDEX message_given_up ON message (settled) WHERE state = 3;

CREATE TABLE hold (
	account TEXT   NOT NULL,
	since   BIGINT NOT NULL,
	until   BIGINT NOT NULL -- 0 while it lasts
);
CREATE INDEX hold_account ON hold (account, until);

CREATE TABLE probe (
	account TEXT   PRIMARY KEY,
	asked   BIGINT NOT NULL -- how often
);

CREATE TABLE client (
	key    TEXT   PRIMARY KEY,
	last   BIGINT NOT NULL,
	record TEXT   NOT NULL -- JSON, mail.Visit
);

CREATE TABLE ledger (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	octets BIGINT NOT NULL,
	clock  BIGINT NOT NULL
);
INSERT INTO ledger (one, octets, clock)
SELECT 1, COALESCE(SUM(size), 0), 0 FROM message WHERE state <> 4;`

// schema3 lets the inventory forget last who got something done here. Of those it knows already nobody can tell any more.
const schema3 = `ALTER TABLE client ADD COLUMN served INTEGER NOT NULL DEFAULT 1;`
