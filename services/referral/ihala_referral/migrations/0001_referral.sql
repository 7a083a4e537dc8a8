-- What routing may know of a case, kept for later choices and for counting. Blanked when the person is erased.
CREATE TABLE case_profile (
    case_id uuid PRIMARY KEY,
    case_ref text NOT NULL,
    desk_id text NOT NULL,
    commune_code text,              -- after an erasure the prefecture alone
    age_band text,
    sex text,
    language_tags jsonb NOT NULL,
    interpreter_needed boolean NOT NULL,
    recorded_by jsonb NOT NULL,     -- digests of the staff who recorded it
    consent jsonb NOT NULL,         -- basis and scope in force
    erased_at timestamptz
);

CREATE TABLE referral (
    referral_id uuid PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES case_profile,
    case_ref text NOT NULL,
    desk_id text NOT NULL,
    need_id uuid NOT NULL,
    need_code text NOT NULL,
    urgency text NOT NULL,
    state text NOT NULL,
    hold_reason text,
    partner_id text,                -- of the current attempt
    attempt_no integer NOT NULL,
    rule_id text NOT NULL,
    row_id text NOT NULL,
    rule_set_version text NOT NULL,
    received_at timestamptz NOT NULL,
    sent_at timestamptz,
    ack_due timestamptz NOT NULL,
    contact_due timestamptz NOT NULL,
    hard_deadline date,
    contacted_at timestamptz,
    outcome_code text,
    waitlisted_at timestamptz,
    offer_lapses_at timestamptz,
    unanswered boolean NOT NULL,    -- a human or an agency has until ack_due
    details jsonb NOT NULL,         -- chain, mandate, explanation, flags, alerts, last move
    sequence bigint NOT NULL,       -- of its last event
    journey text,                   -- traceparent where it began
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX referral_case ON referral (case_id);
CREATE INDEX referral_case_ref ON referral (case_ref);
CREATE INDEX referral_desk ON referral (desk_id, referral_id);
CREATE INDEX referral_waiting ON referral (partner_id, waitlisted_at) WHERE state = 'waitlisted';

CREATE TABLE attempt (
    referral_id uuid NOT NULL REFERENCES referral,
    attempt_no integer NOT NULL,
    partner_id text NOT NULL,
    partner_type text NOT NULL,
    serves text NOT NULL,           -- the need it is asked for
    state text NOT NULL,
    reason_code text,
    sent_at timestamptz NOT NULL,
    ack_due timestamptz NOT NULL,
    answered_at timestamptz,
    sent_sequence bigint NOT NULL,  -- of the event that told it
    place_taken boolean NOT NULL,
    reminded boolean NOT NULL,
    deletion text,
    correction text,
    -- written by receipts and the reconciler alone
    tried boolean NOT NULL DEFAULT false,
    receipt_at timestamptz,
    resent_at timestamptz,
    PRIMARY KEY (referral_id, attempt_no)
);
CREATE INDEX attempt_partner ON attempt (partner_id, referral_id);
CREATE INDEX attempt_without_receipt ON attempt (referral_id) WHERE receipt_at IS NULL;

-- Questions that time asks. A timer is never a fact: the state is read again when it fires.
CREATE TABLE timer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    aggregate_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    UNIQUE (aggregate_id, kind)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX timer_due ON timer (due_at);

CREATE TABLE partner (
    partner_id text PRIMARY KEY,
    record jsonb NOT NULL,
    version bigint NOT NULL,        -- the sequence of its events
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Raised with each change that routing reads, so that every copy of the service sees one directory.
CREATE TABLE directory_version (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), version bigint NOT NULL);
INSERT INTO directory_version (version) VALUES (0);

-- Free places that an agency published; no row: unknown, not counted.
CREATE TABLE capacity (
    partner_id text NOT NULL REFERENCES partner,
    need_code text NOT NULL,
    published integer NOT NULL CHECK (published >= 0),
    free integer NOT NULL CHECK (free >= 0),
    published_at timestamptz NOT NULL,
    PRIMARY KEY (partner_id, need_code)
);

CREATE TABLE rule_set (
    version text PRIMARY KEY,
    valid_from date NOT NULL,
    sha256 text NOT NULL,
    content text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE idempotent_request (
    credential_id text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    status integer,
    response jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (credential_id, key)
);
CREATE INDEX idempotent_request_age ON idempotent_request USING brin (created_at);
