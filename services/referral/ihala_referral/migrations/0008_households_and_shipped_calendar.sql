-- Cases that the desk linked as one household, in the direction it said it; read both ways.
CREATE TABLE household_link (
    case_id uuid NOT NULL,
    other_case_id uuid NOT NULL,    -- may be routed a little later than the case that names it
    PRIMARY KEY (case_id, other_case_id)
);
CREATE INDEX household_link_other ON household_link (other_case_id);

-- The calendar and zone data that came with the release that started last.
ALTER TABLE calendar_version ADD COLUMN shipped_sha256 text;
