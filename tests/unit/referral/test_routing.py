"""Routing by the vignettes and the sentences of the specification."""

import json
from datetime import date
from typing import Any

import pytest
from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import Channel, ConsentBasis, Jurisdiction, PartnerType, Sex, Urgency, UrgencyReason
from ihala_referral.domain.case import Case, ScopeEntry, case_of_intake
from ihala_referral.domain.choice import Why
from ihala_referral.domain.errors import NoCoordinationCell
from ihala_referral.domain.explanation import explained
from ihala_referral.domain.routing import Routed, World, route
from support.referral_world import (
    a_case,
    a_need,
    a_world,
    agreed,
    at,
    chain_types,
    chosen,
    consent_to,
    directory_with,
    partner,
    routed,
)

BEST_INTEREST = ConsentBasis.BEST_INTEREST
GUARDIAN = ConsentBasis.GUARDIAN
VITAL_INTEREST = ConsentBasis.VITAL_INTEREST


def why(referral: Routed) -> dict[str, str]:
    return {each.link.partner_id: each.why for each in referral.choice.candidates}


def test_v01_a_pregnant_woman_goes_to_the_health_centre() -> None:
    case = a_case(
        a_need("HEA-MAT", pregnancy_weeks=30, danger_sign=False), languages=("wo", "fr"), vulnerabilities=("V-PRG",)
    )

    referral = routed(case)["HEA-MAT"]

    assert (referral.rule_id, referral.row, referral.urgency) == ("R11", "R11", "U2")
    assert chosen(referral) == "essp-agd-agadir"
    assert chain_types(referral) == ["PT-ESSP", "PT-NGO-WOM", "PT-COORD"]
    assert (referral.state, referral.hold_reason) == ("sent", None)
    assert (referral.ack_due, referral.contact_due) == (at("2026-11-17 10:15"), at("2026-11-19 10:15"))
    assert (referral.notify.person, referral.notify.partner) == ("sms", "notice")
    assert referral.flags == ()


def test_v02_a_boy_alone_goes_to_child_protection_after_a_second_member_of_staff_agrees() -> None:
    case = a_case(
        "SOC-CPU",
        received="2026-12-05 21:40",
        age=12,
        sex=Sex.M,
        languages=("fuf",),
        vulnerabilities=("V-UAC",),
        basis=BEST_INTEREST,
        scope=(),
    )

    referral = routed(case)["SOC-CPU"]

    assert (referral.rule_id, referral.row, referral.urgency) == ("R03", "R03a", "U1")
    assert chosen(referral) == "cape"
    assert chain_types(referral) == ["PT-CAPE", "PT-EN", "PT-IOM", "PT-COORD"]
    assert why(referral) == {"cape": "chosen", "en-agd": "next", "iom": "out_of_scope", "coord": "next"}
    assert (referral.state, referral.hold_reason) == ("proposed", "confirmation")
    assert referral.requires_confirmation
    assert referral.other_staff_confirms
    assert (referral.ack_due, referral.contact_due) == (at("2026-12-06 01:40"), at("2026-12-06 21:40"))
    assert (referral.notify.person, referral.notify.partner) == ("none", "sign_in")


def test_v03_a_child_in_dcheira_belongs_to_the_directorate_of_inezgane() -> None:
    case = a_case(
        "EDU-ENR", received="2026-11-05 15:00", commune="INE-DCHEIRA", age=6, basis=GUARDIAN, channel=Channel.CALL
    )

    referral = routed(case)["EDU-ENR"]

    assert (referral.row, referral.urgency, chosen(referral)) == ("R19", "U3", "edu-dp-ine")
    assert (referral.ack_due, referral.contact_due) == (at("2026-11-10 16:30"), at("2026-11-13 16:30"))
    assert referral.offers == ("EDU-NFE",)
    assert referral.notify.person == "call"


