"""What was recorded wrongly of a person is put right; whoever received it is told that it changed.

Names, phone and birth year are told by the field's name alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.catalogue import CASE_CORRECTED
from ihala_events.intake import IntakeRequest

from ihala_intake.domain.correction import Correction, changed_fields, corrected, told_of
from ihala_intake.domain.duplicates import Keyed, person_keys
from ihala_intake.handlers.case_work import CaseInHand
from ihala_intake.handlers.open_file import Erased, Vault


class ResealingVault(Vault, Protocol):
    async def seal_again(self, case_id: UUID, private: bytes) -> bytes | None:
        """Under the case's own key; None where it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class CorrectCase:
    vault: ResealingVault
    keyed: Keyed

    async def __call__(self, case: CaseInHand, correction: Correction, actor: str, now: datetime) -> list[str]:
        """The fields that changed; none, and nobody is told, when they read so before. Raises Erased."""
        await case.write_down(actor, "correction", now)
        private = await self.vault.open(case.case_id, case.sealed)
        if private is None:
            raise Erased
        before = IntakeRequest.model_validate_json(private)
        after = corrected(before, correction)
        fields = changed_fields(before, after, correction)
        if fields:
            await self._keep(case, after)
            await case.record(CASE_CORRECTED, told_of(case.case_id, case.case_ref, after, fields), now)
        return fields

    async def _keep(self, case: CaseInHand, intake: IntakeRequest) -> None:
        private = intake.model_dump_json(exclude_none=True).encode()
        sealed = await self.vault.seal_again(case.case_id, private)
        if sealed is None:
            raise Erased
        await case.replace_file(sealed, person_keys(intake, intake.phone, self.keyed))
