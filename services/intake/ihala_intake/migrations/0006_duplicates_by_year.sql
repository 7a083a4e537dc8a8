-- Blocks of common names are searched by year of birth, and only for those who can reach the score
-- (ihala_intake/domain/duplicates.py): with another telephone, both names need three words.
DROP INDEX duplicate_key_block;
CREATE INDEX duplicate_key_block_year ON duplicate_key (block, born_from);

DROP FUNCTION keep_and_compare;
CREATE FUNCTION keep_and_compare(
    case_ids uuid[], blocks bigint[], born_from_leasts smallint[], desk_ids text[], instants timestamptz[],
    born_froms smallint[], born_tos smallint[], sexes text[], all_tokens text[], all_spelled text[], phones bigint[],
    window_days integer, most integer
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
    FROM (
        SELECT *, cardinality(tokens::bigint[]) AS words
        FROM unnest(case_ids, blocks, born_from_leasts, instants, born_froms, born_tos, sexes, all_tokens, phones)
            AS each (case_id, block, born_from_least, received_at, born_from, born_to, sex, tokens, phone)
    ) AS given
    CROSS JOIN LATERAL (
        SELECT * FROM duplicate_key AS known
        WHERE known.block = given.block
            AND known.born_from BETWEEN given.born_from_least AND given.born_to + 2
            AND known.born_to >= given.born_from - 2
            AND known.case_id <> given.case_id
            AND (known.sex = given.sex OR 'U' IN (known.sex, given.sex))
            AND (known.phone = given.phone OR known.phone IS NULL OR given.phone IS NULL
                OR (given.words >= 3 AND cardinality(known.tokens) >= 3))
            AND known.received_at BETWEEN given.received_at - make_interval(days => window_days)
                AND given.received_at + make_interval(days => window_days)
        ORDER BY known.received_at DESC
        LIMIT most
    ) AS other;
END
$$;
