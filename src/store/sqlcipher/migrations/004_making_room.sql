-- Version 4. Entries are found in the order in which they go: by fetch and by use, within an account's tool. Both indexes hold all that
-- choosing needs, so that no row is looked at before it is removed.
DROP INDEX cache_entries_owner;
DROP INDEX cache_entries_last_used;
CREATE INDEX cache_entries_owner ON cache_entries (owner, tool, fetch_started);
CREATE INDEX cache_entries_last_used ON cache_entries (owner, tool, last_used);
