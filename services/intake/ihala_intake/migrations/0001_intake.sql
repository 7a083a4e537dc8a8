-- Cases, consents, the vault's ciphertext, and who is addressed. Keys of the vault live in another database.

-- One row for each accepted request: the answer to give again, and a keyed fingerprint of the body.
CREATE TABLE request (
    credential_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (credential_id, key)
);
CREATE INDEX request_created_at ON request (created_at);

CREATE TABLE case_file (
    case_id uuid PRIMARY KEY,
    intake_id uuid NOT NULL,
    case_ref text NOT NULL UNIQUE,
    desk_id text NOT NULL,
    integrator_id text,
    state text NOT NULL CHECK (state IN ('submitted', 'held')),
    received_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequence bigint NOT NULL,
    journey text,
    needs jsonb NOT NULL,  -- [{need_id, need_code}]
    sealed bytea NOT NULL  -- the person's data, AES-256-GCM under the case's own key
);
CREATE INDEX case_file_desk ON case_file (desk_id, case_id);

CREATE TABLE consent (
    consent_id uuid PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES case_file,
    text_version text NOT NULL,
    lang text NOT NULL,
    mode text NOT NULL,
    basis text NOT NULL,
    scope jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    replaced_at timestamptz,
    withdrawn_at timestamptz,
    withdrawn_needs text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX consent_case ON consent (case_id);

-- Who a referral is addressed to now, learnt from referral.lifecycle.v1.
CREATE TABLE addressee (
    referral_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    need_id uuid NOT NULL,
    need_code text NOT NULL,
    partner_id text,
    partner_type text,
    attempt_no integer NOT NULL,
    sequence bigint NOT NULL
);

-- Every reading of personal data; each row's hash covers the one before.
CREATE TABLE audit (
    id bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    case_id uuid NOT NULL,
    referral_id uuid,
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
