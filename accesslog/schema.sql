-- Strings that repeat are rows of name and numbers elsewhere: an event is then some 150 bytes and
-- its indexes are over integers. No table holds free text or an identifier of a person.
CREATE TABLE IF NOT EXISTS name (
	id INTEGER PRIMARY KEY,
	s  TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS event (
	seq        INTEGER PRIMARY KEY, -- position in order of arrival, from 1, without gaps
	idh        INTEGER NOT NULL,    -- first 8 bytes of SHA-256 of id
	id         TEXT NOT NULL,
	time       INTEGER NOT NULL,    -- Unix nanoseconds, UTC
	received   INTEGER NOT NULL,    -- domain time at the door
	source     INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	app        INTEGER NOT NULL,
	env        INTEGER NOT NULL,
	actor_type INTEGER NOT NULL,
	actor      INTEGER NOT NULL,
	credential INTEGER NOT NULL,
	session    TEXT NOT NULL,
	action     INTEGER NOT NULL,
	endpoint   INTEGER NOT NULL,
	purpose    INTEGER NOT NULL,
	merchant   INTEGER NOT NULL,
	store      INTEGER NOT NULL,
	subjects   BLOB NOT NULL,       -- pseudonyms that count as customers, 16 bytes each
	data_types INTEGER NOT NULL,    -- JSON array, sorted
	records    INTEGER NOT NULL,
	bytes      INTEGER NOT NULL,
	outcome    INTEGER NOT NULL,
	ip         INTEGER NOT NULL,
	agent      INTEGER NOT NULL,
	flags      INTEGER NOT NULL,    -- 1 late, 2 skewed
	supplied   INTEGER NOT NULL     -- digest of the file it was supplied in later; the empty name: logged live
);
CREATE INDEX IF NOT EXISTS event_id         ON event (idh);
CREATE INDEX IF NOT EXISTS event_time       ON event (time);
CREATE INDEX IF NOT EXISTS event_credential ON event (credential, time);
CREATE INDEX IF NOT EXISTS event_merchant   ON event (merchant, time);
CREATE INDEX IF NOT EXISTS event_ip         ON event (ip, time);
CREATE INDEX IF NOT EXISTS event_actor      ON event (actor, time);
CREATE TABLE IF NOT EXISTS leaf (
	idx   INTEGER PRIMARY KEY, -- index in the event log
	first INTEGER NOT NULL UNIQUE,
	last  INTEGER NOT NULL,
	epoch TEXT NOT NULL
);
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
-- Events that came again after longer than the door remembers: in the log twice, in no table twice.
CREATE TABLE IF NOT EXISTS repeated (
	seq INTEGER PRIMARY KEY
);
