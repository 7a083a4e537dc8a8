-- What persons are told.  Nothing here says who they are: the number is read when it is needed, and not kept.
CREATE TABLE person_message (
    message_id uuid PRIMARY KEY,    -- made of the event's: the same event is the same message, for the gateway too
    -- the order of the list of tasks
    position bigint GENERATED ALWAYS AS IDENTITY,
    referral_id uuid NOT NULL,
    case_id uuid NOT NULL,
    case_ref text NOT NULL,
    desk_id text NOT NULL,
    message text NOT NULL CHECK (message IN ('referred', 'news', 'redirected', 'withdrawn')),
    -- DESK: the desk tells it when the person comes
    channel text NOT NULL CHECK (channel IN ('CALL', 'SMS', 'WHATSAPP', 'RELAY', 'DESK')),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'done', 'suppressed', 'failed')),
    -- the desk's work, no longer the service's
    is_task boolean NOT NULL DEFAULT false,
    language text,
    hours text,
    voicemail_ok boolean NOT NULL DEFAULT false,
    to_guardian boolean NOT NULL DEFAULT false,
    tries integer NOT NULL DEFAULT 0,
    not_reached integer NOT NULL DEFAULT 0,
    -- why it is a task, was suppressed or failed
    reason text,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX person_message_once ON person_message (referral_id, message) WHERE message <> 'news';
CREATE INDEX person_message_created_at ON person_message USING brin (created_at);
CREATE INDEX person_message_referral ON person_message (referral_id);
CREATE INDEX person_message_due ON person_message (next_attempt_at) WHERE state = 'pending' AND NOT is_task;
CREATE INDEX person_message_task ON person_message (desk_id, position) WHERE is_task;
CREATE INDEX person_message_case ON person_message (case_id) WHERE state = 'pending';

-- What a desk answered, by its Idempotency-Key.
CREATE TABLE task_answer (
    credential_id text NOT NULL,
    key text NOT NULL,
    message_id uuid NOT NULL REFERENCES person_message ON DELETE CASCADE,
    result text NOT NULL CHECK (result IN ('reached', 'not_reached', 'wrong_number')),
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (credential_id, key)
);
CREATE INDEX task_answer_message ON task_answer (message_id);