def test_v06_interrupted_insulin_is_urgent_and_the_hospital_of_the_prefecture_ends_the_chain() -> None:
    case = a_case(
        a_need("HEA-MED", treatment_interrupted=True),
        received="2026-12-07 09:00",
        commune="INE-INEZGANE",
        sex=Sex.M,
    )

    referral = routed(case)["HEA-MED"]

    assert (referral.rule_id, referral.row, referral.urgency) == ("R13", "R13a", "U2")
    assert list(why(referral)) == ["essp-ine-inezgane", "ngo-hea", "hos-gen-ine", "coord"]
    assert (referral.ack_due, referral.contact_due) == (at("2026-12-08 09:00"), at("2026-12-10 09:00"))


def test_v08_a_held_case_waits_unless_it_is_an_emergency() -> None:
    case = a_case("EDU-ADL", a_need("HEA-EMG"), received="2026-11-24 09:20", duplicate_suspected=True)

    referrals = routed(case)

    assert (referrals["EDU-ADL"].state, referrals["EDU-ADL"].hold_reason) == ("proposed", "duplicate")
    assert (referrals["HEA-EMG"].state, referrals["HEA-EMG"].hold_reason) == ("sent", None)


def test_v11b_a_full_class_keeps_a_waiting_list() -> None:
    case = a_case("EDU-ADL", received="2026-12-14 11:00", languages=("ar", "fr"))

    referral = routed(case, a_world(places={("ngo-soc", "EDU-ADL"): 0}))["EDU-ADL"]

    assert (referral.row, referral.state, chosen(referral)) == ("R24a", "waitlisted", "ngo-soc")
    assert referral.flags == ("wait",)
    assert (referral.ack_due, referral.contact_due) == (at("2026-12-17 16:30"), at("2026-12-28 16:30"))


def test_v13_a_birth_is_registered_where_the_child_was_born_within_a_month() -> None:
    case = a_case(
        a_need("SOC-CIV", birth_date="2026-12-19", birth_commune_code="AGD-AGADIR"),
        received="2026-12-28 14:00",
        commune="INE-LQLIAA",
        age=0,
        basis=GUARDIAN,
        channel=Channel.CALL,
    )

    referral = routed(case)["SOC-CIV"]

    assert (referral.rule_id, referral.row, referral.urgency) == ("R32", "R32", "U2")
    assert list(why(referral)) == ["civ-agd-agadir", "crdh", "coord"]
    assert (referral.ack_due, referral.contact_due) == (at("2026-12-29 14:00"), at("2026-12-31 14:00"))
    assert referral.hard_deadline == date(2027, 1, 19)


@pytest.mark.parametrize(("birth", "row"), [("2026-11-29", "R32"), ("2026-11-28", "R33")])
def test_thirty_days_after_birth_the_court_is_the_way(birth: str, row: str) -> None:
    case = a_case(a_need("SOC-CIV", birth_date=birth), received="2026-12-28 14:00", age=0, basis=GUARDIAN)

    assert routed(case)["SOC-CIV"].row == row


def test_a_refused_consent_leaves_no_referral() -> None:
    assert routed(a_case("HEA-MAT", basis=None)) == {}


def test_danger_to_life_on_any_need_adds_the_emergency() -> None:
    case = a_case(a_need("HEA-MAT", danger_to_life=True), scope=consent_to("HEA-MAT"))

    emergency = routed(case)["HEA-EMG"]

    assert (emergency.row, emergency.urgency, emergency.need.added_by) == ("R02", "U0", "HEA-MAT")
    assert list(why(emergency)) == ["hos-emg-agd", "hos-emg-ine", "coord"]
    assert emergency.state == "sent"


def test_danger_to_life_on_another_need_counts_for_an_emergency_already_asked() -> None:
    case = a_case(a_need("HEA-EMG", danger_to_life=False), a_need("HEA-MAT", danger_to_life=True))

    assert routed(case)["HEA-EMG"].row == "R02"


def test_an_emergency_without_danger_to_life_stays_an_emergency_of_the_second_kind() -> None:
    referral = routed(a_case(a_need("HEA-EMG", danger_to_life=False)))["HEA-EMG"]

    assert (referral.row, referral.urgency) == ("R07", "U1")


