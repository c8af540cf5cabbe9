-- Facts are appended and never changed. A header stands in the clear, parts are sealed and each
-- has a row of its own with its merchant's id, so that a database can withhold all the others.
CREATE TABLE facts (
  seq    INTEGER PRIMARY KEY,           -- over all chains, from 1, without gaps
  chain  TEXT    NOT NULL,
  n      INTEGER NOT NULL CHECK (n >= 1),
  id     TEXT    NOT NULL UNIQUE,
  kind   TEXT    NOT NULL,
  header BLOB    NOT NULL,
  prev   BLOB    NOT NULL CHECK (length(prev) = 32),
  hash   BLOB    NOT NULL CHECK (length(hash) = 32),
  anchor INTEGER NOT NULL DEFAULT -1,   -- index in the facts log, -1 while pending
  UNIQUE (chain, n)
);
CREATE INDEX facts_pending ON facts (seq) WHERE anchor < 0;

CREATE TABLE parts (
  seq        INTEGER NOT NULL REFERENCES facts (seq),
  merchant   TEXT    NOT NULL,          -- '' for the header's own
  idx        INTEGER NOT NULL,
  commitment BLOB    NOT NULL CHECK (length(commitment) = 32),
  sealed     BLOB    NOT NULL,
  PRIMARY KEY (seq, merchant, idx)
) WITHOUT ROWID;

-- The newest fact of each chain.
CREATE TABLE heads (
  chain TEXT PRIMARY KEY,
  n     INTEGER NOT NULL,
  id    TEXT    NOT NULL,
  hash  BLOB    NOT NULL
) WITHOUT ROWID;

-- A mistake in a query must not be able to change what happened. These guard against accidents;
-- against somebody with the file, the hashes and the log do.
CREATE TRIGGER facts_stay BEFORE DELETE ON facts BEGIN
  SELECT RAISE(ABORT, 'facts are never deleted');
END;
CREATE TRIGGER facts_keep BEFORE UPDATE OF seq, chain, n, id, kind, header, prev, hash ON facts BEGIN
  SELECT RAISE(ABORT, 'facts are never changed');
END;
CREATE TRIGGER facts_anchor_once BEFORE UPDATE OF anchor ON facts WHEN old.anchor >= 0 BEGIN
  SELECT RAISE(ABORT, 'a fact is anchored once');
END;
CREATE TRIGGER parts_stay BEFORE DELETE ON parts BEGIN
  SELECT RAISE(ABORT, 'parts are never deleted');
END;
CREATE TRIGGER parts_keep BEFORE UPDATE ON parts BEGIN
  SELECT RAISE(ABORT, 'parts are never changed');
END;

-- What follows is derived from the facts, or serves the program only.
CREATE TABLE projections (
  name TEXT NOT NULL,
  key  TEXT NOT NULL,
  rank TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE INDEX projections_rank ON projections (name, rank, key);

CREATE TABLE wakes (
  chain TEXT    NOT NULL,
  clock TEXT    NOT NULL CHECK (clock IN ('domain', 'protocol')),
  at    INTEGER NOT NULL,               -- nanoseconds since 1970, UTC
  PRIMARY KEY (chain, clock)
) WITHOUT ROWID;
CREATE INDEX wakes_at ON wakes (clock, at, chain);

CREATE TABLE commands (
  id      TEXT PRIMARY KEY,
  outcome BLOB    NOT NULL,
  at      INTEGER NOT NULL              -- nanoseconds since 1970, UTC
) WITHOUT ROWID;
CREATE INDEX commands_at ON commands (at);

CREATE TABLE snapshots (
  chain  TEXT PRIMARY KEY,
  n      INTEGER NOT NULL,
  engine TEXT    NOT NULL,
  body   BLOB    NOT NULL
);

CREATE TABLE merchants (
  id             TEXT PRIMARY KEY,
  name           TEXT NOT NULL,
  phone          TEXT NOT NULL,
  language       TEXT NOT NULL,
  zone           TEXT NOT NULL,
  country        TEXT NOT NULL,
  emails         TEXT NOT NULL,         -- JSON array, in order of preference
  contract_hours INTEGER NOT NULL,
  installed      INTEGER,               -- nanoseconds since 1970, UTC; NULL: not known
  uninstalled    INTEGER
);
CREATE TABLE stores (
  merchant TEXT    NOT NULL REFERENCES merchants (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  id       TEXT    NOT NULL,
  domain   TEXT    NOT NULL,
  PRIMARY KEY (merchant, position)
) WITHOUT ROWID;
