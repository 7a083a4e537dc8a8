-- Events for an agency, beside `sent`, of which a receipt came: written by receipts alone.
CREATE TABLE told (event_id uuid PRIMARY KEY);