def test_a_child_alone_is_added_to_child_protection_whoever_is_asked_for_school() -> None:
    case = a_case("EDU-ENR", age=12, vulnerabilities=("V-UAC",), basis=BEST_INTEREST, scope=())

    referrals = routed(case)

    assert (referrals["SOC-CPU"].row, referrals["SOC-CPU"].need.added_by) == ("R03a", "V-UAC")
    assert (referrals["EDU-ENR"].row, referrals["EDU-ENR"].rule_id) == ("R03b", "R03")
    assert referrals["EDU-ENR"].urgency == "U3"
    assert chosen(referrals["EDU-ENR"]) == "cape"
    assert referrals["EDU-ENR"].hold_reason == "confirmation"


def test_a_separated_child_under_the_best_interest_reaches_school_with_the_carers_check() -> None:
    case = a_case("EDU-ENR", age=12, vulnerabilities=("V-SEP",), basis=BEST_INTEREST, scope=())

    referrals = routed(case)

    assert (referrals["SOC-CPU"].row, referrals["EDU-ENR"].row) == ("R04a", "R04b")


def test_emergency_care_of_a_child_alone_goes_straight_to_the_hospital() -> None:
    case = a_case("HEA-EMG", age=12, vulnerabilities=("V-UAC",), basis=BEST_INTEREST, scope=())

    referral = routed(case)["HEA-EMG"]

    assert (referral.row, chosen(referral), referral.state) == ("R02", "hos-emg-agd", "sent")


def test_an_added_protection_need_is_treated_as_best_interest_even_with_a_guardian() -> None:
    case = a_case("HEA-SRV", age=12, basis=GUARDIAN)

    added = routed(case)["SOC-CPR"]

    assert (added.row, added.need.added_by, chosen(added)) == ("R26a", "HEA-SRV", "cape")
    assert added.other_staff_confirms
    assert added.hold_reason == "confirmation"


def test_an_adult_is_never_unaccompanied() -> None:
    referrals = routed(a_case("SOC-LEG", vulnerabilities=("V-UAC",)))

    assert list(referrals) == ["SOC-LEG"]


def test_an_eviction_tonight_adds_shelter_under_the_same_consent() -> None:
    types = (PartnerType.NGO_LEG, PartnerType.EMF)
    case = a_case(a_need("SOC-HOU", eviction_tonight=True), scope=consent_to("SOC-HOU", types=types))

    shelter = routed(case)["SOC-SHE"]

    assert (shelter.row, shelter.need.added_by, chosen(shelter)) == ("R29", "SOC-HOU", "emf-agd")


@pytest.mark.parametrize(
    ("urgency", "reason", "counts", "flags"),
    [
        (None, None, "U3", ()),
        ("U1", None, "U1", ()),
        ("U4", None, "U3", ("urgency_ignored",)),
        ("U4", "PERSON_ASKS", "U4", ()),
    ],
)
def test_raising_an_urgency_is_free_and_lowering_needs_a_reason(
    urgency: str | None, reason: str | None, counts: str, flags: tuple[str, ...]
) -> None:
    need = a_need("HEA-PHC", Urgency(urgency) if urgency else None, UrgencyReason(reason) if reason else None)

    referral = routed(a_case(need))["HEA-PHC"]

    assert (referral.urgency, referral.urgency_default, referral.flags) == (counts, "U3", flags)


def test_outside_the_territory_the_communes_own_desk_takes_a_redirect() -> None:
    referral = routed(a_case("EDU-ADL", commune="CHT-BIOUGRA"))["EDU-ADL"]

    assert (referral.row, referral.rule_id, referral.state) == ("R05", "R05", "out_of_area")
    assert chosen(referral) == "com-cht-biougra"
    assert referral.urgency == "U4"


@pytest.mark.parametrize(("commune", "need"), [("TAR-OULED-TEIMA", "EDU-ADL"), ("CHT-BIOUGRA", "SOC-ASY")])
def test_without_a_desk_or_with_a_restricted_need_the_cell_takes_the_redirect(commune: str, need: str) -> None:
    referral = routed(a_case(need, commune=commune))[need]

    assert (referral.row, referral.state, chosen(referral), referral.gap) == (
        "R05",
        "out_of_area",
        "coord",
        "OUT_OF_AREA",
    )


