-- Version 1. Times are milliseconds since 1970 (UTC); 0 where a time is not set.

-- One row for each account that has anything sealed: its data key, wrapped. Ids are never used again.
CREATE TABLE data_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL UNIQUE,
  wrapped BLOB NOT NULL
) STRICT;

-- Facts about the file itself: `wrapping_check`.
CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Narrow, so that counting, tracking and choosing what to drop never walk past a body.
CREATE TABLE cache_entries (
  id INTEGER PRIMARY KEY,
  key_hash BLOB NOT NULL UNIQUE,
  owner INTEGER NOT NULL,
  tool TEXT NOT NULL,
  codec INTEGER NOT NULL DEFAULT 0,
  raw_len INTEGER NOT NULL DEFAULT 0,
  stored_len INTEGER NOT NULL DEFAULT 0,
  fetch_started INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL DEFAULT 0,
  last_used INTEGER NOT NULL DEFAULT 0,
  hits INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX cache_entries_owner ON cache_entries (owner, tool);
CREATE INDEX cache_entries_last_used ON cache_entries (last_used);

-- `head`: arguments, readings and tag, packed; `body`: the sealed answer, bound to `head`.
CREATE TABLE cache_bodies (
  id INTEGER PRIMARY KEY,
  head BLOB NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- Canonical arguments, for patterns. `value` holds at most 512 characters; `whole` is 0 where it was cut.
CREATE TABLE entry_args (
  entry INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  whole INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (entry, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_args_value ON entry_args (name, value);

-- Running totals, kept by the transactions that change entries.
CREATE TABLE cache_stats (
  owner INTEGER NOT NULL,
  tool TEXT NOT NULL,
  entries INTEGER NOT NULL DEFAULT 0,
  raw_bytes INTEGER NOT NULL DEFAULT 0,
  stored_bytes INTEGER NOT NULL DEFAULT 0,
  hits INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (owner, tool)
) STRICT, WITHOUT ROWID;

CREATE TABLE cache_invalidation (
  id INTEGER PRIMARY KEY,
  pattern TEXT NOT NULL,
  account TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  asked_by TEXT NOT NULL DEFAULT '',
  asked_at INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The queue. `state`: 0 queued, 1 running, 2 failed, 3 completed.
CREATE TABLE cache_tasks (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  tool TEXT NOT NULL,
  args TEXT NOT NULL,
  dedup TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 5,
  created_at INTEGER NOT NULL DEFAULT 0,
  changed_at INTEGER NOT NULL DEFAULT 0,
  state INTEGER NOT NULL DEFAULT 0,
  failure TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX cache_tasks_dedup ON cache_tasks (dedup) WHERE state < 2;
CREATE INDEX cache_tasks_next ON cache_tasks (state, priority, created_at, id);
CREATE INDEX cache_tasks_account ON cache_tasks (account);

-- Mailboxes and drives: position in history, and what a scope without a row counts as.
CREATE TABLE sources (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  written_floor INTEGER NOT NULL DEFAULT 0,
  changed_floor INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Marks of the pieces of a source; `unsettled_until` 0 = settled.
CREATE TABLE scopes (
  source INTEGER NOT NULL,
  scope TEXT NOT NULL,
  written_at INTEGER NOT NULL DEFAULT 0,
  changed_at INTEGER NOT NULL DEFAULT 0,
  unsettled_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (source, scope)
) STRICT, WITHOUT ROWID;

-- Which containers an item was seen in, so that a write by id knows what it touches.
CREATE TABLE items (
  source INTEGER NOT NULL,
  item TEXT NOT NULL,
  container TEXT NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (source, item, container)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_used ON items (source, used);

-- The journal of our own writes. `state`: 0 open, 1 done, 2 refused, 3 outcome unknown. `touched` and `bumped` are packed, each with
-- a check sum, because a damaged page may come back as zeroes.
CREATE TABLE writes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  call_key TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL,
  tool TEXT NOT NULL,
  args_hash BLOB NOT NULL,
  touched BLOB NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,
  opened_at INTEGER NOT NULL DEFAULT 0,
  closed_at INTEGER NOT NULL DEFAULT 0,
  unsettled_until INTEGER NOT NULL DEFAULT 0,
  bumped BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE INDEX writes_open ON writes (id) WHERE state = 0;
CREATE INDEX writes_unsettled ON writes (unsettled_until) WHERE unsettled_until > 0;

CREATE TABLE accounts (
  id TEXT NOT NULL PRIMARY KEY,
  username TEXT NOT NULL DEFAULT '',
  display_name TEXT NOT NULL DEFAULT '',
  tenant_id TEXT NOT NULL DEFAULT '',
  object_id TEXT NOT NULL DEFAULT '',
  drive_id TEXT NOT NULL DEFAULT '',
  added_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Token records, sealed under the account's data key.
CREATE TABLE tokens (
  owner INTEGER PRIMARY KEY,
  record BLOB NOT NULL
) STRICT;
