"""Erasures of the ledger applied again: a restored copy of this database may not know of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ihala_events.intake import SubjectErased
from ihala_runtime.postgres import Database

from ihala_referral.adapters.postgres_unit import open_unit
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.handlers.erase_case import erase_case

_COME_BACK = "SELECT case_id FROM case_profile WHERE case_id = ANY($1::uuid[]) AND erased_at IS NULL"


@dataclass(frozen=True, slots=True)
class Erasures:
    database: Database
    environment: Environment

    async def apply_again(self, erasures: Sequence[SubjectErased]) -> int:
        """How many cases were not erased here yet."""
        if not erasures:
            return 0
        by_case = {each.case_id: each for each in erasures}
        async with self.database.connection() as connection:
            rows = await connection.fetch(_COME_BACK, list(by_case))
        for row in rows:
            case_id = row["case_id"]
            async with (
                self.database.transaction() as work,
                open_unit(work, self.environment, case_ids=[case_id]) as unit,
            ):
                erase_case(by_case[case_id], unit)
        return len(rows)
