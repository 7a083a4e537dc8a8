"""When an agency must have answered and when the person must have been reached.

Owns the response times of each urgency and how a hard date cuts them.  `contact_due` counts from `received_at`
for good: nothing here may move it for a reroute.
"""

import calendar as month_lengths
from datetime import date, datetime, timedelta
from typing import NamedTuple

from ihala_events.vocabulary import Urgency

from ihala_referral.domain.calendar import Calendar

FROM_RECEIPT = timedelta(minutes=10)  # an attempt sent this soon still counts from received_at
OFFER_WORKING_DAYS = 3  # an offered place lapses at the close of the third working day
DUPLICATE_HOLD = timedelta(hours=4)  # a likely duplicate waits this long for a human (R06)

U0_ACK, U0_CONTACT = timedelta(hours=1), timedelta(hours=4)
U1_ACK, U1_CONTACT = timedelta(hours=4), timedelta(hours=24)
U2_ACK_WORKING_HOURS, U2_LIMIT = 8, timedelta(hours=72)
U3_ACK_DAYS, U3_CONTACT_DAYS = 2, 5
U4_ACK_DAYS, U4_CONTACT_DAYS = 3, 10


class Deadlines(NamedTuple):
    ack_due: datetime
    contact_due: datetime


def deadlines_of(urgency: Urgency, received_at: datetime, hard_date: date | None, calendar: Calendar) -> Deadlines:
    """Both deadlines of a need received at `received_at`, cut by its hard date if it has one."""
    ack_due = _ack(urgency, received_at, calendar)
    contact_due = _contact(urgency, received_at, calendar)
    return Deadlines(
        _cut(ack_due, received_at, hard_date, calendar), _cut(contact_due, received_at, hard_date, calendar)
    )


def attempt_ack_due(
    urgency: Urgency,
    received_at: datetime,
    sent_at: datetime,
    contact_due: datetime,
    hard_date: date | None,
    calendar: Calendar,
) -> datetime:
    """When the agency asked at `sent_at` must have answered."""
    begins = received_at if sent_at - received_at <= FROM_RECEIPT else sent_at
    ack_due = _cut(_ack(urgency, begins, calendar), begins, hard_date, calendar)
    return min(ack_due, contact_due) if contact_due > sent_at else ack_due


def reminder_at(urgency: Urgency, sent_at: datetime, ack_due: datetime, calendar: Calendar) -> datetime | None:
    """When to remind the agency, None when that moment is already past at `sent_at`."""
    if urgency <= Urgency.U1:
        instant = sent_at + (ack_due - sent_at) / 2
    else:
        instant = calendar.last_opening(calendar.local_date(ack_due))
    return instant if sent_at < instant < ack_due else None


def offer_lapses_at(offered_at: datetime, calendar: Calendar) -> datetime:
    return calendar.close(offered_at, OFFER_WORKING_DAYS)


def one_month_after(day: date) -> date:
    """Same day number of the next month, or that month's last day."""
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return date(year, month, min(day.day, month_lengths.monthrange(year, month)[1]))


def _ack(urgency: Urgency, begins: datetime, calendar: Calendar) -> datetime:
    match urgency:
        case Urgency.U0:
            return begins + U0_ACK
        case Urgency.U1:
            return begins + U1_ACK
        case Urgency.U2:
            return min(calendar.work(begins, U2_ACK_WORKING_HOURS), begins + U2_LIMIT)
        case Urgency.U3:
            return calendar.close(begins, U3_ACK_DAYS)
        case Urgency.U4:
            return calendar.close(begins, U4_ACK_DAYS)


def _contact(urgency: Urgency, begins: datetime, calendar: Calendar) -> datetime:
    match urgency:
        case Urgency.U0:
            return begins + U0_CONTACT
        case Urgency.U1:
            return begins + U1_CONTACT
        case Urgency.U2:
            return begins + U2_LIMIT
        case Urgency.U3:
            return calendar.close(begins, U3_CONTACT_DAYS)
        case Urgency.U4:
            return calendar.close(begins, U4_CONTACT_DAYS)


def _cut(due: datetime, begins: datetime, hard_date: date | None, calendar: Calendar) -> datetime:
    """A hard date cuts to the closing time of the last open day up to it, if that is still ahead."""
    if hard_date is None:
        return due
    closing = calendar.last_close(hard_date)
    return min(due, closing) if closing > begins else due
