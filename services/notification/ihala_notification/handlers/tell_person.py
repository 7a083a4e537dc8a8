"""A message to a person is tried once: their safe way is asked for, a gateway takes it, or the desk does.

Rule: number and text live in this call alone; nothing of them is stored, logged or traced.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ihala_events.vocabulary import Channel
from ihala_runtime.clock import Clock

from ihala_notification.domain.attempt import AttemptResult
from ihala_notification.domain.person_message import (
    DueMessage,
    SafeWay,
    State,
    Step,
    Why,
    next_step,
    text_of,
    without_contact,
)
from ihala_notification.domain.retry_schedule import RetrySchedule
from ihala_notification.domain.wording import Messages


class ContactUnknown(Exception):
    """Intake did not say how the person may be reached."""


class Contacts(Protocol):
    async def way_to(self, case_ref: str) -> SafeWay | None:
        """None: nothing may be told.  Raises ContactUnknown."""
        ...


class Gateway(Protocol):
    async def send(self, body: bytes) -> AttemptResult: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What to write down.  after: until it is looked at again.  way: for the desk, without its number."""

    step: Step
    after: timedelta = timedelta(0)
    tried: bool = False
    way: SafeWay | None = None


@dataclass(frozen=True, slots=True)
class TellPerson:
    """contacts None: intake cannot be asked, so everything is the desk's."""

    contacts: Contacts | None
    gateways: Mapping[Channel, Gateway]
    texts: Messages
    schedule: RetrySchedule
    clock: Clock

    async def __call__(self, due: DueMessage) -> Told:
        if self.contacts is None:
            return Told(without_contact(due.channel))
        try:
            way = await self.contacts.way_to(due.case_ref)
        except ContactUnknown:
            return self._later(due, None, None)
        now = self.clock.now()
        step = next_step(way, frozenset(self.gateways), now)
        if way is None or step.not_before is None:
            return Told(step, way=way)
        if step.not_before > now:
            return Told(step, after=step.not_before - now)
        return await self._send(due, way)

    async def _send(self, due: DueMessage, way: SafeWay) -> Told:
        text = text_of(self.texts, due.message, way.language, due.case_ref)
        body = json.dumps({"to": way.phone, "text": text, "reference": str(due.message_id)}).encode()
        result = await self.gateways[way.channel].send(body)
        return Told(Step(State.SENT), tried=True) if result.is_success else self._later(due, way, result)

    def _later(self, due: DueMessage, way: SafeWay | None, result: AttemptResult | None) -> Told:
        """By the schedule; when that is over it is the desk's."""
        failed = result or AttemptResult(status=None, failure=None, latency_ms=0)
        delay = self.schedule.delay_after(due.tries + 1, failed, 0.0)
        if delay is None:
            return Told(without_contact(due.channel, Why.GIVEN_UP), tried=True, way=way)
        return Told(Step(), after=timedelta(seconds=delay), tried=True)
