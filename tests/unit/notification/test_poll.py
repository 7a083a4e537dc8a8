"""How often the dispatcher looks: each look goes through every agency, so that many wishes are one look. And what it
makes of an answer that is older than what it knows."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID, uuid4

from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.delivery import Delivery, DueDelivery, Tried
from ihala_notification.domain.endpoint import Endpoint, EndpointHealth
from ihala_notification.domain.signing import SignatureKind, SigningKey
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


AGENCY, ADDRESS = "essp-agadir", "https://agency.example/hook"


def a_due_delivery() -> DueDelivery:
    sent = "ihala.referral.sent.v1"
    delivery = Delivery(uuid4(), uuid4(), sent, AGENCY, uuid4(), 1, None, b"{}", None, None)
    return DueDelivery(delivery, 0, 0, 0, lease_ends=monotonic() + 120)


@dataclass
class AForgottenLease(AnEmptyDatabase):
    """Gives a copy that was not seen for a while its own lease anew; the try that was under way ends meanwhile."""

    due: DueDelivery = field(default_factory=a_due_delivery)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    written_down: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, copy_id: UUID, places: Mapping[str, int]) -> list[DueDelivery]:
        self.looks += 1
        if self.looks == 1:  # it learns of the agency
            return []
        self.gate.set()
        await self.written_down.wait()
        await asyncio.sleep(0)  # the dispatcher has forgotten it
        return [self.due]

    async def record(self, copy_id: UUID, tried: Sequence[Tried], unwell: Collection[str]) -> list[Tried]:
        self.written_down.set()
        return list(tried)

    async def all_endpoints(self) -> list[Endpoint]:
        key = SigningKey.new(SignatureKind.HMAC)
        return [Endpoint(AGENCY, ADDRESS, SignatureKind.HMAC, (key,), EndpointHealth())]


async def test_what_was_in_hand_when_a_look_began_is_not_sent_again_though_it_ended_meanwhile() -> None:
    database, sender = AForgottenLease(), ObedientSender()
    sender.gates[ADDRESS] = database.gate
    dispatcher = Dispatcher(database, database, database, sender, concurrency=4, give_up_after_seconds=1)
    await dispatcher.be_seen()
    await dispatcher.look()
    dispatcher.offer([database.due])
    await wait_until(lambda: sender.sent, what="the first try")

    async with in_background(dispatcher.record):
        await dispatcher.look()
    await dispatcher.finish()

    assert len(sender.sent) == 1
