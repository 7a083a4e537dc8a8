"""How often the dispatcher looks: each look goes through every agency, so that many wishes are one look."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.delivery import DueDelivery, Tried
from ihala_notification.domain.endpoint import Endpoint
from ihala_notification.handlers.dispatch import Dispatcher
from support.background import in_background
from support.notification import ObedientSender
from support.waiting import wait_until


@dataclass
class AnEmptyDatabase:
    """Holds nothing, and counts the looks into it."""

    looks: int = 0

    async def show(self, copy_id: UUID) -> None: ...

    async def still_leased(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> set[UUID]:
        return set()

    async def claim(self, copy_id: UUID, places: Mapping[str, int]) -> list[DueDelivery]:
        self.looks += 1
        return []

    async def release(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> None: ...

    async def release_lost(self, copy_id: UUID, known: Sequence[UUID]) -> None: ...

    async def hold_back(self, copy_id: UUID, due: Sequence[DueDelivery], why: Failure, seconds: float) -> None: ...

    async def give_up_old(self, older_than_seconds: float) -> None: ...

    async def record(self, copy_id: UUID, tried: Sequence[Tried], unwell: Collection[str]) -> list[Tried]:
        return []

    async def all_endpoints(self) -> list[Endpoint]:
        return []

    async def changed_lately(self, seconds: float) -> list[Endpoint]:
        return []


async def test_a_hundred_changes_in_a_moment_are_seen_in_a_few_looks() -> None:
    database = AnEmptyDatabase()
    dispatcher = Dispatcher(database, database, database, ObedientSender(), concurrency=4, give_up_after_seconds=1)
    async with in_background(dispatcher.poll):
        await wait_until(lambda: database.looks == 1, what="the first look")
        for _ in range(100):
            dispatcher.wake()
            await asyncio.sleep(0)
        await wait_until(lambda: database.looks > 1, what="a look at what changed")

    assert database.looks <= 3