def test_danger_to_life_outside_the_territory_still_goes_to_the_nearest_hospital() -> None:
    referral = routed(a_case("HEA-EMG", commune="CHT-BIOUGRA"))["HEA-EMG"]

    assert list(why(referral)) == ["hos-emg-ine", "hos-emg-agd", "coord"]


def test_a_commune_without_a_health_centre_is_served_by_its_prefecture() -> None:
    referral = routed(a_case("HEA-PHC", commune="AGD-TAMRI"))["HEA-PHC"]

    centres = [each for each in why(referral) if each.startswith("essp-")]
    assert centres[:3] == ["essp-agd-agadir", "essp-agd-aourir", "essp-agd-drargua"]
    assert len(centres) == 5  # two others of the near prefecture


def test_two_other_health_centres_stand_behind_the_own_one() -> None:
    referral = routed(a_case("HEA-PHC"))["HEA-PHC"]

    assert list(why(referral)) == ["essp-agd-agadir", "essp-agd-aourir", "essp-agd-drargua", "coord"]


def test_among_equals_a_shared_language_goes_first() -> None:
    directory = directory_with(partner("essp-agd-drargua", languages=frozenset({"fuf"})))

    referral = routed(a_case("HEA-PHC", languages=("ff",)), a_world(directory))["HEA-PHC"]

    assert list(why(referral))[:3] == ["essp-agd-agadir", "essp-agd-drargua", "essp-agd-aourir"]
    assert "language_gap" in referral.flags


def test_the_survivor_chooses_by_the_order_of_the_consent() -> None:
    scope = (ScopeEntry("SOC-GBV", (PartnerType.NGO_WOM, PartnerType.EMF)),)

    referral = routed(a_case("SOC-GBV", scope=scope))["SOC-GBV"]

    assert list(why(referral)) == ["ngo-wom", "emf-agd", "coord"]
    assert (referral.flags, referral.notify.person) == (("in_person",), "none")


def test_an_agency_outside_the_consent_is_passed_over_while_another_is_free() -> None:
    scope = consent_to("HEA-MAT", types=(PartnerType.NGO_WOM,))

    referral = routed(a_case("HEA-MAT", scope=scope))["HEA-MAT"]

    assert (why(referral)["essp-agd-agadir"], chosen(referral)) == ("out_of_scope", "ngo-wom")


def test_where_only_agencies_outside_the_consent_are_left_nobody_is_chosen() -> None:
    referral = routed(a_case("HEA-MAT", scope=()))["HEA-MAT"]

    assert (chosen(referral), referral.state, referral.hold_reason) == (None, "proposed", "consent")
    assert not any(candidate.chosen for candidate in referral.choice.candidates)


def test_the_vital_interest_sends_to_a_hospital_at_once_and_nothing_else() -> None:
    case = a_case("HEA-EMG", "HEA-PHC", basis=VITAL_INTEREST, scope=())

    referrals = routed(case)

    assert (referrals["HEA-EMG"].state, chosen(referrals["HEA-EMG"])) == ("sent", "hos-emg-agd")
    assert (referrals["HEA-PHC"].hold_reason, chosen(referrals["HEA-PHC"])) == ("consent", None)


def test_the_best_interest_reaches_an_international_body_only_when_the_scope_names_it() -> None:
    entry = ScopeEntry("SOC-CPU", (PartnerType.IOM,))
    case = a_case("SOC-CPU", age=12, vulnerabilities=("V-UAC",), basis=BEST_INTEREST, scope=(entry,))

    assert why(routed(case)["SOC-CPU"])["iom"] == "next"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stopped": True, "on_call": False}, Why.STOPPED),
        ({"on_call": False}, Why.NOT_ON_CALL),
        ({"closures": ((date(2026, 11, 16), date(2026, 11, 17)),)}, Why.CLOSED),
        ({"agreements": ()}, Why.NO_AGREEMENT),
        ({"agreements": (agreed(until=date(2026, 11, 15)),)}, Why.NO_AGREEMENT),
        ({"agreements": (agreed(since=date(2026, 11, 17)),)}, Why.NO_AGREEMENT),
        ({"agreements": (agreed("HEA-EMG", "SOC"),)}, Why.NO_AGREEMENT),
        ({"jurisdiction": Jurisdiction.FOREIGN, "has_transfer_ref": False}, Why.NO_TRANSFER_REF),
    ],
)
def test_an_agency_that_fails_a_test_is_passed_over_with_its_reason(changes: dict[str, Any], reason: Why) -> None:
    directory = directory_with(partner("hos-mat-agd", **changes))

    referral = routed(a_case(a_need("HEA-MAT", danger_sign=True)), a_world(directory))["HEA-MAT"]

    assert why(referral)["hos-mat-agd"] == reason
    assert chosen(referral) == "hos-mat-ine"


