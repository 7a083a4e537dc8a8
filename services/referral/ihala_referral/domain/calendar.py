"""Open hours of the territory: which instants count as working time.

Owns the answer to "when does a working day start, end, and how much of it has passed".  All arithmetic is on
UTC instants that were derived from local opening hours, day by day; never ask a zone for `dst()`, which lies
about Morocco's Ramadan.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any

ONE_DAY = timedelta(days=1)
LONGEST_CLOSURE_DAYS = 60  # a calendar without a single open day in two months is a mistake in its data


class CalendarError(ValueError):
    """The calendar's data cannot be used; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Local opening hours of one day: open at `opens`, no longer open at `closes`."""

    opens: time
    closes: time

    def __post_init__(self) -> None:
        if self.opens >= self.closes:
            raise CalendarError(f"hours {self.opens:%H:%M}-{self.closes:%H:%M} end before they begin")


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """The open part of one day, as UTC instants."""

    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Ramadan:
    """First and last local day of the reduced hours."""

    first: date
    last: date


class DayKind(StrEnum):
    """What a day is after all: closed, open at the usual hours, or open at those of Ramadan."""

    HOLIDAY = "holiday"
    WORKING = "working"
    RAMADAN = "ramadan"


@dataclass(frozen=True, slots=True)
class Correction:
    """What an operator says of one day."""

    kind: DayKind
    name: str


