"""Which cases the desk linked as one household, and where their referrals are."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from ihala_referral.domain.household import Leg

# Links are followed both ways and on: two children of one mother belong together.
_HOUSEHOLDS = """
WITH RECURSIVE member (asked, case_id) AS (
    SELECT given, given FROM unnest($1::uuid[]) AS given
    UNION
    SELECT m.asked, CASE WHEN l.case_id = m.case_id THEN l.other_case_id ELSE l.case_id END
    FROM member m JOIN household_link l ON m.case_id IN (l.case_id, l.other_case_id)
)
"""


async def link_household(connection: asyncpg.Connection, case_id: UUID, others: Sequence[UUID]) -> None:
    await connection.execute(
        "INSERT INTO household_link (case_id, other_case_id) SELECT $1, * FROM unnest($2::uuid[])"
        " ON CONFLICT DO NOTHING",
        case_id,
        [other for other in others if other != case_id],
    )


async def read_others(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Of each case, the other members of its household."""
    rows = await connection.fetch(
        f"{_HOUSEHOLDS} SELECT asked, array_agg(case_id) AS others FROM member WHERE case_id <> asked GROUP BY asked",
        case_ids,
    )
    return {row["asked"]: frozenset(row["others"]) for row in rows}


async def read_legs(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> dict[UUID, Leg]:
    """The referrals of these cases that an agency has now, by their ids."""
    rows = await connection.fetch(
        "SELECT referral_id, case_id, need_code, partner_id FROM referral WHERE case_id = ANY($1::uuid[])"
        " AND state NOT IN ('proposed', 'closed', 'withdrawn')",
        case_ids,
    )
    return {row["referral_id"]: Leg(row["case_id"], row["need_code"], row["partner_id"]) for row in rows}


async def read_household_refs(
    connection: asyncpg.Connection, case_ref: str, desk_ids: Sequence[str] | None
) -> list[str]:
    """References of the other members, of these desks alone (None: of any), if the case itself is one of theirs."""
    rows = await connection.fetch(
        f"{_HOUSEHOLDS} SELECT DISTINCT p.case_ref FROM member JOIN case_profile p USING (case_id)"
        " WHERE p.case_ref <> $2 AND ($3::text[] IS NULL OR p.desk_id = ANY($3)) ORDER BY p.case_ref",
        await _cases(connection, case_ref, desk_ids),
        case_ref,
        desk_ids,
    )
    return [row["case_ref"] for row in rows]


async def _cases(connection: asyncpg.Connection, case_ref: str, desk_ids: Sequence[str] | None) -> list[UUID]:
    rows = await connection.fetch(
        "SELECT DISTINCT case_id FROM referral WHERE case_ref = $1 AND ($2::text[] IS NULL OR desk_id = ANY($2))",
        case_ref,
        desk_ids,
    )
    return [row["case_id"] for row in rows]


async def forget_household(connection: asyncpg.Connection, case_id: UUID) -> None:
    await connection.execute("DELETE FROM household_link WHERE case_id = $1 OR other_case_id = $1", case_id)
