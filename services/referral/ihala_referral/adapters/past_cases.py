"""Past cases as they were routed, read in pieces, for trying other rules on them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from uuid import UUID

import asyncpg
from ihala_events.intake import RoutingProfile
from ihala_runtime.postgres import Database

from ihala_referral.domain.case import case_of_profile, consent_of
from ihala_referral.domain.comparison import PastCase

CASES_AT_ONCE = 200
LAST = UUID(int=2**128 - 1)


async def kept_cases(database: Database) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """Every kept case, the newest first, some at a time, no transaction between; rows for `past_case`."""
    before = LAST
    while True:
        async with database.connection() as connection:
            rows = await connection.fetch(
                "SELECT case_id, case_ref, routed_at, profile::text AS profile FROM case_profile"
                " WHERE profile IS NOT NULL AND case_id < $1 ORDER BY case_id DESC LIMIT $2",
                before,
                CASES_AT_ONCE,
            )
        if not rows:
            return
        yield rows
        before = rows[-1]["case_id"]


def past_case(row: asyncpg.Record) -> PastCase:
    profile = RoutingProfile.model_validate_json(row["profile"])
    case = case_of_profile(profile, consent_of(profile.consent), {})
    return PastCase(row["case_id"], row["case_ref"], row["routed_at"], case)


async def referral_ids(connection: asyncpg.Connection, case_ids: Iterable[UUID]) -> dict[tuple[UUID, str], UUID]:
    """By case and need."""
    rows = await connection.fetch(
        "SELECT case_id, need_code, referral_id FROM referral WHERE case_id = ANY($1::uuid[])", sorted(set(case_ids))
    )
    return {(row["case_id"], row["need_code"]): row["referral_id"] for row in rows}
