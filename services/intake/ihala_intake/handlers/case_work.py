"""A case in hand: its row is locked, its events are counted by its own sequence."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.catalogue import EventType
from ihala_events.intake import ConsentRequest
from ihala_events.wire import Payload

from ihala_intake.domain.duplicates import PersonKeys


class CaseInHand(Protocol):
    @property
    def case_id(self) -> UUID: ...

    @property
    def case_ref(self) -> str: ...

    async def replace_consent(self, consent_id: UUID, given: ConsentRequest, at: datetime) -> None: ...

    async def withdraw_consent(self, consent_id: UUID, need_codes: list[str] | None, at: datetime) -> None: ...

    @property
    def sealed(self) -> bytes: ...

    async def replace_file(self, sealed: bytes, person: PersonKeys | None) -> None:
        """The person's data as they read now, and what finds the person again."""
        ...

    @property
    def erased_at(self) -> datetime | None: ...

    async def blank(self, at: datetime) -> None:
        """Take out of the rows whatever tells of the person."""
        ...

    async def write_down(self, actor: str, action: str, at: datetime) -> None:
        """A row of the audit trail, in the same transaction."""
        ...

    async def record(self, kind: EventType, payload: Payload, at: datetime) -> None: ...
