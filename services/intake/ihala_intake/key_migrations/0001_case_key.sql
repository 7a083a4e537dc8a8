-- One data key for each case, wrapped by the key-encryption key. Destroying the row is the erasure.
CREATE TABLE case_key (
    case_id uuid PRIMARY KEY,
    wrapped bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
