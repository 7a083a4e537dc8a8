-- The latest instant that was seen on this server's clock, to notice that it was set back.
CREATE TABLE clock_mark (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    at timestamptz NOT NULL
);
INSERT INTO clock_mark (at) VALUES (clock_timestamp());
