-- What routing read of a case and when, so that another rule set can be tried on it; gone with a withdrawal or an erasure.
ALTER TABLE case_profile ADD COLUMN profile jsonb, ADD COLUMN routed_at timestamptz;
CREATE INDEX case_profile_kept ON case_profile (case_id) WHERE profile IS NOT NULL;
