-- Agencies that an admin stopped: the open referrals they hold go to others, so both are looked for all the time.
ALTER TABLE partner ADD COLUMN stopped boolean NOT NULL
    GENERATED ALWAYS AS (coalesce(record->'stopped', 'null'::jsonb) <> 'null'::jsonb) STORED;
CREATE INDEX partner_stopped ON partner (partner_id) WHERE stopped;
CREATE INDEX referral_held ON referral (partner_id) WHERE state NOT IN ('proposed', 'closed', 'withdrawn');
