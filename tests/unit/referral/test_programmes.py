"""Pilot initiatives: offered before the row's chain to whom they are for, and never where they may not be."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from ihala_events.vocabulary import NEEDS, RESTRICTED_NEEDS, ConsentBasis, Sex
from ihala_referral.adapters.shipped_data import load_sentences
from ihala_referral.domain.capacity import PlaceBook, Published
from ihala_referral.domain.directory import Directory, Link, Programme
from ihala_referral.domain.explanation import explained_referral
from ihala_referral.domain.sentences import with_sentences
from support.referral_world import (
    a_case,
    a_need,
    a_world,
    agreed,
    at,
    chain_types,
    chosen,
    consent_to,
    partner,
    routed,
    sample_directory,
    sample_partners,
)

PILOT = Programme(
    programme_id="pilot",
    partner_id="ngo-wom",
    need_codes=frozenset({"EDU-ADL"}),
    communes=frozenset({"AGD"}),
    ages=frozenset(),
    sexes=frozenset(),
    since=date(2026, 11, 1),
    until=date(2026, 12, 31),
)
PLACES = ("programme:pilot", "")


def with_pilot(agency: dict[str, Any] | None = None, **changes: Any) -> Directory:
    """The sample with one programme of the women's organisation."""
    partners = {each.partner_id: each for each in sample_partners()}
    changed = partner("ngo-wom", **(agency or {}))
    return Directory.of((partners | {"ngo-wom": changed}).values(), [replace(PILOT, **changes)])


def test_an_active_programme_stands_before_the_rows_chain_and_moves_no_deadline() -> None:
    case = a_case("EDU-ADL")

    without, pilot = routed(case)["EDU-ADL"], routed(case, a_world(with_pilot()))["EDU-ADL"]

    assert chosen(without) == "ngo-soc"
    assert pilot.choice.chosen == Link("ngo-wom", "EDU-ADL", "pilot")
    assert pilot.links[1:] == without.links
    assert (pilot.ack_due, pilot.contact_due, pilot.row) == (without.ack_due, without.contact_due, "R24a")


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({"communes": frozenset({"AGD-AGADIR"})}, True),
        ({"communes": frozenset({"*"})}, True),
        ({"communes": frozenset({"INE"})}, False),
        ({"ages": frozenset({25})}, True),
        ({"ages": frozenset({18})}, False),
        ({"sexes": frozenset({Sex.F})}, True),
        ({"sexes": frozenset({Sex.M})}, False),
        ({"since": date(2026, 11, 17)}, False),
        ({"until": date(2026, 11, 15)}, False),
        ({"until": date(2026, 11, 16)}, True),
        ({"need_codes": frozenset({"EDU-VOC"})}, False),
        ({"partner_id": "gone"}, False),
    ],
)
def test_a_programme_is_for_its_group_its_places_and_its_days(changes: dict[str, Any], offered: bool) -> None:
    referral = routed(a_case("EDU-ADL"), a_world(with_pilot(**changes)))["EDU-ADL"]

    assert (chosen(referral) == "ngo-wom") is offered


@pytest.mark.parametrize(
    ("agency", "why"),
    [
        ({"stopped": True}, "stopped"),
        ({"closures": ((date(2026, 11, 1), date(2026, 11, 30)),)}, "closed"),
        ({"agreements": (agreed("HEA"),)}, "no_agreement"),
    ],
)
def test_its_agency_is_tested_like_every_candidate(agency: dict[str, Any], why: str) -> None:
    referral = routed(a_case("EDU-ADL"), a_world(with_pilot(agency)))["EDU-ADL"]

    assert (referral.choice.candidates[0].why, chosen(referral)) == (why, "ngo-soc")


def test_the_consent_names_its_agency_or_it_is_passed_over() -> None:
    case = a_case("EDU-ADL", scope=consent_to("EDU-ADL", types=(partner("ngo-soc").type,)))

    referral = routed(case, a_world(with_pilot()))["EDU-ADL"]

    assert (referral.choice.candidates[0].why, chosen(referral)) == ("out_of_scope", "ngo-soc")


