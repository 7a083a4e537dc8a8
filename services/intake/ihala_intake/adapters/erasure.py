"""Erasures of the ledger applied again: to a restored copy of the databases, and to what was still on its way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ihala_events.catalogue import SUBJECT_ERASED
from ihala_events.intake import SubjectErased
from ihala_runtime.postgres import Database, Work

from ihala_intake.adapters import cases
from ihala_intake.adapters.blanking import blank_events, not_blank_yet
from ihala_intake.adapters.case_in_hand import LockedCase
from ihala_intake.adapters.keys import CaseKeys

ACTOR = "system:erasure-ledger"


@dataclass(slots=True)
class Erasures:
    """Applies erasures of the ledger again, as often as one likes: what a restored copy brought back is gone.

    A case whose events are still on their way to Kafka is blanked once they are out, at a later call; a copy of the
    service that is started anew hears of all cases again.
    """

    database: Database
    keys: CaseKeys
    _on_their_way: set[UUID] = field(default_factory=set)

    async def apply_again(self, erasures: Sequence[SubjectErased]) -> int:
        """How many cases had come back."""
        told = [each.case_id for each in erasures]
        if not told and not self._on_their_way:
            return 0
        await self.keys.destroy(told)
        async with self.database.transaction() as work:
            back = await self._come_back(work, told)
            for erased in erasures:
                if erased.case_ref in back:
                    await self._erase_again(work, erased)
            on_their_way = await self._blank(work, [*told, *self._on_their_way])
        self._on_their_way = on_their_way
        return len(back)

    async def _blank(self, work: Work, case_ids: Sequence[UUID]) -> set[UUID]:
        """The cases that must be looked at again."""
        await blank_events(work.conn, case_ids)
        return await not_blank_yet(work.conn, case_ids)

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
