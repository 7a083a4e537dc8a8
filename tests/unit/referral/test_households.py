"""Members of one household with the same need stay together where that is possible, and a human sees where not."""

from uuid import UUID

from ihala_events.vocabulary import DeclineReason
from ihala_referral.domain.attempt import Scene
from ihala_referral.domain.capacity import PlaceBook, Published
from ihala_referral.domain.directory import Link
from ihala_referral.domain.household import Households, Leg, together_first
from support.referral_lives import CELL, CENTRE, LATER, WOMEN, a_referral
from support.referral_world import a_case, at, calendar, chosen, routed, sample_directory

SIBLING = UUID(int=9)


def with_sibling_at(agency: str, need_code: str = "HEA-MAT") -> Households:
    """The case of `a_referral` has a sibling, whose referral for this need is at that agency."""
    households = Households(others={UUID(int=1): frozenset({SIBLING}), SIBLING: frozenset({UUID(int=1)})})
    households.legs[UUID(int=90)] = Leg(SIBLING, need_code, agency)
    return households


def a_scene(households: Households, places: PlaceBook | None = None) -> Scene:
    return Scene(at(LATER), sample_directory(), calendar(), places or PlaceBook(), households)


def test_the_second_sibling_goes_where_the_first_one_is() -> None:
    case = a_case("HEA-MAT", agencies_of_others={"HEA-MAT": frozenset({WOMEN})})

    found = routed(case)["HEA-MAT"]

    assert chosen(found) == WOMEN
    assert "siblings_split" not in found.flags


def test_an_agency_that_fails_a_test_for_the_second_sibling_is_not_chosen_and_the_desk_sees_it() -> None:
    full = PlaceBook({(WOMEN, "HEA-MAT"): Published(0, at("2026-11-01 08:00"))})
    case = a_case("HEA-MAT", agencies_of_others={"HEA-MAT": frozenset({WOMEN})})

    referral, _ = a_referral(case, places=full)

    assert (referral.attempts[0].partner_id, referral.flags) == (CENTRE, ("siblings_split",))


def test_an_agency_outside_the_chain_is_never_chosen_for_the_sake_of_a_sibling() -> None:
    found = routed(a_case("HEA-MAT", agencies_of_others={"HEA-MAT": frozenset({"cape"})}))["HEA-MAT"]

    assert (chosen(found), found.flags) == (CENTRE, ("siblings_split",))


def test_another_need_of_the_sibling_changes_nothing() -> None:
    found = routed(a_case("HEA-MAT", agencies_of_others={"EDU-ADL": frozenset({WOMEN})}))["HEA-MAT"]

    assert (chosen(found), found.flags) == (CENTRE, ())


def test_a_reroute_that_parts_siblings_is_flagged_and_one_that_unites_them_is_not() -> None:
    parted, _ = a_referral()
    united, _ = a_referral()

    parted.decline(CENTRE, DeclineReason.CAPACITY, "p", a_scene(with_sibling_at(CENTRE)))
    united.decline(CENTRE, DeclineReason.CAPACITY, "p", a_scene(with_sibling_at(WOMEN)))

    assert [each.holder.partner_id for each in (parted, united) if each.holder] == [WOMEN, WOMEN]
    assert (parted.flags, united.flags) == (("siblings_split",), ())


def test_the_coordination_cell_is_not_asked_before_its_turn_for_the_sake_of_a_sibling() -> None:
    chain = (Link(CENTRE, "HEA-MAT"), Link(WOMEN, "HEA-MAT"), Link(CELL, "HEA-MAT"))

    assert together_first(chain, {CELL}) == chain
    assert together_first(chain, {WOMEN}) == (chain[1], chain[0], chain[2])


def test_a_leg_that_ended_holds_nobody_together() -> None:
    referral, _ = a_referral()
    at_an_agency = referral.leg
    referral.withdraw("CONSENT_WITHDRAWN", a_scene(Households()))

    assert at_an_agency == Leg(UUID(int=1), "HEA-MAT", CENTRE)
    assert referral.leg.partner_id is None
