-- What finds a person again: keyed hashes alone, one row for each block that cases are compared in.
CREATE TABLE duplicate_key (
    case_id uuid NOT NULL,
    block bigint NOT NULL,
    desk_id text NOT NULL,
    received_at timestamptz NOT NULL,
    born_from smallint NOT NULL,
    born_to smallint NOT NULL,
    sex text NOT NULL,
    tokens bigint[] NOT NULL,
    spelled bigint[] NOT NULL,
    phone bigint,
    PRIMARY KEY (case_id, block)
);
CREATE INDEX duplicate_key_block ON duplicate_key (block, received_at DESC);

-- Which cases a human was asked to compare, and what they decided. Nothing is merged.
CREATE TABLE suspected_duplicate (
    case_id uuid NOT NULL,
    other_case_id uuid NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decision text CHECK (decision IN ('distinct', 'same_person')),
    decided_at timestamptz,
    decided_by text,
    staff_digest text,
    PRIMARY KEY (case_id, other_case_id)
);
CREATE INDEX suspected_duplicate_other ON suspected_duplicate (other_case_id);

-- Keep the keys of new cases and give those of earlier ones that share a block, the newest first. One statement to
-- the caller; inside, the lock comes before the look: what another copy of the service stored under it is seen.
CREATE FUNCTION keep_and_compare(
    case_ids uuid[], blocks bigint[], desk_ids text[], instants timestamptz[], born_froms smallint[],
    born_tos smallint[], sexes text[], all_tokens text[], all_spelled text[], phones bigint[], window_days integer,
    most integer
) RETURNS TABLE (
    case_id uuid, other_case_id uuid, born_from smallint, born_to smallint, sex text, tokens bigint[],
    spelled bigint[], phone bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(4191004);
    INSERT INTO duplicate_key
    SELECT given.case_id, block, desk_id, received_at, born_from, born_to, sex, tokens::bigint[], spelled::bigint[],
        phone
    FROM unnest(case_ids, blocks, desk_ids, instants, born_froms, born_tos, sexes, all_tokens, all_spelled, phones)
        AS given (case_id, block, desk_id, received_at, born_from, born_to, sex, tokens, spelled, phone);
    RETURN QUERY
    SELECT given.case_id, other.case_id, other.born_from, other.born_to, other.sex, other.tokens, other.spelled,
        other.phone
    FROM unnest(case_ids, blocks, instants, born_froms, born_tos)
        AS given (case_id, block, received_at, born_from, born_to)
    CROSS JOIN LATERAL (
        SELECT * FROM duplicate_key AS known
        WHERE known.block = given.block AND known.case_id <> given.case_id
            AND known.received_at BETWEEN given.received_at - make_interval(days => window_days)
                AND given.received_at + make_interval(days => window_days)
            AND known.born_from <= given.born_to + 2 AND known.born_to >= given.born_from - 2
        ORDER BY known.received_at DESC
        LIMIT most
    ) AS other;
END
$$;
