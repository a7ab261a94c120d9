-- Version 7. A data key can be replaced while answers are read.

-- Raised whenever the key is replaced.
ALTER TABLE data_keys ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
-- The key before it, wrapped, until everything is sealed anew; empty at rest. How far that is, stands in `meta` under `reencryption`.
ALTER TABLE data_keys ADD COLUMN old_wrapped BLOB NOT NULL DEFAULT x'';
