-- Rows of a projection may be megabytes, as what the detectors have learned is. In a table without rowid they
-- stand in the tree that every row is searched in, and a search copies each that it compares with.
CREATE TABLE projections_by_row (
  name TEXT NOT NULL,
  key  TEXT NOT NULL,
  rank TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (name, key)
);
INSERT INTO projections_by_row SELECT name, key, rank, body FROM projections;
DROP TABLE projections;
ALTER TABLE projections_by_row RENAME TO projections;
CREATE INDEX projections_rank ON projections (name, rank, key);
