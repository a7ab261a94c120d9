-- Version 2. What is remembered of a source is counted, found in the order in which it is forgotten, and checked by delta.

-- `used`: when an answer drawn from it was last stored, to the day.
ALTER TABLE sources ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
-- Rows it has in `scopes` and `items`; kept by the triggers below, so that nothing is ever counted.
ALTER TABLE sources ADD COLUMN scope_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN item_rows INTEGER NOT NULL DEFAULT 0;
UPDATE sources SET
  scope_rows = (SELECT count(*) FROM scopes WHERE source = sources.id),
  item_rows = (SELECT count(*) FROM items WHERE source = sources.id);

CREATE TRIGGER scopes_in AFTER INSERT ON scopes BEGIN
  UPDATE sources SET scope_rows = scope_rows + 1 WHERE id = new.source;
END;
CREATE TRIGGER scopes_out AFTER DELETE ON scopes BEGIN
  UPDATE sources SET scope_rows = scope_rows - 1 WHERE id = old.source;
END;
CREATE TRIGGER items_in AFTER INSERT ON items BEGIN
  UPDATE sources SET item_rows = item_rows + 1 WHERE id = new.source;
END;
CREATE TRIGGER items_out AFTER DELETE ON items BEGIN
  UPDATE sources SET item_rows = item_rows - 1 WHERE id = old.source;
END;

-- Unsettled rows are not forgotten.
CREATE INDEX scopes_age ON scopes (source, max(written_at, changed_at), scope) WHERE unsettled_until = 0;

-- Delta tokens, sealed under their account's data key, and when each was last asked with.
CREATE TABLE delta_tokens (
  owner INTEGER NOT NULL,
  source INTEGER NOT NULL,
  feed TEXT NOT NULL,
  token BLOB NOT NULL,
  from_seq INTEGER NOT NULL DEFAULT 0,
  checked_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (source, owner, feed)
) STRICT, WITHOUT ROWID;
CREATE INDEX delta_tokens_owner ON delta_tokens (owner);
