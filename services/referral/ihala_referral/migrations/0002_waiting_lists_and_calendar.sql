-- Days that an operator corrected; the calendar that came with the service says the rest.
CREATE TABLE calendar_day (
    day date PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('holiday', 'working', 'ramadan')),
    name text NOT NULL,
    reason text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Raised with each change, so that every copy of the service counts by the same days.
CREATE TABLE calendar_version (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), version bigint NOT NULL);
INSERT INTO calendar_version (version) VALUES (0);

ALTER TABLE referral
    ADD COLUMN due_from timestamptz,                        -- the instant from which ack_due counts
    ADD COLUMN calendar_version bigint NOT NULL DEFAULT 0;  -- of the calendar that gave its deadlines
UPDATE referral SET due_from = coalesce(sent_at, received_at);
ALTER TABLE referral ALTER COLUMN due_from SET NOT NULL;
CREATE INDEX referral_calendar ON referral (calendar_version) WHERE state NOT IN ('closed', 'withdrawn');

-- When a place was counted: one that was published since is not given back.
ALTER TABLE attempt ADD COLUMN place_taken_at timestamptz;
UPDATE attempt SET place_taken_at = sent_at WHERE place_taken;
ALTER TABLE attempt DROP COLUMN place_taken;
