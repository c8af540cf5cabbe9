-- What is known of batches, leaves, sources and positions; events themselves stand in the log and in
-- the columns. Strings that repeat are rows of name and numbers elsewhere. No table holds free text
-- or an identifier of a person.
CREATE TABLE IF NOT EXISTS name (
	id INTEGER PRIMARY KEY,
	s  TEXT NOT NULL UNIQUE
);
DROP TABLE IF EXISTS event; -- of versions that kept a row for each event
CREATE TABLE IF NOT EXISTS leaf (
	idx   INTEGER PRIMARY KEY, -- index in the event log
	first INTEGER NOT NULL UNIQUE,
	last  INTEGER NOT NULL,
	epoch TEXT NOT NULL
);
-- Consecutive leaves of one epoch: where each day of the log begins and ends.
CREATE TABLE IF NOT EXISTS stretch (
	idx    INTEGER PRIMARY KEY, -- of the first leaf
	leaves INTEGER NOT NULL,
	first  INTEGER NOT NULL,    -- position of the first event
	last   INTEGER NOT NULL,
	epoch  TEXT NOT NULL
);
-- Days whose events were removed, or are being removed: a fact says why.
CREATE TABLE IF NOT EXISTS pruned (
	epoch TEXT PRIMARY KEY,
	fact  TEXT NOT NULL,
	done  INTEGER NOT NULL -- 1: nothing is left of it
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
	source   INTEGER NOT NULL,
	key      TEXT NOT NULL,
	received INTEGER NOT NULL,
	receipt  BLOB NOT NULL,
	PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_received ON batch (received);
CREATE TABLE IF NOT EXISTS source (
	source INTEGER PRIMARY KEY,
	newest INTEGER NOT NULL -- time of its newest event
);
-- Events per source, kind and ten minutes of their own time, so that silence can be seen.
CREATE TABLE IF NOT EXISTS pulse (
	source INTEGER NOT NULL,
	kind   INTEGER NOT NULL,
	slot   INTEGER NOT NULL, -- Unix seconds / 600
	n      INTEGER NOT NULL,
	PRIMARY KEY (source, kind, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consumer (
	name TEXT PRIMARY KEY,
	seq  INTEGER NOT NULL -- everything up to it was handled
) WITHOUT ROWID;
-- Events that came again and that versions before the index of ids took: in the log twice, in the
-- columns once.
CREATE TABLE IF NOT EXISTS repeated (
	seq INTEGER PRIMARY KEY
);
