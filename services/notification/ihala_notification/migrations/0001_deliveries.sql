-- What agencies are told, how it went, and where they listen.

-- Copied from directory.partner.v1: by which channels an agency is told.
CREATE TABLE partner (
    partner_id text PRIMARY KEY,
    channels text[] NOT NULL,
    names jsonb NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE endpoint (
    partner_id text PRIMARY KEY,
    url text NOT NULL,
    signature text NOT NULL CHECK (signature IN ('v1', 'v1a')),
    state text NOT NULL DEFAULT 'enabled' CHECK (state IN ('enabled', 'disabled')),
    failing_since timestamptz,
    last_failure_at timestamptz,
    probe_at timestamptz,
    reason text,
    -- counts the endpoint-* events published about it
    sequence bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every key that has not expired signs. `wrapped`: AES-256-GCM under the key-encryption key.
CREATE TABLE endpoint_secret (
    secret_id uuid PRIMARY KEY,
    partner_id text NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('v1', 'v1a')),
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz
);
CREATE INDEX endpoint_secret_partner ON endpoint_secret (partner_id);

-- One message to one agency by one channel. Same event and agency: same delivery_id, same body, for ever.
CREATE TABLE delivery (
    delivery_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('webhook', 'kafka', 'inbox')),
    -- the order in which a referral's messages go to an agency
    position bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    partner_id text NOT NULL,
    referral_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    correlation_id text,
    body bytea NOT NULL,
    journey text,
    traceparent text,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'exhausted', 'suppressed')),
    -- tries since it was queued or replayed, and tries ever
    step integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    -- counts the events published about it
    sequence integer NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner uuid,
    lease_until timestamptz,
    last_status integer,
    last_reason text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    PRIMARY KEY (delivery_id, channel)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX delivery_due ON delivery (partner_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX delivery_referral ON delivery (referral_id, position);
CREATE INDEX delivery_log ON delivery (partner_id, position);
CREATE INDEX delivery_position ON delivery (position);
CREATE INDEX delivery_ended_at ON delivery USING brin (ended_at);

CREATE TABLE attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    status integer,
    reason text,
    latency_ms integer NOT NULL,
    answer bytea NOT NULL
);
CREATE INDEX attempt_delivery ON attempt (delivery_id, id);

-- Up to which attempt of a referral the agencies are no longer asked anything.
CREATE TABLE attempt_over (
    referral_id uuid PRIMARY KEY,
    attempt_no integer NOT NULL
);

-- The running copies of this service. A lease of a copy that is not seen any more is free.
CREATE TABLE service_copy (
    copy_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
