"""The addressed agency reads the person's details: only it, only what its agreement allows, and it is written down.

Without a consent or an agreement in force nothing is read.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.directory import Agreement, DisclosureField
from ihala_events.intake import ConsentScope
from ihala_events.vocabulary import ConsentBasis, PartnerType

from ihala_intake.domain.disclosure import Disclosure, agreed_fields, coordination_may_read, disclose
from ihala_intake.handlers.open_file import OpenFile, Reading


@dataclass(frozen=True, slots=True)
class Addressed:
    """A referral that is addressed to the asking agency now, with the consent of its case."""

    referral_id: UUID
    case_id: UUID
    case_ref: str
    need_code: str
    partner_id: str
    partner_type: str
    sealed: bytes
    basis: ConsentBasis
    scope: list[ConsentScope]
    agreements: list[Agreement]


class Addressing(Protocol):
    async def find(self, case_ref: str, referral_id: UUID, partner_id: str) -> Addressed | None:
        """None when it is not addressed to that agency, or consent does not hold for the need."""
        ...


@dataclass(frozen=True, slots=True)
class Disclose:
    addressing: Addressing
    open_file: OpenFile

    async def __call__(
        self, case_ref: str, referral_id: UUID, partner_id: str, actor: str, now: datetime
    ) -> Disclosure | None:
        """None: not to be told apart from a missing one. Raises Erased."""
        found = await self.addressing.find(case_ref, referral_id, partner_id)
        fields = None if found is None else _fields(found, now)
        if found is None or fields is None:
            return None
        reading = Reading(actor, "disclosure", found.case_id, now, referral_id)
        intake = await self.open_file(reading, found.sealed)
        return disclose(intake, fields, referral_id=referral_id, case_ref=case_ref, need_code=found.need_code, at=now)


def _fields(found: Addressed, now: datetime) -> frozenset[DisclosureField] | None:
    """None: it may not read.  The coordination cell is the deployer's own: consent alone decides."""
    if found.partner_type != PartnerType.COORD:
        return agreed_fields(found.agreements, found.need_code, now.date())
    may_read = coordination_may_read(found.basis, found.scope, found.partner_id)
    return frozenset(DisclosureField) if may_read else None
