-- Cases whose person was erased: what is kept of a message to an agency says nothing any more once it has ended.
CREATE TABLE erased_case (
    case_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE attempt_over ADD COLUMN changed_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX attempt_over_changed_at ON attempt_over USING brin (changed_at);
