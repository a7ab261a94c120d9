-- Version 6. Runs of a task that an orderly stop gave back; they are none of the attempts it has.

ALTER TABLE cache_tasks ADD COLUMN given_back INTEGER NOT NULL DEFAULT 0;
