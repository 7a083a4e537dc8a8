"""Time as an entrypoint: due timers are answered, lost messages found.

A timer is one transaction: the referral is locked first, then the timer is taken, then the state is read.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from ihala_runtime import telemetry
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database
from opentelemetry.trace import SpanKind

from ihala_referral.adapters import measures
from ihala_referral.adapters.calendar_rows import counted_by_an_older_calendar
from ihala_referral.adapters.postgres_unit import open_unit
from ihala_referral.adapters.receipt_rows import send_lost_again
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.adapters.timer_rows import DueTimer, due_timers, oldest_due, postpone_timer, take_timer
from ihala_referral.adapters.waiting_rows import next_in_line
from ihala_referral.handlers.answer_clock import answer_clock
from ihala_referral.handlers.correct_calendar import count_again
from ihala_referral.handlers.offer_freed_place import offer_freed_place

LOOK_AGAIN_SECONDS = 0.25
RECONCILE_EVERY_SECONDS = 10.0
POSTPONED = timedelta(minutes=1)  # a timer that cannot be answered lets the others go first

_log = logger(__name__)


class Clockwork:
    """Answers the timers of every referral of this database; copies of the service share the work."""

    def __init__(self, database: Database, environment: Environment) -> None:
        self._database = database
        self._environment = environment

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                answered = await self.answer_due() + await self.offer_freed() + await self.count_again()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                answered = 0
            if not answered:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def answer_due(self) -> int:
        """How many due timers were answered."""
        now = self._environment.clock.now()
        async with self._database.connection() as connection:
            due = await due_timers(connection, now)
            measures.TIMERS_OVERDUE_SECONDS.set(_overdue(await oldest_due(connection, now), now))
        return sum([await self._answer_or_log(timer, now) for timer in due])

    async def offer_freed(self) -> int:
        """How many free places were offered to the head of a waiting list."""
        async with self._database.connection() as connection:
            heads = await next_in_line(connection)
        return sum([await self._offer(referral_id) for referral_id in heads])

    async def _offer(self, referral_id: UUID) -> bool:
        async with self._database.transaction() as work, open_unit(work, self._environment, [referral_id]) as unit:
            referral = unit.referral(referral_id)
            if referral is None:
                return False
            with telemetry.continued("offer place", SpanKind.INTERNAL, began=referral.journey):
                return bool(offer_freed_place(referral, unit))

    async def count_again(self) -> int:
        """How many referrals were counted by an older calendar."""
        async with self._database.connection() as connection:
            older = await counted_by_an_older_calendar(connection)
        if older:
            async with self._database.transaction() as work, open_unit(work, self._environment, older) as unit:
                count_again(unit)
        return len(older)

    async def _answer_or_log(self, timer: DueTimer, now: datetime) -> bool:
        try:
            return await self._answer(timer, now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.exception("timer not answered", action="timer", kind=timer.kind, referral_id=str(timer.referral_id))
            async with self._database.connection() as connection:
                await postpone_timer(connection, timer, now + POSTPONED)
            return False

    async def _answer(self, timer: DueTimer, now: datetime) -> bool:
        async with (
            self._database.transaction() as work,
            open_unit(work, self._environment, [timer.referral_id]) as unit,
        ):
            if not await take_timer(work.conn, timer, now):
                return False
            referral = unit.referral(timer.referral_id)
            if referral is not None:
                with telemetry.continued(f"timer {timer.kind}", SpanKind.INTERNAL, began=referral.journey):
                    telemetry.annotate(ihala__referral__id=str(timer.referral_id))
                    answer_clock(referral, timer.kind, unit)
        return True


def _overdue(oldest: datetime | None, now: datetime) -> float:
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


class Reconciler:
    """Finds `sent` events that nobody confirmed and publishes them again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(RECONCILE_EVERY_SECONDS)
            try:
                await self.look()
            except Exception as error:
                if not is_infrastructure(error):
                    raise

    async def look(self) -> int:
        async with self._database.transaction() as work:
            found = await send_lost_again(work.conn)
        if found:
            measures.SENT_AGAIN.inc(found)
            self._database.committed.set()
            _log.warning("sent again without a receipt", action="reconcile", count=found)
        return found
