"""The operator corrects a day, as when the ministry has announced a feast: open deadlines are counted again."""

from datetime import date
from typing import Annotated

from ihala_events.wire import Request, Text
from pydantic import StringConstraints

from ihala_referral.domain.calendar import Calendar, Correction, DayKind
from ihala_referral.handlers.unit_of_work import UnitOfWork


class CorrectDay(Request):
    """kind: closed all day, the usual hours after all, or the hours of Ramadan.  reason: who announced it."""

    kind: DayKind
    name: Annotated[Text, StringConstraints(max_length=80)]
    reason: Annotated[Text, StringConstraints(max_length=200)]

    @property
    def correction(self) -> Correction:
        return Correction(self.kind, self.name)


def count_again(work: UnitOfWork) -> int:
    """Every referral of this unit by the calendar as it is now; how many deadlines moved."""
    moved = 0
    for referral in work.loaded():
        happened = referral.count_again(work.scene)
        work.record(referral, happened)
        moved += bool(happened)
    return moved


def shown_day(calendar: Calendar, day: date, corrected: bool) -> dict[str, str | bool | None]:
    hours = calendar.hours_on(day)
    return {
        "day": day.isoformat(),
        "opens": f"{hours.opens:%H:%M}" if hours else None,
        "closes": f"{hours.closes:%H:%M}" if hours else None,
        "holiday": calendar.holiday_on(day),
        "corrected": corrected,
    }
