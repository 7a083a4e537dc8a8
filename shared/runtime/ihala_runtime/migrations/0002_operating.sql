-- What operators did to records that were set aside, and to the history. Rows are only added.
CREATE TABLE operator_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL CHECK (action IN ('retry', 'edit', 'discard', 'read', 'replay', 'rebuild')),
    record_id text,  -- of set_aside; null for the history
    reason text,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX operator_log_record ON operator_log (record_id, id) WHERE record_id IS NOT NULL;

CREATE FUNCTION only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER operator_log_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_log
    FOR EACH STATEMENT EXECUTE FUNCTION only_added();

-- The payload as it came, of a record that was edited.
ALTER TABLE parked ADD COLUMN original bytea;
CREATE INDEX parked_by_class ON parked (consumer, error_class) WHERE state IN ('waiting', 'dead');

-- Why an event is published again: 'replay' for an operator, 'unanswered' for the reconciler; null the first time.
ALTER TABLE outbox ADD COLUMN again text;
ALTER TABLE outbox_refused ADD COLUMN again text;
CREATE INDEX event_created_at ON event USING brin (created_at);

-- Everything that is set aside, received or to be sent, in one shape.
CREATE VIEW set_aside AS
SELECT id::text AS record_id, 1 AS place, id, consumer, topic, partition, "offset", key, event_id, event_type,
    attempts, next_attempt_at, error_class, error, state, parked_at, original IS NOT NULL AS edited
FROM parked
UNION ALL
SELECT 'out-' || refused.id, 0, refused.id, 'outbox', refused.topic, NULL, NULL, convert_to(refused.key, 'UTF8'),
    refused.event_id::text, event.type, NULL, refused.retry_at, refused.error_class, 'refused by Kafka', 'waiting',
    event.created_at, false
FROM outbox_refused AS refused JOIN event USING (event_id);

-- What another service should have answered and has not; a row goes when it has.
CREATE TABLE unanswered (
    expectation text NOT NULL,
    event_id uuid NOT NULL,
    since timestamptz NOT NULL,
    asked integer NOT NULL DEFAULT 0,
    ask_at timestamptz NOT NULL,
    PRIMARY KEY (expectation, event_id)
);
-- Up to when the event log was compared with what was answered.
CREATE TABLE reconciled (expectation text PRIMARY KEY, until timestamptz NOT NULL);
