-- False of an agency that was asked to take the person over from another and has not done it.
ALTER TABLE attempt ADD COLUMN responsible boolean NOT NULL DEFAULT true;
