-- Version 5. What calls came to, in stretches of time; see `store/statistics`.

-- `span`: length of the stretch in milliseconds; `at`: when it began. `kind`: 0 a tool, 1 a client. `counts` is packed.
CREATE TABLE statistics (
  span INTEGER NOT NULL,
  at INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  counts BLOB NOT NULL,
  PRIMARY KEY (span, at, owner, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX statistics_owner ON statistics (owner);
