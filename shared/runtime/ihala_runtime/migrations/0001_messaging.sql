-- Event log, outbox, inbox, parked records and credentials: the same in every service's database.

CREATE TABLE event (
    event_id uuid PRIMARY KEY,
    aggregate_id uuid NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (aggregate_id, sequence)
);

-- What Kafka has not acknowledged. Deleted on acknowledgement; never a cursor.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Rows that Kafka refused for themselves, and their keys' later rows; ids keep the order.
CREATE TABLE outbox_refused (
    id bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    error_class text NOT NULL,
    retry_at timestamptz NOT NULL
);

CREATE TABLE inbox (
    consumer text NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, source, event_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

CREATE TABLE parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    event_id text,
    event_type text,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    error_class text NOT NULL,
    error text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea,
    state text NOT NULL CHECK (state IN ('waiting', 'dead', 'done', 'discarded')),
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (consumer, topic, partition, "offset")
);
CREATE INDEX parked_waiting ON parked (consumer, key, id) WHERE state = 'waiting';

CREATE TABLE credential (
    credential_id text PRIMARY KEY,
    record jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX credential_changed_at ON credential (changed_at);
