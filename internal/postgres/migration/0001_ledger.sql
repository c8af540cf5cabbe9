-- Facts are appended and never changed. A header stands in the clear, parts are sealed and each
-- has a row of its own with its merchant's id, so that a database can withhold all the others.
-- Every text that is compared or ordered is compared by its bytes, whatever the database's locale.
CREATE TABLE facts (
  seq    bigint PRIMARY KEY,                -- over all chains, from 1, without gaps
  chain  text   COLLATE "C" NOT NULL,
  n      bigint NOT NULL CHECK (n >= 1),
  id     text   COLLATE "C" NOT NULL UNIQUE,
  kind   text   COLLATE "C" NOT NULL,
  header bytea  NOT NULL,
  prev   bytea  NOT NULL CHECK (length(prev) = 32),
  hash   bytea  NOT NULL CHECK (length(hash) = 32),
  anchor bigint NOT NULL DEFAULT -1,        -- index in the facts log, -1 while pending
  UNIQUE (chain, n)
);
CREATE INDEX facts_pending ON facts (seq) WHERE anchor < 0;

CREATE TABLE parts (
  seq        bigint NOT NULL REFERENCES facts (seq),
  merchant   text   COLLATE "C" NOT NULL,   -- '' for the header's own
  idx        bigint NOT NULL,
  commitment bytea  NOT NULL CHECK (length(commitment) = 32),
  sealed     bytea  NOT NULL,
  PRIMARY KEY (seq, merchant, idx)
);

-- The newest fact of each chain.
CREATE TABLE heads (
  chain text   COLLATE "C" PRIMARY KEY,
  n     bigint NOT NULL,
  id    text   COLLATE "C" NOT NULL,
  hash  bytea  NOT NULL
);

-- A mistake in a query must not be able to change what happened. These guard against accidents;
-- against somebody with the database, the hashes and the log do.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
END $$;
CREATE TRIGGER facts_stay BEFORE DELETE ON facts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER facts_keep BEFORE UPDATE OF seq, chain, n, id, kind, header, prev, hash ON facts
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER facts_anchor_once BEFORE UPDATE OF anchor ON facts
  FOR EACH ROW WHEN (OLD.anchor >= 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER facts_whole BEFORE TRUNCATE ON facts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER parts_keep BEFORE UPDATE OR DELETE ON parts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER parts_whole BEFORE TRUNCATE ON parts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What follows is derived from the facts, or serves the program only.
CREATE TABLE projections (
  name text  COLLATE "C" NOT NULL,
  key  text  COLLATE "C" NOT NULL,
  rank text  COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (name, key)
);
CREATE INDEX projections_rank ON projections (name, rank, key);

CREATE TABLE wakes (
  chain text   COLLATE "C" NOT NULL,
  clock text   COLLATE "C" NOT NULL CHECK (clock IN ('domain', 'protocol')),
  at    bigint NOT NULL,                    -- nanoseconds since 1970, UTC
  PRIMARY KEY (chain, clock)
);
CREATE INDEX wakes_at ON wakes (clock, at, chain);

CREATE TABLE commands (
  id      text   COLLATE "C" PRIMARY KEY,
  outcome bytea  NOT NULL,
  at      bigint NOT NULL                   -- nanoseconds since 1970, UTC
);
CREATE INDEX commands_at ON commands (at);

CREATE TABLE snapshots (
  chain  text   COLLATE "C" PRIMARY KEY,
  n      bigint NOT NULL,
  engine text   NOT NULL,
  body   bytea  NOT NULL
);

CREATE TABLE merchants (
  id             text   COLLATE "C" PRIMARY KEY,
  name           text   NOT NULL,
  phone          text   NOT NULL,
  language       text   NOT NULL,
  zone           text   NOT NULL,
  country        text   NOT NULL,
  emails         text[] NOT NULL,           -- in order of preference
  contract_hours bigint NOT NULL,
  installed      bigint,                    -- nanoseconds since 1970, UTC; NULL: not known
  uninstalled    bigint
);
CREATE TABLE stores (
  merchant text   COLLATE "C" NOT NULL REFERENCES merchants (id) ON DELETE CASCADE,
  position bigint NOT NULL,
  id       text   NOT NULL,
  domain   text   NOT NULL,
  PRIMARY KEY (merchant, position)
);
