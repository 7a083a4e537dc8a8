"""Erasures of the ledger applied again: to a restored copy of the databases, and to what was still on its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ihala_events.catalogue import SUBJECT_ERASED
from ihala_events.intake import SubjectErased
from ihala_runtime.postgres import Database, Work

from ihala_intake.adapters import cases
from ihala_intake.adapters.blanking import blank_events
from ihala_intake.adapters.case_in_hand import LockedCase
from ihala_intake.adapters.keys import CaseKeys

ACTOR = "system:erasure-ledger"


@dataclass(frozen=True, slots=True)
class Erasures:
    """Applies erasures of the ledger again, as often as one likes: what a restored copy brought back is gone."""

    database: Database
    keys: CaseKeys

    async def apply_again(self, erasures: Sequence[SubjectErased]) -> int:
        """How many cases had come back."""
        if not erasures:
            return 0
        case_ids = [each.case_id for each in erasures]
        await self.keys.destroy(case_ids)
        async with self.database.transaction() as work:
            back = await self._come_back(work, case_ids)
            for erased in erasures:
                if erased.case_ref in back:
                    await self._erase_again(work, erased)
            await blank_events(work.conn, case_ids)
        return len(back)

    async def _come_back(self, work: Work, case_ids: Sequence[UUID]) -> set[str]:
        rows = await work.conn.fetch(
            "SELECT case_ref FROM case_file WHERE case_id = ANY($1) AND (erased_at IS NULL OR sealed <> '')"
            " ORDER BY case_id FOR UPDATE",
            case_ids,
        )
        return {row["case_ref"] for row in rows}

    async def _erase_again(self, work: Work, erased: SubjectErased) -> None:
        """The other services may have been restored too: they are told once more."""
        file = await cases.find_case(work.conn, erased.case_ref, lock=True)
        if file is not None:
            case = LockedCase(work, file)
            await case.write_down(ACTOR, "erasure", erased.erased_at)
            await case.blank(erased.erased_at)
            await case.record(SUBJECT_ERASED, erased, erased.erased_at)
