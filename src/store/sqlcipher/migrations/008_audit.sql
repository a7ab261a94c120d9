-- Version 8. What happened, chained; and erasures that have begun.

-- What records call an account. `secret` keys the marks of targets and `seal` is a hash of both; an erasure empties the secret and puts
-- `erased-<id>` in the place of the account, and the chain, which covers the seal, holds as before.
CREATE TABLE audit_subjects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL UNIQUE,
  secret BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT;

-- `marks`: 8 bytes each. `hash` covers the row and the hash before it. The ends of the chain are sealed in `meta`: `audit_key`, `audit_ends`.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject INTEGER NOT NULL DEFAULT 0,
  tool TEXT NOT NULL DEFAULT '',
  client TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL DEFAULT '',
  marks BLOB NOT NULL DEFAULT x'',
  targets INTEGER NOT NULL DEFAULT 0,
  times INTEGER NOT NULL DEFAULT 1,
  refers INTEGER NOT NULL DEFAULT 0,
  hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject);

-- Who asked for a write, and the record that was made before it was sent.
ALTER TABLE writes ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE writes ADD COLUMN audited INTEGER NOT NULL DEFAULT 0;
CREATE INDEX writes_account ON writes (account);
CREATE INDEX cache_invalidation_account ON cache_invalidation (account);

-- Erasures that have begun and are not known to be complete. `owners`: numbers in `data_keys`; `names`: what the account is called;
-- `sources`: mailboxes and drives of which something is remembered for it. One a line.
CREATE TABLE erasures (
  account TEXT NOT NULL PRIMARY KEY,
  owners TEXT NOT NULL DEFAULT '',
  names TEXT NOT NULL DEFAULT '',
  sources TEXT NOT NULL DEFAULT '',
  asked_by TEXT NOT NULL DEFAULT '',
  begun_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