def test_an_urgent_need_goes_to_a_programme_only_if_its_agency_is_on_call() -> None:
    urgent = {"need_codes": frozenset({"HEA-EMG"})}
    case = a_case(a_need("HEA-EMG", danger_to_life=True))

    off_duty = routed(case, a_world(with_pilot({"on_call": False}, **urgent)))["HEA-EMG"]

    assert (off_duty.choice.candidates[0].why, chosen(off_duty)) == ("not_on_call", "hos-emg-agd")


def test_a_full_programme_is_passed_over_and_nobody_waits_for_it() -> None:
    full = routed(a_case("EDU-ADL"), a_world(with_pilot(), {PLACES: 0}))["EDU-ADL"]
    everybody_full = {PLACES: 0, ("ngo-soc", "EDU-ADL"): 0}
    waiting = routed(a_case("EDU-ADL"), a_world(with_pilot(), everybody_full))["EDU-ADL"]

    assert (full.choice.candidates[0].why, chosen(full), full.state) == ("full", "ngo-soc", "sent")
    assert (chosen(waiting), waiting.state) == ("ngo-soc", "waitlisted")


def test_a_place_is_taken_and_given_back() -> None:
    book = PlaceBook({PLACES: Published(1, at("2026-11-01 08:00"))})
    link = Link("ngo-wom", "EDU-ADL", "pilot")

    assert (book.take(link), book.take(link), book[PLACES]) == (True, False, 0)
    book.give_back(link, at("2026-11-16 10:15"))
    assert book[PLACES] == 1


@pytest.mark.parametrize("code", sorted(NEEDS))
@pytest.mark.parametrize("commune", ["AGD-AGADIR", "CHT-BIOUGRA", "TAR-OULED-TEIMA"])
@pytest.mark.parametrize("basis", [ConsentBasis.CONSENT, ConsentBasis.BEST_INTEREST])
def test_no_programme_comes_before_a_human_or_a_take_over_row(code: str, commune: str, basis: ConsentBasis) -> None:
    everything = with_pilot(need_codes=frozenset(NEEDS), communes=frozenset({"*"}))
    age = 25 if basis is ConsentBasis.CONSENT else 12
    case = a_case(code, commune=commune, age=age, basis=basis)

    plain, pilot = routed(case), routed(case, a_world(everything))

    for need_code, referral in pilot.items():
        assert chain_types(referral)[-1] == "PT-COORD"
        assert (referral.ack_due, referral.contact_due) == (plain[need_code].ack_due, plain[need_code].contact_due)
        taken_over = referral.row in ("R03b", "R04b", "R05")
        if need_code in RESTRICTED_NEEDS or taken_over:
            assert referral.links == plain[need_code].links
        else:
            assert referral.links[0].programme_id == "pilot"


def test_the_sample_has_no_programme() -> None:
    assert sample_directory().programmes == ()


def test_an_initiative_is_named_and_told_apart_from_its_agencys_place_in_the_chain() -> None:
    names = {"programme:pilot": {"en": "Class"}, "ngo-wom": {"en": "Women"}}

    def told(places: PlaceBook | None, language: str = "en") -> str:
        referral = explained_referral(routed(a_case("EDU-ADL"), a_world(with_pilot(), places))["EDU-ADL"])
        sentence: str = with_sentences(referral, names, load_sentences())["explanation"]["sentences"][language][1]
        return sentence

    full = PlaceBook({PLACES: Published(0, at("2026-11-01 08:00"))})
    assert told(None).startswith("Women: chosen for its initiative “Class”, offered before the order of the rule")
    assert told(full) == "Women (initiative “Class”): passed over; it has no free place."
    assert told(full, "fr") == "ngo-wom (initiative « pilot ») : écartée ; elle n'a plus de place libre."