@pytest.mark.parametrize("purpose", ["HEA-MAT", "HEA"])
def test_an_agreement_about_the_need_or_its_sector_is_enough(purpose: str) -> None:
    directory = directory_with(partner("essp-agd-agadir", agreements=(agreed("SOC"), agreed(purpose))))

    assert chosen(routed(a_case("HEA-MAT"), a_world(directory))["HEA-MAT"]) == "essp-agd-agadir"


def test_a_closure_that_ends_before_the_answer_is_due_excludes_nobody() -> None:
    directory = directory_with(partner("essp-agd-agadir", closures=((date(2026, 11, 10), date(2026, 11, 16)),)))

    assert chosen(routed(a_case("HEA-MAT"), a_world(directory))["HEA-MAT"]) == "essp-agd-agadir"


def test_a_full_agency_is_passed_over_for_the_next() -> None:
    referral = routed(a_case("HEA-MAT"), a_world(places={("essp-agd-agadir", "HEA-MAT"): 0}))["HEA-MAT"]

    assert (why(referral)["essp-agd-agadir"], chosen(referral)) == ("full", "ngo-wom")


def test_what_is_remembered_of_a_chain_yields_to_places_closures_consents_and_languages() -> None:
    directory = directory_with(
        partner("essp-agd-drargua", languages=frozenset({"fuf"})),
        partner("essp-agd-agadir", closures=((date(2026, 11, 16), date(2026, 11, 16)),)),
    )
    plain, full = a_world(directory), a_world(directory, places={("essp-agd-agadir", "HEA-PHC"): 0})
    scope = consent_to("HEA-PHC", types=(PartnerType.NGO_WOM,))

    def first(case: Case, world: World) -> tuple[str | None, list[str]]:
        referral = routed(case, world)["HEA-PHC"]
        return chosen(referral), list(why(referral))[:2]

    for _ in range(2):  # the second time from memory
        assert first(a_case("HEA-PHC"), plain) == ("essp-agd-agadir", ["essp-agd-agadir", "essp-agd-aourir"])
        assert first(a_case("HEA-PHC"), full)[0] == "essp-agd-aourir"
        assert first(a_case("HEA-PHC", languages=("ff",)), plain)[1] == ["essp-agd-agadir", "essp-agd-drargua"]
        assert first(a_case("HEA-PHC", scope=scope), plain)[0] is None
        urgent = a_need("HEA-PHC", Urgency.U2)  # due on the 17th: the closure ends before; on a Monday morning it is
        assert first(a_case(urgent), plain)[0] == "essp-agd-agadir"
        assert first(a_case(urgent, received="2026-11-16 08:30"), plain)[0] == "essp-agd-aourir"  # due the same day


def test_where_all_are_full_a_routine_need_waits_with_the_first() -> None:
    places = {(f"essp-agd-{name}", "HEA-PHC"): 0 for name in ("agadir", "aourir", "drargua")}

    referral = routed(a_case("HEA-PHC"), a_world(places=places))["HEA-PHC"]

    assert (chosen(referral), referral.state) == ("essp-agd-agadir", "waitlisted")


def test_where_all_are_full_an_urgent_need_goes_to_the_cell_as_a_gap() -> None:
    places = {("essp-agd-agadir", "HEA-MAT"): 0, ("ngo-wom", "HEA-MAT"): 0}

    referral = routed(a_case("HEA-MAT"), a_world(places=places))["HEA-MAT"]

    assert (chosen(referral), referral.state, referral.gap) == ("coord", "sent", "CAPACITY")


