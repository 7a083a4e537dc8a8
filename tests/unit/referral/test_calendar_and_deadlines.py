"""Clocks to the minute, as the specification's vectors give them."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ihala_events.vocabulary import Urgency
from ihala_referral.domain.calendar import CalendarError, parse_calendar, stale_zone_readings
from ihala_referral.domain.deadlines import (
    attempt_ack_due,
    deadlines_of,
    offer_lapses_at,
    one_month_after,
    reminder_at,
)
from support.referral_world import at, calendar

VECTORS = [
    ("2026-11-29 23:30", "U0", "2026-11-30 00:30", "2026-11-30 03:30"),
    ("2026-11-18 07:45", "U0", "2026-11-18 08:45", "2026-11-18 11:45"),
    ("2026-12-31 22:00", "U1", "2027-01-01 02:00", "2027-01-01 22:00"),
    ("2027-03-09 12:00", "U1", "2027-03-09 16:00", "2027-03-10 12:00"),
    ("2026-11-23 08:30", "U2", "2026-11-23 16:30", "2026-11-26 08:30"),
    ("2026-11-23 16:30", "U2", "2026-11-24 16:30", "2026-11-26 16:30"),
    ("2026-12-18 09:00", "U2", "2026-12-21 09:00", "2026-12-21 09:00"),
    ("2026-11-05 12:00", "U2", "2026-11-08 12:00", "2026-11-08 12:00"),
    ("2026-12-19 11:00", "U2", "2026-12-21 16:30", "2026-12-22 11:00"),
    ("2027-02-10 09:00", "U2", "2027-02-11 11:00", "2027-02-13 09:00"),
    ("2026-11-23 16:29", "U3", "2026-11-25 16:30", "2026-11-30 16:30"),
    ("2026-11-23 16:30", "U3", "2026-11-26 16:30", "2026-12-01 16:30"),
    ("2026-12-30 11:00", "U3", "2027-01-04 16:30", "2027-01-07 16:30"),
    ("2027-02-05 15:30", "U3", "2027-02-09 15:00", "2027-02-12 15:00"),
    ("2027-03-04 11:00", "U3", "2027-03-08 15:00", "2027-03-15 16:30"),
    ("2026-07-06 08:00", "U3", "2026-07-08 15:30", "2026-07-13 15:30"),
    ("2026-09-18 10:00", "U3", "2026-09-22 16:30", "2026-09-25 16:30"),
    ("2026-11-12 09:00", "U4", "2026-11-17 16:30", "2026-11-27 16:30"),
    ("2026-12-12 10:00", "U4", "2026-12-17 16:30", "2026-12-28 16:30"),
    ("2027-02-24 14:00", "U4", "2027-03-01 15:00", "2027-03-12 16:30"),
]


@pytest.mark.parametrize(("received", "urgency", "ack_due", "contact_due"), VECTORS)
def test_the_clocks_agree_with_the_vectors_to_the_minute(
    received: str, urgency: str, ack_due: str, contact_due: str
) -> None:
    deadlines = deadlines_of(Urgency(urgency), at(received), None, calendar())

    assert (deadlines.ack_due, deadlines.contact_due) == (at(ack_due), at(contact_due))


@pytest.mark.parametrize(
    ("received", "urgency", "ack_due", "contact_due"),
    [
        ("2026-11-16 10:15", "U2", "2026-11-17 10:15", "2026-11-19 10:15"),  # V01
        ("2026-12-05 21:40", "U1", "2026-12-06 01:40", "2026-12-06 21:40"),  # V02
        ("2026-11-05 15:00", "U3", "2026-11-10 16:30", "2026-11-13 16:30"),  # V03
        ("2026-12-07 09:00", "U2", "2026-12-08 09:00", "2026-12-10 09:00"),  # V06
        ("2026-11-24 09:20", "U3", "2026-11-26 16:30", "2026-12-01 16:30"),  # V08
        ("2026-12-14 11:00", "U4", "2026-12-17 16:30", "2026-12-28 16:30"),  # V11b
        ("2026-12-28 14:00", "U2", "2026-12-29 14:00", "2026-12-31 14:00"),  # V13
    ],
)
def test_the_clocks_agree_with_the_vignettes(received: str, urgency: str, ack_due: str, contact_due: str) -> None:
    deadlines = deadlines_of(Urgency(urgency), at(received), None, calendar())

    assert (deadlines.ack_due, deadlines.contact_due) == (at(ack_due), at(contact_due))


def test_a_hard_date_on_a_sunday_cuts_both_clocks_to_friday() -> None:
    hard_date = one_month_after(date(2026, 11, 13))

    deadlines = deadlines_of(Urgency.U2, at("2026-12-11 11:00"), hard_date, calendar())

    assert hard_date == date(2026, 12, 13)
    assert (deadlines.ack_due, deadlines.contact_due) == (at("2026-12-11 16:30"), at("2026-12-11 16:30"))


def test_a_hard_date_that_is_already_past_cuts_nothing() -> None:
    deadlines = deadlines_of(Urgency.U2, at("2026-12-14 11:00"), date(2026, 12, 13), calendar())

    assert deadlines.contact_due == at("2026-12-17 11:00")


@pytest.mark.parametrize(
    ("born", "last_day"),
    [
        (date(2026, 12, 19), date(2027, 1, 19)),
        (date(2027, 1, 31), date(2027, 2, 28)),
        (date(2028, 1, 30), date(2028, 2, 29)),
    ],
)
def test_one_month_later_is_the_same_day_number_or_the_months_last(born: date, last_day: date) -> None:
    assert one_month_after(born) == last_day


def test_an_attempt_within_ten_minutes_counts_from_receipt() -> None:
    received = at("2026-12-05 21:40")

    soon = attempt_ack_due(Urgency.U1, received, at("2026-12-05 21:50"), at("2026-12-06 21:40"), None, calendar())
    later = attempt_ack_due(Urgency.U1, received, at("2026-12-05 21:51"), at("2026-12-06 21:40"), None, calendar())

    assert (soon, later) == (at("2026-12-06 01:40"), at("2026-12-06 01:51"))


def test_a_later_attempt_is_never_due_after_a_contact_that_is_still_ahead() -> None:
    received, contact_due = at("2026-12-07 09:00"), at("2026-12-10 09:00")

    before = attempt_ack_due(Urgency.U2, received, at("2026-12-09 15:00"), contact_due, None, calendar())
    after = attempt_ack_due(Urgency.U2, received, at("2026-12-10 10:00"), contact_due, None, calendar())

    assert before == contact_due
    assert after == at("2026-12-11 10:00")


def test_a_reminder_comes_at_half_time_or_at_the_opening_of_the_last_day() -> None:
    urgent = reminder_at(Urgency.U1, at("2026-12-05 21:40"), at("2026-12-06 01:40"), calendar())
    routine = reminder_at(Urgency.U3, at("2026-11-05 15:00"), at("2026-11-10 16:30"), calendar())
    same_day = reminder_at(Urgency.U2, at("2026-11-23 08:30"), at("2026-11-23 16:30"), calendar())

    assert urgent == at("2026-12-05 23:40")
    assert routine == at("2026-11-10 08:30")
    assert same_day is None


def test_an_offered_place_lapses_at_the_close_of_the_third_working_day() -> None:
    assert offer_lapses_at(at("2026-12-17 10:00"), calendar()) == at("2026-12-22 16:30")


def test_zone_data_of_before_the_change_of_2026_are_recognised() -> None:
    stale = timezone(timedelta(hours=1))

    assert stale_zone_readings(calendar().zone) == []
    assert len(stale_zone_readings(stale)) == 2


def test_a_calendar_whose_hours_end_before_they_begin_is_refused() -> None:
    text = """
        version = "x"
        zone = "Africa/Casablanca"
        ramadan = []
        holiday = []
        yearly = []
        [hours]
        monday = ["16:30", "08:30"]
        ramadan = ["09:00", "15:00"]
    """

    with pytest.raises(CalendarError, match="end before they begin"):
        parse_calendar(text)


INSTANTS = st.integers(0, 450 * 24 * 60).map(lambda minutes: at("2026-03-01 00:00") + timedelta(minutes=minutes))


@given(received=INSTANTS, hard=st.none() | st.dates(date(2026, 3, 1), date(2027, 7, 1)))
def test_a_more_urgent_level_only_shortens_both_clocks(received: datetime, hard: date | None) -> None:
    ladder = [deadlines_of(urgency, received, hard, calendar()) for urgency in Urgency]

    assert [each.ack_due for each in ladder] == sorted(each.ack_due for each in ladder)
    assert [each.contact_due for each in ladder] == sorted(each.contact_due for each in ladder)
    assert all(received < each.ack_due <= each.contact_due for each in ladder)