@dataclass(frozen=True, slots=True)
class CalendarData:
    """What a deployer edits.  week: weekday (Monday 0) -> hours, a missing day is closed."""

    version: str
    zone_key: str
    week: Mapping[int, Hours]
    ramadan_hours: Hours
    ramadans: tuple[Ramadan, ...]
    holidays: Mapping[date, str]
    yearly_holidays: Mapping[tuple[int, int], str]
    corrections: Mapping[date, Correction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One calendar for the whole territory; an agency's own hours move no deadline."""

    data: CalendarData
    zone: tzinfo
    _spans: dict[date, OpenSpan | None] = field(default_factory=dict, repr=False, compare=False)
    _closes: dict[tuple[date, int], datetime] = field(default_factory=dict, repr=False, compare=False)

    def local_date(self, instant: datetime) -> date:
        return instant.astimezone(self.zone).date()

    def corrected(self, corrections: Mapping[date, Correction]) -> "Calendar":
        """The same calendar with these days as the operator says."""
        return Calendar(replace(self.data, corrections=dict(corrections)), self.zone)

    def hours_on(self, day: date) -> Hours | None:
        """Opening hours of a local day, None when it is closed."""
        usual = self.data.week.get(day.weekday())
        if usual is None or self.holiday_on(day) is not None:
            return None
        return self.data.ramadan_hours if self._in_ramadan(day) else usual

    def holiday_on(self, day: date) -> str | None:
        """Name of the holiday, None on other days."""
        correction = self.data.corrections.get(day)
        if correction is not None:
            return correction.name if correction.kind is DayKind.HOLIDAY else None
        return self.data.holidays.get(day) or self.data.yearly_holidays.get((day.month, day.day))

    def open_span(self, day: date) -> OpenSpan | None:
        if day not in self._spans:
            self._spans[day] = self._span(day)
        return self._spans[day]

    def start(self, instant: datetime) -> datetime:
        """`instant` if it is open, else the next opening."""
        span = self._span_from(instant)
        return max(instant, span.opens_at)

    def close(self, instant: datetime, days: int) -> datetime:
        """Closing time of the `days`-th day with hours after the day of start(instant)."""
        return self._close(self._day_from(instant), days)

    def _close(self, day: date, days: int) -> datetime:
        """From an open day; remembered, as the spans are."""
        found = self._closes.get((day, days))
        if found is None:
            last = day
            for _ in range(days):
                last = self._next_open_day(last + ONE_DAY)
            found = self._closes[day, days] = self._open(last).closes_at
        return found

    def work(self, instant: datetime, hours: int) -> datetime:
        """When `hours` open hours have passed since start(instant); one that ends at closing stays there."""
        remaining = timedelta(hours=hours)
        span = self._span_from(instant)
        begins = max(instant, span.opens_at)
        while span.closes_at - begins < remaining:
            remaining -= span.closes_at - begins
            span = self._open(self._next_open_day(self.local_date(span.opens_at) + ONE_DAY))
            begins = span.opens_at
        return begins + remaining

    def worked(self, begins: datetime, ends: datetime) -> timedelta:
        """The open time between two instants; none where `ends` lies before `begins`."""
        worked, day, last = timedelta(), self.local_date(begins), self.local_date(ends)
        while day <= last:
            if span := self.open_span(day):
                worked += max(min(ends, span.closes_at) - max(begins, span.opens_at), timedelta())
            day += ONE_DAY
        return worked

    def midnight(self, day: date) -> datetime:
        """The instant at which a local day begins."""
        return self._utc(day, time())

    def last_close(self, day: date) -> datetime:
        """Closing time of the last day with hours up to and including `day`."""
        return self._open(self._last_open_day(day)).closes_at

    def last_opening(self, day: date) -> datetime:
        """Opening time of the last day with hours up to and including `day`."""
        return self._open(self._last_open_day(day)).opens_at

    def _span_from(self, instant: datetime) -> OpenSpan:
        """The span that holds `instant`, or the next one: 08:30:00 is open, 16:30:00 is not."""
        return self._open(self._day_from(instant))

    def _day_from(self, instant: datetime) -> date:
        day = self.local_date(instant)
        span = self.open_span(day)
        if span is not None and instant < span.closes_at:
            return day
        return self._next_open_day(day + ONE_DAY)

    def _next_open_day(self, day: date) -> date:
        for _ in range(LONGEST_CLOSURE_DAYS):
            if self.open_span(day) is not None:
                return day
            day += ONE_DAY
        raise CalendarError("the calendar has no open day in two months")

    def _last_open_day(self, day: date) -> date:
        for _ in range(LONGEST_CLOSURE_DAYS):
            if self.open_span(day) is not None:
                return day
            day -= ONE_DAY
        raise CalendarError("the calendar has no open day in two months")

    def _open(self, day: date) -> OpenSpan:
        span = self.open_span(day)
        assert span is not None, "asked only for days with hours"  # noqa: S101
        return span

    def _span(self, day: date) -> OpenSpan | None:
        hours = self.hours_on(day)
        if hours is None:
            return None
        return OpenSpan(self._utc(day, hours.opens), self._utc(day, hours.closes))

    def _utc(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)

    def _in_ramadan(self, day: date) -> bool:
        correction = self.data.corrections.get(day)
        if correction is not None:
            return correction.kind is DayKind.RAMADAN
        return any(ramadan.first <= day <= ramadan.last for ramadan in self.data.ramadans)


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_calendar(text: str) -> CalendarData:
    """Read a calendar file (TOML).  Local times as HH:MM, days as TOML dates, yearly days as MM-DD."""
    raw = tomllib.loads(text)
    return CalendarData(
        version=str(raw["version"]),
        zone_key=str(raw["zone"]),
        week={WEEKDAYS.index(name): _hours(value) for name, value in raw["hours"].items() if name != "ramadan"},
        ramadan_hours=_hours(raw["hours"]["ramadan"]),
        ramadans=tuple(Ramadan(row["first"], row["last"]) for row in raw["ramadan"]),
        holidays={row["day"]: str(row["name"]) for row in raw["holiday"]},
        yearly_holidays={_month_day(row["on"]): str(row["name"]) for row in raw["yearly"]},
    )


def _hours(value: Any) -> Hours:
    opens, closes = value
    return Hours(time.fromisoformat(opens), time.fromisoformat(closes))


def _month_day(value: str) -> tuple[int, int]:
    month, day = value.split("-")
    date(2000, int(month), int(day))  # refuses a day that no year has
    return int(month), int(day)


# Instants whose local reading tells fresh zone data from stale ones (IANA 2026c).
# All lie outside Ramadan 2027, where stale data agree by accident.
ZONE_PROBES: tuple[tuple[datetime, str], ...] = (
    (datetime(2026, 11, 23, 8, 30, tzinfo=UTC), "08:30"),
    (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), "13:00"),
    (datetime(2026, 3, 1, 12, 0, tzinfo=UTC), "12:00"),
)


def stale_zone_readings(zone: tzinfo) -> list[str]:
    """What the zone data get wrong about Morocco's clock; empty when they are fresh."""
    return [
        f"{instant:%Y-%m-%dT%H:%MZ} reads {instant.astimezone(zone):%H:%M}, expected {expected}"
        for instant, expected in ZONE_PROBES
        if f"{instant.astimezone(zone):%H:%M}" != expected
    ]
