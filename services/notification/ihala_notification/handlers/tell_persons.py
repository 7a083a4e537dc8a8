"""Messages to persons, a few each second: nobody waits for milliseconds here, and the agencies come first."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ihala_notification.domain.person_message import DueMessage
from ihala_notification.handlers.tell_person import TellPerson, Told

AT_ONCE = 10
EVERY_SECONDS = 1.0


class DueMessages(Protocol):
    async def claim(self, count: int) -> Sequence[DueMessage]:
        """Due messages, this copy's for a minute."""
        ...

    async def settle(self, due: DueMessage, told: Told) -> None: ...


@dataclass(frozen=True, slots=True)
class TellPersons:
    messages: DueMessages
    tell: TellPerson

    async def once(self) -> None:
        await asyncio.gather(*map(self._one, await self.messages.claim(AT_ONCE)))

    async def _one(self, due: DueMessage) -> None:
        await self.messages.settle(due, await self.tell(due))
