-- Agencies whose validity ends: who waits for them is looked for all the time.
CREATE INDEX partner_active_until ON partner ((record->>'active_until')) WHERE record->>'active_until' IS NOT NULL;
