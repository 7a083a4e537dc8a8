-- What came lately is counted by where it is now.
CREATE INDEX delivery_created_at ON delivery USING brin (created_at);
