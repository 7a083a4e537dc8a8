-- How many people were informed and gave no consent: a day, a desk, a number. Nothing of anybody.
CREATE TABLE information_given (
    day date NOT NULL,
    desk_id text NOT NULL,
    people integer NOT NULL,
    PRIMARY KEY (day, desk_id)
);

-- The indicators of a quarter, or of a year for restricted needs, as they were published. Never changed.
CREATE TABLE indicator_release (
    period text PRIMARY KEY,        -- 2026-Q4, 2026
    released_at timestamptz NOT NULL,
    content jsonb NOT NULL          -- lines by cut
);

CREATE INDEX referral_received ON referral (received_at);
