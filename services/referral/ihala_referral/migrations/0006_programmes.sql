-- Pilot initiatives.  free: places that nobody has, null where they are unlimited.
CREATE TABLE programme (
    programme_id text PRIMARY KEY,
    record jsonb NOT NULL,
    free integer CHECK (free >= 0),
    version bigint NOT NULL,        -- the sequence of its events
    deleted_at timestamptz
);

ALTER TABLE attempt ADD COLUMN programme_id text;
CREATE INDEX attempt_programme ON attempt (programme_id) WHERE programme_id IS NOT NULL;
