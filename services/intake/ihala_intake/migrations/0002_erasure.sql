-- When the person was erased: the key is destroyed, and the row keeps ids, desk and times alone.
ALTER TABLE case_file ADD COLUMN erased_at timestamptz;
