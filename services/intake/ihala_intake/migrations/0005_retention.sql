-- When a referral ended, and when the last of a case did: from there retention counts.
ALTER TABLE addressee ADD COLUMN ended_at timestamptz;
CREATE INDEX addressee_ended ON addressee (ended_at) WHERE ended_at IS NOT NULL;
ALTER TABLE case_file ADD COLUMN closed_at timestamptz;
CREATE INDEX case_file_closed ON case_file (closed_at) WHERE closed_at IS NOT NULL;
