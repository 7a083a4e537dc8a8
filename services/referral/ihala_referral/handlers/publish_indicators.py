"""A quarter's indicators are published: once, some weeks after its end, and never again with other numbers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from ihala_events.wire import rfc3339

from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.indicators import Counted, Cut, Figures, Period, quarters, whole_years

RESTRICTED = "restricted"
"""What a year's release holds instead of cuts."""


class Reading(Protocol):
    """One snapshot of what is counted."""

    def referrals(self, period: Period, calendar: Calendar) -> AsyncIterator[Sequence[Counted]]: ...

    async def people_informed(self, period: Period) -> int: ...

    async def first_day(self, calendar: Calendar) -> date | None: ...


class Reports(Protocol):
    async def released(self, period: Period) -> dict[str, Any] | None: ...

    async def release(self, period: Period, at: datetime, content: dict[str, Any]) -> dict[str, Any]:
        """What stands: this, or what was released before."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Reading]: ...


class NotReleasedYet(Exception):
    """on: the local day from which it is."""

    def __init__(self, on: date) -> None:
        super().__init__(f"released on {on.isoformat()}")
        self.on = on


@dataclass(frozen=True, slots=True)
class PublishIndicators:
    """release_after: from the end of a period, so that what was begun in it has had its time."""

    reports: Reports
    release_after: timedelta

    async def __call__(
        self, first: date, end: date, cut: Cut, now: datetime, calendar: Calendar
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(quarters, years of restricted needs).  Raises PeriodRefused, NotReleasedYet."""
        asked = quarters(first, end)
        released_on = asked[-1].end + self.release_after
        if calendar.local_date(now) < released_on:
            raise NotReleasedYet(released_on)
        return (
            [_shown(await self._released(each, now, calendar), cut.value) for each in asked],
            [_shown(await self._released(each, now, calendar), RESTRICTED) for each in whole_years(first, end)],
        )

    async def publish_due(self, now: datetime, calendar: Calendar) -> None:
        """Everything that may be published by now, before retention takes away what it is counted from."""
        async with self.reports.reading() as reading:
            day = await reading.first_day(calendar)
        due = calendar.local_date(now) - self.release_after
        if day is None:
            return
        begins = date(day.year, 1, 1)
        for period in _periods_up_to(begins, due):
            await self._released(period, now, calendar)

    async def _released(self, period: Period, now: datetime, calendar: Calendar) -> dict[str, Any]:
        standing = await self.reports.released(period)
        if standing is not None:
            return standing
        return await self.reports.release(period, now, await self._content(period, now, calendar))

    async def _content(self, period: Period, now: datetime, calendar: Calendar) -> dict[str, Any]:
        figures = Figures(calendar)
        async with self.reports.reading() as reading:
            async for some in reading.referrals(period, calendar):
                for each in some:
                    figures.add(each)
            informed = await reading.people_informed(period)
        head = {"period": period.label, "from": period.first.isoformat(), "to": period.end.isoformat()}
        cuts = {RESTRICTED: figures.of_restricted_needs()} if period.is_year else figures.of_quarter(informed)
        return head | {"released_at": rfc3339(now), "cuts": cuts}


def _periods_up_to(begins: date, due: date) -> list[Period]:
    """Quarters and years from a New Year's day on that ended by `due`."""
    periods = []
    while begins <= due:
        following = date(begins.year + 1, 1, 1)
        periods += [*quarters(begins, following), *whole_years(begins, following)]
        begins = following
    return [period for period in periods if period.end <= due]


def _shown(release: dict[str, Any], cut: str) -> dict[str, Any]:
    return {name: value for name, value in release.items() if name != "cuts"} | {"lines": release["cuts"][cut]}
