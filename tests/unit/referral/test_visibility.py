"""What gives a restricted need, a household or a suspected duplicate away is for the staff of the case alone."""

from typing import Any

import pytest
from ihala_events.access import Role
from ihala_events.vocabulary import ConsentBasis, PartnerType
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.visibility import Viewer, seen_by, shown
from support.referral_lives import CENTRE, LATER, WOMEN, a_referral, a_scene
from support.referral_world import a_case, a_need, consent_to

SPACE = "emf-agd"
DESK, PROTECTION, OPERATOR = (Viewer(role) for role in (Role.DESK, Role.PROTECTION, Role.OPERATOR))


def at_the_womens_space() -> Referral:
    case = a_case("SOC-GBV", scope=consent_to("SOC-GBV", types=(PartnerType.EMF, PartnerType.NGO_WOM)))
    referral, _ = a_referral(case, "SOC-GBV")
    referral.confirm("another", "desk", a_scene(LATER))
    return referral


def test_the_type_of_the_agency_and_its_initiative_are_masked_with_a_restricted_need() -> None:
    referral = at_the_womens_space()
    referral.attempts[0].programme_id = "refuge-2026"

    masked, seen = (shown(referral, viewer, None, None) for viewer in (OPERATOR, Viewer(Role.AGENCY, SPACE)))

    assert [masked[name] for name in ("need_code", "partner_type", "row", "flags")] == ["RESTRICTED", None, None, []]
    assert masked["attempts"][0]["programme_id"] is None
    assert (seen["partner_type"], seen["attempts"][0]["programme_id"]) == (PartnerType.EMF, "refuge-2026")


def test_a_child_alone_who_goes_to_school_gives_nothing_away_to_the_operator() -> None:
    case = a_case("EDU-ENR", age=12, basis=ConsentBasis.BEST_INTEREST, scope=(), vulnerabilities=("V-UAC",))
    referral, _ = a_referral(case, "EDU-ENR")

    seen, for_desk = shown(referral, OPERATOR, None, None), shown(referral, DESK, None, None)

    assert [seen[name] for name in ("need_code", "rule_id", "row", "explanation")] == ["EDU-ENR", None, None, None]
    assert (for_desk["rule_id"], for_desk["row"]) == ("R03", "R03b")


def test_a_restricted_need_that_added_an_open_one_is_masked_in_its_explanation() -> None:
    case = a_case(a_need("SOC-GBV", danger_to_life=True), scope=consent_to("SOC-GBV", types=(PartnerType.HOS,)))
    referral, _ = a_referral(case, "HEA-EMG")

    seen, for_desk = shown(referral, OPERATOR, None, None), shown(referral, DESK, None, None)

    assert (seen["need_code"], seen["explanation"]["added_by"]) == ("HEA-EMG", "RESTRICTED")
    assert for_desk["explanation"]["added_by"] == "SOC-GBV"


@pytest.mark.parametrize(
    ("viewer", "flags"),
    [(DESK, ["siblings_split"]), (PROTECTION, ["siblings_split"]), (OPERATOR, []), (Viewer(Role.AGENCY, CENTRE), [])],
)
def test_only_the_staff_of_the_case_sees_that_there_is_a_household(viewer: Viewer, flags: list[str]) -> None:
    referral, _ = a_referral()
    referral.flags = ("siblings_split",)

    assert shown(referral, viewer, None, None)["flags"] == flags


def test_an_agency_sees_nothing_of_what_happened_before_or_without_it() -> None:
    undecided: dict[str, Any] = {"type": "escalated", "partner_id": None, "reason_code": "DUPLICATE_UNDECIDED"}
    items = [undecided, {"type": "sent", "partner_id": CENTRE}, {"type": "sent", "partner_id": WOMEN}]

    assert seen_by(Viewer(Role.AGENCY, WOMEN), items) == items[2:]
    assert seen_by(DESK, items) == items
