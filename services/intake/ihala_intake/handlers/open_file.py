"""Opening a person's sealed file: the audit row commits first, then the file is read (P09, P20)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.intake import IntakeRequest


class Erased(Exception):
    """The key was destroyed: nobody can read this file any more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads what, for the audit trail. ``action``: ``disclosure`` or ``case-read``."""

    actor: str
    action: str
    case_id: UUID
    at: datetime
    referral_id: UUID | None = None


class AuditTrail(Protocol):
    async def commit(self, reading: Reading) -> None: ...


class Vault(Protocol):
    async def open(self, case_id: UUID, sealed: bytes) -> bytes | None:
        """None where the key is gone."""
        ...


@dataclass(frozen=True, slots=True)
class OpenFile:
    audit: AuditTrail
    vault: Vault

    async def __call__(self, reading: Reading, sealed: bytes) -> IntakeRequest:
        """Raises Erased."""
        await self.audit.commit(reading)
        private = await self.vault.open(reading.case_id, sealed)
        if private is None:
            raise Erased
        return IntakeRequest.model_validate_json(private)
