-- Version 3. The queue with leases, retries, progress and results; its tasks are counted, so that nothing is ever counted over.

ALTER TABLE cache_tasks RENAME TO old_tasks;
DROP INDEX cache_tasks_dedup;
DROP INDEX cache_tasks_next;
DROP INDEX cache_tasks_account;

-- `state`: 0 queued and due, 1 queued until `not_before`, 2 running, 3 completed, 4 failed, 5 cancelled. `attempt` and `uuid` name the
-- run that holds the lease. `started_at` 0: never. `told` 1: `done`, `total` and `message` say how far it is.
CREATE TABLE cache_tasks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  tool TEXT NOT NULL,
  args TEXT NOT NULL,
  dedup TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 5,
  created_at INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL DEFAULT 0,
  state INTEGER NOT NULL DEFAULT 0,
  changed_at INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 0,
  retries INTEGER NOT NULL DEFAULT 0,
  failure TEXT NOT NULL DEFAULT '',
  told INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  message TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '',
  cancelling INTEGER NOT NULL DEFAULT 0
) STRICT;
-- What ran is queued again. What ended did so in an order that is not known; its number stands for it.
INSERT INTO cache_tasks (id, uuid, account, kind, tool, args, dedup, priority, created_at, state, changed_at, failure)
  SELECT id, uuid, account, kind, tool, args, dedup, priority, created_at,
    CASE state WHEN 2 THEN 4 WHEN 3 THEN 3 ELSE 0 END, changed_at, failure FROM old_tasks;
DROP TABLE old_tasks;

CREATE UNIQUE INDEX cache_tasks_dedup ON cache_tasks (dedup) WHERE state < 3;
-- The most urgent due task of each account.
CREATE INDEX cache_tasks_next ON cache_tasks (account, priority, id) WHERE state = 0;
CREATE INDEX cache_tasks_waiting ON cache_tasks (not_before) WHERE state = 1;
CREATE INDEX cache_tasks_state ON cache_tasks (state, id);
CREATE INDEX cache_tasks_account ON cache_tasks (account, state, id);

CREATE TABLE task_counts (
  state INTEGER PRIMARY KEY,
  tasks INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO task_counts (state, tasks) VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);
UPDATE task_counts SET tasks = (SELECT count(*) FROM cache_tasks WHERE cache_tasks.state = task_counts.state);
CREATE TRIGGER cache_tasks_in AFTER INSERT ON cache_tasks BEGIN
  UPDATE task_counts SET tasks = tasks + 1 WHERE state = new.state;
END;
CREATE TRIGGER cache_tasks_out AFTER DELETE ON cache_tasks BEGIN
  UPDATE task_counts SET tasks = tasks - 1 WHERE state = old.state;
END;
CREATE TRIGGER cache_tasks_moved AFTER UPDATE OF state ON cache_tasks WHEN old.state <> new.state BEGIN
  UPDATE task_counts SET tasks = tasks - 1 WHERE state = old.state;
  UPDATE task_counts SET tasks = tasks + 1 WHERE state = new.state;
END;

-- How long completed tasks took (ms), by account and tool.
CREATE TABLE task_times (
  account TEXT NOT NULL,
  tool TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  mean_ms INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account, tool)
) STRICT, WITHOUT ROWID;
