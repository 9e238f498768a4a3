-- By what the actor of a row is known for good: names may change, and be another's later. Empty in rows of before, whose digest is as it was.
ALTER TABLE audit ADD COLUMN actor_id TEXT NOT NULL DEFAULT '';
