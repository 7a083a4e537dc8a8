"""A person is erased: the key is destroyed, the rows are blanked, the others are told, the ledger remembers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.catalogue import CASE_ERASED, SUBJECT_ERASED
from ihala_events.intake import SubjectErased

from ihala_intake.handlers.case_work import CaseInHand


class DestroyedKeys(Protocol):
    async def destroy(self, case_ids: Sequence[UUID]) -> None: ...


@dataclass(frozen=True, slots=True)
class EraseSubject:
    """The key goes before the transaction commits: whoever is told that the person is erased can rely on it."""

    keys: DestroyedKeys

    async def __call__(self, case: CaseInHand, actor: str, now: datetime, action: str = "erasure") -> datetime:
        """When the person was erased. Doing it again changes nothing and tells nobody twice.

        action: as the audit trail tells it; retention erases too.
        """
        if case.erased_at is None:
            erased = SubjectErased(case_id=case.case_id, case_ref=case.case_ref, erased_at=now)
            await case.write_down(actor, action, now)
            await case.blank(now)
            await case.record(SUBJECT_ERASED, erased, now)
            await case.record(CASE_ERASED, erased, now)
        await self.keys.destroy([case.case_id])
        return case.erased_at or now
