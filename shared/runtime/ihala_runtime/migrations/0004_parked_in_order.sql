-- The sender's own count of what it told about a key: a key's records are tried in this order, not as they came.
ALTER TABLE parked ADD COLUMN sequence bigint NOT NULL DEFAULT 0;
