-- Version 9. Short names of what Microsoft names with a hundred characters. `number` is never given twice: `meta` has, under `handle_numbers`,
-- the end of those that are reserved. `mark`: the first 8 bytes of SHA-256 over the id; `owner`: number in `data_keys`.
CREATE TABLE handles (
  number INTEGER PRIMARY KEY,
  owner INTEGER NOT NULL,
  letter TEXT NOT NULL,
  mark INTEGER NOT NULL,
  id TEXT NOT NULL,
  shown INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX handles_mark ON handles (owner, mark);
CREATE INDEX handles_shown ON handles (owner, shown);