def test_where_nobody_offers_the_service_the_cell_takes_it_as_a_gap() -> None:
    directory = directory_with(without=("reh", "ngo-hea"))

    referral = routed(a_case("HEA-DIS"), a_world(directory))["HEA-DIS"]

    assert (chosen(referral), referral.gap) == ("coord", "NO_SUCH_SERVICE")


def test_without_a_coordination_cell_nothing_is_routed() -> None:
    with pytest.raises(NoCoordinationCell):
        routed(a_case("HEA-PHC"), a_world(directory_with(without=("coord",))))


def test_routed_later_the_answer_counts_from_then_and_the_contact_from_receipt() -> None:
    case = a_case("HEA-MAT")

    referral = routed(case, when="2026-11-17 09:00")["HEA-MAT"]

    assert (referral.ack_due, referral.contact_due) == (at("2026-11-19 09:00"), at("2026-11-19 10:15"))


def test_a_shared_phone_tells_the_person_nothing() -> None:
    referral = routed(a_case("HEA-MAT", phone_shared=True))["HEA-MAT"]

    assert (referral.notify.person, referral.notify.partner) == ("none", "sign_in")


INTAKE: dict[str, Any] = {
    "desk_id": "baom-agadir",
    "received_at": "2026-11-16T10:15:00Z",
    "commune_code": "AGD-AGADIR",
    "age_band": "25-59",
    "sex": "F",
    "languages": [{"tag": "wo", "level": "native"}, {"tag": "fr", "level": "basic"}],
    "needs": [{"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 30, "danger_sign": False}}],
    "status_code": "ST-IRR",
    "safe_contact": {"channel": "SMS"},
    "consent": {
        "text_version": "2026-11",
        "lang": "fr",
        "mode": "oral",
        "basis": "CONSENT",
        "scope": [{"need_code": "HEA-MAT", "partner_types": ["PT-ESSP", "PT-NGO-WOM"], "partner_ids": []}],
    },
    "staff": ["officer-7"],
}


def _explain(intake: dict[str, Any]) -> dict[str, Any]:
    case = case_of_intake(IntakeRequest.model_validate_json(json.dumps(intake)))
    return explained(route(case, case.received_at, a_world()))


def test_an_explanation_speaks_in_the_words_of_the_contract() -> None:
    assert _explain(INTAKE) == {
        "state": "submitted",
        "referrals": [
            {
                "need_code": "HEA-MAT",
                "added_by": None,
                "urgency": "U2",
                "urgency_default": "U2",
                "rule_id": "R11",
                "row": "R11",
                "rule_set_version": "2026-11.1",
                "state": "sent",
                "hold_reason": None,
                "partner_chain": [
                    {"partner_id": "essp-agd-agadir", "partner_type": "PT-ESSP", "chosen": True, "why": "chosen"},
                    {"partner_id": "ngo-wom", "partner_type": "PT-NGO-WOM", "chosen": False, "why": "next"},
                    {"partner_id": "coord", "partner_type": "PT-COORD", "chosen": False, "why": "next"},
                ],
                "ack_due": "2026-11-17T10:15:00Z",
                "contact_due": "2026-11-19T10:15:00Z",
                "hard_deadline": None,
                "requires_confirmation": False,
                "offers": [],
                "flags": ["status_ignored"],
                "notify": {"person": "sms", "partner": "notice"},
                "explanation": {
                    "passed_over": [  # the other eight of the nine core communes
                        {
                            "reason": "coverage",
                            "count": 8,
                            "partner_ids": [
                                "essp-agd-aourir",
                                "essp-agd-drargua",
                                "essp-ine-ait-melloul",
                                "essp-ine-dcheira",
                                "essp-ine-inezgane",
                            ],
                        }
                    ]
                },
            }
        ],
    }


def test_a_status_is_read_where_a_need_asks_for_it() -> None:
    health_cover = INTAKE | {"needs": [{"need_code": "HEA-COV"}], "status_code": "ST-REG"}

    referral = _explain(health_cover)["referrals"][0]

    assert (referral["row"], referral["flags"]) == ("R17", [])


def test_a_refused_consent_is_explained_as_information_only() -> None:
    assert _explain(INTAKE | {"consent": None}) == {"state": "information_only", "referrals": []}
