-- An agency that an admin stopped is told nothing.
ALTER TABLE partner ADD COLUMN stopped boolean NOT NULL DEFAULT false;
