"""Another service asks how a person may be told something; written down before the file is opened, and never kept."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.vocabulary import ConsentBasis

from ihala_intake.domain.safe_contact import SafeWay, may_be_told, safe_way
from ihala_intake.handlers.open_file import OpenFile, Reading


@dataclass(frozen=True, slots=True)
class Reachable:
    """A case with a consent in force.  need_codes: asked, and of its referrals."""

    case_id: UUID
    sealed: bytes
    basis: ConsentBasis
    language: str
    need_codes: Collection[str]


class Reachables(Protocol):
    async def find(self, case_ref: str) -> Reachable | None:
        """None: no such case, erased, or without a consent."""
        ...


@dataclass(frozen=True, slots=True)
class ReadContact:
    reachables: Reachables
    open_file: OpenFile

    async def __call__(self, case_ref: str, actor: str, now: datetime) -> SafeWay | None:
        """None: nothing may be told.  Raises Erased."""
        found = await self.reachables.find(case_ref)
        if found is None or not may_be_told(found.basis, found.need_codes):
            return None
        intake = await self.open_file(Reading(actor, "contact", found.case_id, now), found.sealed)
        return safe_way(intake, found.basis, found.language)
