-- Claim the requests' keys and compare their persons, in one statement to the caller. Of each request whose key was
-- new: its place among those given (from 0), and the cases that share a block with its own, null where there is none.
-- Inside, the lock comes before the look: what another copy of the service stored under it is seen.
-- keep_and_compare stays for copies of the release before, which run until each of them is replaced.
CREATE FUNCTION claim_and_compare(
    credential_ids text[], keys text[], fingerprints bytea[], answers text[],  -- one for each request
    places integer[], case_ids uuid[], blocks bigint[], born_from_leasts smallint[], desk_ids text[],
    instants timestamptz[], born_froms smallint[], born_tos smallint[], sexes text[], all_tokens text[],
    all_spelled text[], phones bigint[],  -- one for each block of a request's person
    window_days integer, most integer
) RETURNS TABLE (
    place integer, other_case_id uuid, born_from smallint, born_to smallint, sex text, tokens bigint[],
    spelled bigint[], phone bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    new integer[];
BEGIN
    WITH claimed AS (
        INSERT INTO request (credential_id, key, fingerprint, answer)
        SELECT credential_id, key, fingerprint, answer::jsonb
        FROM unnest(credential_ids, keys, fingerprints, answers) AS given (credential_id, key, fingerprint, answer)
        ON CONFLICT DO NOTHING RETURNING credential_id, key
    )
    SELECT array_agg(place - 1) INTO new
    FROM unnest(credential_ids, keys) WITH ORDINALITY AS given (credential_id, key, place)
    JOIN claimed USING (credential_id, key);

    IF places && new THEN
        PERFORM pg_advisory_xact_lock(4191004);
        INSERT INTO duplicate_key
        SELECT case_id, block, desk_id, received_at, born_from, born_to, sex, tokens::bigint[], spelled::bigint[], phone
        FROM unnest(places, case_ids, blocks, desk_ids, instants, born_froms, born_tos, sexes, all_tokens, all_spelled,
            phones) AS given (place, case_id, block, desk_id, received_at, born_from, born_to, sex, tokens, spelled,
            phone)
        WHERE place = ANY(new);
    END IF;
    RETURN QUERY
    SELECT mine.place, other.case_id, other.born_from, other.born_to, other.sex, other.tokens, other.spelled,
        other.phone
    FROM unnest(new) AS mine (place)
    LEFT JOIN (
        SELECT *, cardinality(tokens::bigint[]) AS words
        FROM unnest(places, case_ids, blocks, born_from_leasts, instants, born_froms, born_tos, sexes, all_tokens,
            phones) AS each (place, case_id, block, born_from_least, received_at, born_from, born_to, sex, tokens,
            phone)
    ) AS given ON given.place = mine.place
    LEFT JOIN LATERAL (
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
    ) AS other ON true;
END
$$;
