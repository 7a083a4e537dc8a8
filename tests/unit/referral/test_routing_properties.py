"""What holds for every case: the properties of the specification"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ihala_events.intake import FACTS
from ihala_events.vocabulary import (
    COMMUNES,
    NEEDS,
    AgeBand,
    ConsentBasis,
    Sex,
    StatusCode,
    Urgency,
    UrgencyReason,
    Vulnerability,
)
from ihala_referral.domain.case import AskedNeed, Case
from ihala_referral.domain.routing import Routed, World, route
from support.referral_world import a_case, a_world, consent_to, directory_with, partner, sample_partners

FACT_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "pregnancy_weeks": st.integers(0, 45),
    "care_window": st.sampled_from(["open", "closed"]),
    "out_of_school_months": st.integers(0, 240),
    "birth_date": st.sampled_from(["2026-10-01", "2026-11-10", "2026-12-01"]),
    "birth_commune_code": st.sampled_from(sorted(COMMUNES)),
}


def _facts(code: str) -> st.SearchStrategy[dict[str, Any]]:
    optional = {name: FACT_VALUES.get(name, st.booleans()) for name in FACTS[code]}
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def needs(draw: st.DrawFn) -> AskedNeed:
    code = draw(st.sampled_from(sorted(NEEDS)))
    return AskedNeed(
        code,
        draw(st.none() | st.sampled_from(Urgency)),
        draw(st.none() | st.sampled_from(UrgencyReason)),
        draw(_facts(code)),
        draw(st.none() | st.sampled_from(StatusCode)) if NEEDS[code].status else None,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    asked = draw(st.lists(needs(), min_size=1, max_size=3, unique_by=lambda need: need.need_code))
    case = a_case(
        *asked,
        received="2026-12-07 09:00",
        age=draw(st.sampled_from(AgeBand)).first_year,
        sex=draw(st.sampled_from(Sex)),
        commune=draw(st.sampled_from(sorted(COMMUNES))),
        vulnerabilities=tuple(draw(st.sets(st.sampled_from(Vulnerability), max_size=3))),
        basis=draw(st.sampled_from(ConsentBasis)),
    )
    return case if draw(st.booleans()) else replace(case, consent=replace(case.consent, scope=()))  # type: ignore[type-var]


def worlds() -> st.SearchStrategy[World]:
    full = {(each.partner_id, code): 0 for each in sample_partners() for code in each.need_codes}
    silent = directory_with(partner("cape", on_call=False), partner("hos-emg-agd", agreements=()))
    return st.sampled_from([a_world(), a_world(places=full), a_world(silent)])


def _route(case: Case, world: World) -> tuple[Routed, ...]:
    return route(case, case.received_at, world)


@settings(max_examples=300)
@given(case=cases(), world=worlds())
def test_every_case_gives_rows_chains_that_end_at_the_cell_and_two_clocks(case: Case, world: World) -> None:
    referrals = _route(case, world)

    assert {need.need_code for need in case.needs} <= {each.need.code for each in referrals}
    for referral in referrals:
        assert referral.links[-1].partner_id == "coord"
        assert len({link.partner_id for link in referral.links}) == len(referral.links)
        assert case.received_at < referral.ack_due <= referral.contact_due
        assert sum(each.chosen for each in referral.choice.candidates) == (referral.hold_reason != "consent")


@settings(max_examples=300)
@given(case=cases(), world=worlds())
def test_an_urgent_need_is_only_given_to_an_agency_on_call(case: Case, world: World) -> None:
    for referral in _route(case, world):
        if referral.urgency in ("U0", "U1") and referral.choice.chosen:
            assert world.directory.partners[referral.choice.chosen.partner_id].on_call


def _with_status(case: Case, status: StatusCode | None) -> Case:
    return replace(
        case,
        needs=tuple(replace(need, status=status if NEEDS[need.need_code].status else None) for need in case.needs),
    )


@settings(max_examples=150)
@given(case=cases(), one=st.sampled_from(StatusCode), other=st.sampled_from(StatusCode))
def test_status_changes_no_deadline_and_nothing_of_a_minor(case: Case, one: StatusCode, other: StatusCode) -> None:
    first, second = (_route(_with_status(case, status), a_world()) for status in (one, other))

    assert _clocks(first) == _clocks(second)
    assert all(each.links for each in (*first, *second))
    if case.age < 18:
        assert [_without_need(each) for each in first] == [_without_need(each) for each in second]


def _clocks(referrals: tuple[Routed, ...]) -> list[tuple[datetime, datetime]]:
    return [(each.ack_due, each.contact_due) for each in referrals]


def _without_need(referral: Routed) -> tuple[Any, ...]:
    return (referral.row, referral.urgency, referral.links, referral.state, referral.flags, referral.offers)


@settings(max_examples=150)
@given(case=cases(), raised=st.sampled_from(Urgency))
def test_an_urgency_above_the_default_only_shortens_the_clocks(case: Case, raised: Urgency) -> None:
    plain = replace(case, needs=tuple(replace(need, urgency=None) for need in case.needs))
    usual = {each.need.code: each for each in _route(plain, a_world())}
    higher = replace(case, needs=tuple(replace(need, urgency=raised) for need in case.needs))

    for referral in _route(higher, a_world()):
        default = usual[referral.need.code]
        if raised.rank <= default.urgency.rank:
            assert referral.ack_due <= default.ack_due
            assert referral.contact_due <= default.contact_due


@settings(max_examples=100)
@given(case=cases())
def test_a_person_is_never_asked_for_more_than_the_consent_names(case: Case) -> None:
    narrow = replace(case, consent=replace(case.consent, scope=consent_to("EDU-ADL")))  # type: ignore[type-var]

    for referral in _route(narrow, a_world()):
        personal = case.consent and case.consent.basis in ("CONSENT", "GUARDIAN")
        covered = "EDU-ADL" in referral.mandate.scope_needs  # itself, or the need that added it
        if personal and not covered and not referral.other_staff_confirms and referral.choice.chosen:
            assert referral.choice.chosen.partner_id == "coord"
