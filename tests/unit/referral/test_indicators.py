"""I01 to I14 by hand, on a calendar that the deadlines use."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from ihala_events import catalogue
from ihala_events.vocabulary import PartnerType, Urgency
from ihala_referral.domain.indicators import (
    AskedAgency,
    Counted,
    Cut,
    Event,
    Figures,
    PeriodRefused,
    quarters,
    whole_years,
)
from ihala_runtime.identifiers import uuid7
from support.referral_world import at, calendar

SENT = at("2026-11-16 10:00")
DUE = at("2026-11-17 10:00")
HOUR = timedelta(hours=1)


def asked(answered: datetime | None = None, reason: str | None = None, **changes: Any) -> AskedAgency:
    values: dict[str, Any] = {"service": PartnerType.ESSP, "sent_at": SENT, "ack_due": DUE} | changes
    return AskedAgency(answered_at=answered, reason_code=reason, **values)


def happened(kind: catalogue.EventType, when: datetime, attempt_no: int = 1, reason: str | None = None) -> Event:
    return Event(kind.type, when, attempt_no, reason)


def a_referral(**changes: Any) -> Counted:
    """Sent on a Monday to a health centre, which has not answered."""
    values: dict[str, Any] = {
        "case_id": uuid7(),
        "need_code": "HEA-MAT",
        "urgency": Urgency.U2,
        "sex": "F",
        "age_band": "25-59",
        "commune_code": "AGD-AGADIR",
        "received_at": SENT,
        "contact_due": at("2026-11-19 10:00"),
        "contacted_at": None,
        "outcome_code": None,
        "waiting": False,
        "language_gap": False,
        "asked": (asked(),),
        "events": (),
    }
    return Counted(**(values | changes))


def an_accepted(at_: datetime = DUE, **changes: Any) -> Counted:
    values = {"asked": (asked(at_),), "events": (happened(catalogue.ACCEPTED, at_),)}
    return a_referral(**(values | changes))


def lines(referrals: list[Counted], cut: Cut = Cut.WHOLE, informed: int = 0) -> list[dict[str, Any]]:
    figures = Figures(calendar())
    for each in referrals:
        figures.add(each)
    return figures.of_quarter(informed)[cut]


def whole(referrals: list[Counted], informed: int = 0) -> dict[str, Any]:
    (line,) = lines(referrals, informed=informed)
    return line


def of(found: list[dict[str, Any]], **values: str) -> dict[str, Any]:
    return next(line for line in found if line["of"] == values)


def test_intakes_are_counted_apart_from_referrals() -> None:
    mothers = [a_referral() for _ in range(20)]
    second_needs = [a_referral(case_id=each.case_id, need_code="SOC-FOO") for each in mothers[:5]]

    line = whole(mothers + second_needs, informed=3)

    assert line["I01"] == {"intakes": 20, "information_only": "<5", "referrals_per_intake": 1.25}
    assert line["I02"] == {"sent": 25}
    assert line["I13"]["refused"] == "<5"


def test_what_was_never_sent_is_not_counted_as_sent() -> None:
    line = whole([a_referral(asked=()) for _ in range(6)] + [a_referral() for _ in range(20)])

    assert line["I02"]["sent"] == 20


def test_answers_in_time_acceptance_and_refusals() -> None:
    """Of 25: 10 accepted at the due minute, 5 a minute late, 5 declined in time, 5 silent."""
    declined = asked(SENT + HOUR, "CAPACITY")
    line = whole(
        [an_accepted() for _ in range(10)]
        + [an_accepted(DUE + HOUR / 60) for _ in range(5)]
        + [a_referral(asked=(declined, asked())) for _ in range(5)]
        + [a_referral() for _ in range(5)]
    )

    assert line["I03"]["rate"] == 0.6
    assert line["I04"]["rate"] == 0.6
    assert line["I04"]["declined"]["CAPACITY"] == 5
    assert line["I04"]["declined"]["OTHER"] == 0
    assert line["I05"] == {"at_1x": 0.4, "at_2x": 0.2}


def test_a_silence_that_only_lengthened_the_time_counts_as_one() -> None:
    """The coordination cell is not left at its silence: its due time moves, and the first one was missed."""
    extended = asked(DUE + HOUR, ack_due=DUE + 24 * HOUR)
    missed = happened(catalogue.DEADLINE_MISSED, DUE, reason="ACK_DUE")

    line = whole([a_referral(asked=(extended,), events=(missed,)) for _ in range(20)])

    assert line["I03"]["rate"] == 0.0
    assert line["I05"]["at_1x"] == 1.0


def test_first_contact_in_hours_that_pass_and_hours_that_are_worked() -> None:
    """From Monday 10:00: 18 in 2 h, the others on Friday 10:00, 96 h; Wednesday 18 November is a holiday.
    Worked: Monday 6 h 30, Tuesday 8 h, Thursday 8 h, Friday 1 h 30 make 24 h."""
    soon = [an_accepted(contacted_at=SENT + 2 * HOUR) for _ in range(18)]
    late = [an_accepted(contacted_at=SENT + 96 * HOUR) for _ in range(6)]

    line = whole(soon + late)

    assert line["I06"] == {
        "median_hours": 2.0,
        "p90_hours": 96.0,
        "median_working_hours": 2.0,
        "p90_working_hours": 24.0,
    }
    assert line["I07"]["rate"] == 0.75


def test_closed_with_service_received_is_of_all_that_were_sent() -> None:
    line = whole(
        [an_accepted(outcome_code="RECEIVED") for _ in range(5)]
        + [an_accepted(outcome_code="PARTIAL") for _ in range(5)]
        + [an_accepted(outcome_code="LOST_CONTACT") for _ in range(5)]
        + [a_referral() for _ in range(5)]
    )

    assert line["I08"]["rate"] == 0.5


def test_reroutes_and_attempts_to_acceptance() -> None:
    """10 accepted by the first agency, 10 by the third."""
    third = an_accepted(asked=(asked(), asked(), asked(DUE)), events=(happened(catalogue.ACCEPTED, DUE, attempt_no=3),))

    line = whole([an_accepted() for _ in range(10)] + [third] * 10)

    assert line["I09"] == {
        "reroutes_mean": 1.0,
        "attempts_to_acceptance_mean": 2.0,
        "attempts_more_than_one": 0.5,
    }


def test_waiting_lists() -> None:
    """20 waited five days and were accepted, 6 wait, of whom each let an offer lapse."""
    listed = happened(catalogue.WAITLISTED, SENT)
    lapsed = happened(catalogue.ESCALATED, DUE, reason="OFFER_LAPSED")
    served = an_accepted(events=(listed, happened(catalogue.ACCEPTED, SENT + timedelta(days=5))))

    line = whole([served] * 20 + [a_referral(waiting=True, events=(listed, lapsed))] * 6)

    assert line["I10"] == {"waitlisted": 26, "waiting": 6, "offers_lapsed": 6, "median_wait_days": 5.0}


def test_gaps_repeats_and_rights() -> None:
    gap = happened(catalogue.GAP_RECORDED, SENT, reason="NO_SUCH_SERVICE")
    again = happened(catalogue.WITHDRAWN, SENT, reason="DUPLICATE")
    withdrawn = (
        happened(catalogue.WITHDRAWN, SENT, reason="CONSENT_WITHDRAWN"),
        happened(catalogue.DELETION_REQUESTED, SENT),
        happened(catalogue.DELETION_CONFIRMED, SENT + timedelta(days=2)),
    )

    line = whole(
        [a_referral(events=(gap,), language_gap=True) for _ in range(7)]
        + [a_referral(events=(again,)) for _ in range(3)]
        + [a_referral(events=withdrawn) for _ in range(20)]
    )

    assert line["I11"] == {"OUT_OF_AREA": 0, "NO_SUCH_SERVICE": 7, "LANG_GAP": 7}
    assert line["I12"] == {"share": 0.1}
    assert line["I13"] == {
        "withdrawn": 20,
        "deletions_requested": 20,
        "deletions_confirmed": 20,
        "median_deletion_days": 2.0,
        "refused": 0,
    }


def test_equity_compares_each_group_with_all() -> None:
    """Women: 20 of 20 accepted; men: 5 of 20; together 25 of 40, 0.63 (rounded)."""
    women = [an_accepted() for _ in range(20)]
    men = [an_accepted(sex="M") for _ in range(5)] + [a_referral(sex="M") for _ in range(15)]

    found = lines(women + men, Cut.SEX_AGE)

    assert of(found)["I04"]["rate"] == 0.62
    assert of(found, sex="F")["I14"]["I04"] == pytest.approx(1 / 0.62, abs=0.005)
    assert of(found, sex="M")["I14"]["I04"] == pytest.approx(0.25 / 0.62, abs=0.005)
    assert "I14" not in of(found)


def test_ages_are_merged_and_what_is_gone_is_unknown() -> None:
    children = [a_referral(age_band=band) for band in ("0-4", "5") for _ in range(3)]
    pseudonymous = [a_referral(sex=None, age_band=None, commune_code="AGD") for _ in range(7)]

    by_person = lines(children + pseudonymous, Cut.SEX_AGE)
    by_commune = lines(children + pseudonymous, Cut.COMMUNE)

    assert of(by_person, sex="F", age="0-5")["I02"]["sent"] == 6
    assert of(by_person, sex="unknown", age="unknown")["I02"]["sent"] == 7
    assert of(by_commune, commune="unknown")["I02"]["sent"] == 7


def test_a_small_number_hides_its_neighbour_and_its_rates() -> None:
    """Of the rule: 12, 3 and 9, together 24."""
    referrals = [a_referral(urgency=Urgency.U2) for _ in range(12)]
    referrals += [a_referral(urgency=Urgency.U3) for _ in range(3)] + [a_referral(urgency=Urgency.U4)] * 9

    found = lines(referrals, Cut.URGENCY)

    assert [line["I02"]["sent"] for line in found] == [0, 0, 12, "<5", "x", 24]
    assert of(found)["I03"]["rate"] == 0.0
    assert of(found, urgency="U3")["I03"]["rate"] is None


def test_a_hidden_line_tells_no_rate_though_many_stand_behind_it() -> None:
    found = lines([a_referral() for _ in range(30)] + [a_referral(urgency=Urgency.U3) for _ in range(3)], Cut.URGENCY)

    assert of(found, urgency="U2")["I02"]["sent"] == "x"
    assert of(found, urgency="U2")["I03"]["rate"] is None


def test_needs_stand_within_their_sector() -> None:
    found = lines([a_referral() for _ in range(6)] + [a_referral(need_code="EDU-ENR") for _ in range(8)], Cut.NEED)

    assert of(found, sector="HEA", need="HEA-MAT")["I02"]["sent"] == 6
    assert of(found, sector="EDU")["I02"]["sent"] == 8


def test_a_restricted_need_is_in_no_quarter_but_in_the_year_from_ten_on() -> None:
    figures = Figures(calendar())
    for need_code, count in (("HEA-INF", 12), ("SOC-GBV", 11), ("SOC-VOT", 3)):
        for _ in range(count):
            figures.add(a_referral(need_code=need_code))

    year = figures.of_restricted_needs()

    assert figures.of_quarter(0)[Cut.WHOLE][0]["I02"]["sent"] == 0
    assert {"sector": "HEA", "need": "HEA-INF"} not in [line["of"] for line in figures.of_quarter(0)[Cut.NEED]]
    assert of(year, need="HEA-INF")["I02"]["sent"] == 12
    assert of(year, need="SOC-VOT")["I02"]["sent"] == "<10"
    assert of(year, need="SOC-GBV")["I02"]["sent"] == "x"
    assert of(year)["I02"]["sent"] == 26


def test_a_restricted_year_in_one_cell_tells_the_sum_alone() -> None:
    figures = Figures(calendar())
    for _ in range(15):
        figures.add(a_referral(need_code="SOC-GBV"))

    sent = [line["I02"]["sent"] for line in figures.of_restricted_needs()]

    assert sent == ["x"] * (len(sent) - 1) + [15]


def test_two_dimensions_are_the_most() -> None:
    crossed = of(lines([a_referral()] * 30, Cut.SEX_AGE), sex="F", age="25-59")

    assert "declined" not in crossed["I04"]
    assert crossed["I11"] == {}


def test_a_period_is_of_whole_quarters_and_of_two_years_at_most() -> None:
    assert [each.label for each in quarters(date(2026, 10, 1), date(2027, 4, 1))] == ["2026-Q4", "2027-Q1"]
    assert [each.label for each in whole_years(date(2025, 10, 1), date(2027, 4, 1))] == ["2026"]
    assert len(quarters(date(2025, 1, 1), date(2027, 1, 1))) == 8


@pytest.mark.parametrize(("first", "end", "at_end"), [
    ("2026-10-02", "2027-01-01", False),
    ("2026-11-01", "2027-01-01", False),
    ("2026-10-01", "2026-12-31", True),
    ("2026-10-01", "2026-10-01", True),
    ("2027-01-01", "2026-10-01", True),
    ("2025-01-01", "2027-04-01", True),
])  # fmt: skip
def test_other_periods_are_refused(first: str, end: str, at_end: bool) -> None:
    with pytest.raises(PeriodRefused) as refused:
        quarters(date.fromisoformat(first), date.fromisoformat(end))

    assert refused.value.end is at_end


def test_open_time_between_two_instants() -> None:
    """Friday 15:30 to Monday 09:00: an hour and half an hour; a week end holds none."""
    assert calendar().worked(at("2026-11-20 15:30"), at("2026-11-23 09:00")) == timedelta(hours=1.5)
    assert calendar().worked(at("2026-11-21 09:00"), at("2026-11-22 18:00")) == timedelta()
    assert calendar().worked(at("2026-11-23 12:00"), at("2026-11-23 11:00")) == timedelta()
