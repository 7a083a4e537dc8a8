"""Time as an entrypoint: due timers are answered.

Referrals are locked first, then their timers taken, then their state asked: the other order deadlocks with moves.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from ihala_runtime import telemetry
from ihala_runtime.background import apart
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database
from opentelemetry.trace import SpanKind

from ihala_referral.adapters import measures
from ihala_referral.adapters.affected_referrals import held_by_gone
from ihala_referral.adapters.calendar_rows import counted_by_an_older_calendar
from ihala_referral.adapters.postgres_unit import PostgresUnit, open_unit
from ihala_referral.adapters.referral_rows import lock_free_referrals
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.adapters.timer_rows import DueTimer, due_timers, postpone_timer, take_timers
from ihala_referral.adapters.waiting_rows import next_in_line
from ihala_referral.adapters.waiting_work import WaitingWork, look
from ihala_referral.handlers.answer_clock import answer_clock
from ihala_referral.handlers.correct_calendar import count_again
from ihala_referral.handlers.leave_agency import leave_agency
from ihala_referral.handlers.offer_freed_place import offer_freed_place

LOOK_AGAIN_SECONDS = 1.0
LOOK_AGAIN_UNDER_TEST_CLOCK_SECONDS = 0.1
TOGETHER = 50  # timers answered in one transaction
POSTPONED = timedelta(minutes=1)  # a timer that cannot be answered lets the others go first

_log = logger(__name__)


class Clockwork:
    """Answers the timers of every referral of this database; copies of the service share the work.

    look_again_seconds: the longest rest; a clock that does not run by itself is looked at more often.
    """

    def __init__(self, database: Database, environment: Environment, look_again_seconds: float) -> None:
        self._database = database
        self._environment = environment
        self._look_again_seconds = look_again_seconds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                rest_seconds = await self.work()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                rest_seconds = self._look_again_seconds
            await asyncio.sleep(rest_seconds)

    async def work(self) -> float:
        """Do what waits; seconds until something may wait again."""
        now = self._environment.clock.now()
        async with self._database.connection() as connection:
            waiting = await look(connection, now)
        measures.TIMERS_OVERDUE_SECONDS.set(waiting.overdue_seconds(now))
        done = 0
        if waiting.has_due_timer(now):
            done += await self.answer_due(now)
        if waiting.places_are_free:
            done += await self.offer_freed()
        if waiting.calendar_changed:
            done += await self.count_again()
        if waiting.agency_gone:
            done += await self.leave_agencies(now)
        return 0.0 if done else self._rest_seconds(waiting, now)

    def _rest_seconds(self, waiting: WaitingWork, now: datetime) -> float:
        if waiting.next_timer is None or waiting.next_timer <= now:
            return self._look_again_seconds
        return min(self._look_again_seconds, (waiting.next_timer - now).total_seconds())

    async def answer_due(self, now: datetime) -> int:
        """How many due timers were answered."""
        async with self._database.connection() as connection:
            due = await due_timers(connection, now)
        groups = [due[start : start + TOGETHER] for start in range(0, len(due), TOGETHER)]
        return sum([await self._answer_group(group, now) for group in groups])

    async def _answer_group(self, timers: Sequence[DueTimer], now: datetime) -> int:
        """Together, because they often come together; one by one where one of them cannot be answered."""
        try:
            return await self._answer(timers, now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            return sum([await self._answer_or_postpone(timer, now) for timer in timers])

    async def _answer_or_postpone(self, timer: DueTimer, now: datetime) -> int:
        try:
            return await self._answer([timer], now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.exception("timer not answered", action="timer", kind=timer.kind, referral_id=str(timer.referral_id))
            async with self._database.connection() as connection:
                await postpone_timer(connection, timer, now + POSTPONED)
            return 0

    async def _answer(self, timers: Sequence[DueTimer], now: datetime) -> int:
        async with self._database.transaction() as work, open_unit(work, self._environment) as unit:
            await unit.load([timer.referral_id for timer in timers], lock=lock_free_referrals)
            ours = [timer for timer in timers if unit.referral(timer.referral_id) is not None]
            taken = await take_timers(work.conn, ours, now)
            for timer in taken:
                self._ask(unit, timer)
        return len(taken)

    def _ask(self, unit: PostgresUnit, timer: DueTimer) -> None:
        referral = unit.referral(timer.referral_id)
        if referral is None:
            return
        with telemetry.continued(f"timer {timer.kind}", SpanKind.INTERNAL, began=referral.journey):
            telemetry.annotate(ihala__referral__id=str(timer.referral_id))
            answer_clock(referral, timer.kind, unit)

    async def offer_freed(self) -> int:
        """How many free places were offered to the head of a waiting list."""
        async with self._database.connection() as connection:
            heads = await next_in_line(connection)
        return sum([await apart(self._offer(each), "offer", referral_id=str(each)) for each in heads])

    async def _offer(self, referral_id: UUID) -> bool:
        async with self._database.transaction() as work, open_unit(work, self._environment, [referral_id]) as unit:
            referral = unit.referral(referral_id)
            if referral is None:
                return False
            with telemetry.continued("offer place", SpanKind.INTERNAL, began=referral.journey):
                return bool(offer_freed_place(referral, unit))

    async def leave_agencies(self, now: datetime) -> int:
        """How many referrals were taken from agencies that are gone; none waits for another's trouble."""
        async with self._database.connection() as connection:
            held = await held_by_gone(connection, now)
        return sum([await apart(self._leave(each), "leave", referral_id=str(each)) for each in held])

    async def _leave(self, referral_id: UUID) -> bool:
        async with self._database.transaction() as work, open_unit(work, self._environment) as unit:
            await unit.load([referral_id], lock=lock_free_referrals)
            referral = unit.referral(referral_id)
            if referral is None:
                return False
            with telemetry.continued("leave agency", SpanKind.INTERNAL, began=referral.journey):
                return bool(leave_agency(referral, unit))

    async def count_again(self) -> int:
        """How many referrals were counted by an older calendar."""
        async with self._database.connection() as connection:
            older = await counted_by_an_older_calendar(connection)
        try:
            return await self._count(older)
        except Exception as error:
            if is_infrastructure(error):
                raise
            return sum([await apart(self._count([each]), "count", referral_id=str(each)) for each in older])

    async def _count(self, referral_ids: Sequence[UUID]) -> int:
        if referral_ids:
            async with self._database.transaction() as work, open_unit(work, self._environment, referral_ids) as unit:
                count_again(unit)
        return len(referral_ids)
