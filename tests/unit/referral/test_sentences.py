"""Explanations in words: every reason in every language, and the right one of them."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from ihala_events.access import Role
from ihala_events.vocabulary import DeclineReason, Jurisdiction, PartnerType
from ihala_referral.adapters.shipped_data import DATA, load_sample_directory, load_sentences
from ihala_referral.domain.case import Case
from ihala_referral.domain.choice import Places, Why
from ihala_referral.domain.directory import Directory
from ihala_referral.domain.errors import SentencesError
from ihala_referral.domain.explanation import explained_referral
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.sentences import names_told, parse_sentences, with_sentences
from ihala_referral.domain.visibility import Viewer, shown
from support.referral_lives import CENTRE, LATER, WOMEN, a_referral, a_scene, accepted, handover_proposed
from support.referral_world import a_case, a_need, a_world, consent_to, directory_with, partner, routed

SHIPPED = (DATA / "explanations" / "sentences.toml").read_text(encoding="utf-8")
NAMES = {record.partner_id: record.names.model_dump() for record in load_sample_directory()}


def told(case: Case, need: str, directory: Directory | None = None, places: Places | None = None) -> dict[str, Any]:
    """Sentences by language, as the API answers them."""
    referral = explained_referral(routed(case, a_world(directory, places))[need])
    sentences: dict[str, Any] = with_sentences(referral, NAMES, load_sentences())["explanation"]["sentences"]
    return sentences


def test_a_referral_tells_why_this_agency_and_why_not_each_other() -> None:
    case = a_case("HEA-MAT", scope=consent_to("HEA-MAT", types=(PartnerType.NGO_WOM,)))

    sentences = told(case, "HEA-MAT")

    assert sentences["en"] == [
        "Need “Maternal care”: row R11 of the rules, urgency U2.",
        "Health centre (example) — Agadir: passed over; the consent does not name it for this need.",
        f"{NAMES['ngo-wom']['en']}: chosen; the first in the order of the rule that covers the commune, serves this "
        "need and passes every test.",
        f"{NAMES['coord']['en']}: the coordination cell comes last, if nobody else answers.",
        "Do not cover the commune, or others are nearer (8): Health centre (example) — Aourir, Health centre (example)"
        " — Drargua, Health centre (example) — Aït Melloul, Health centre (example) — Dcheira El Jihadia,"
        " Health centre (example) — Inezgane, ….",
    ]
    assert sentences["fr"][1] == (
        "Centre de santé (exemple) — Agadir : écartée ; la personne n'a pas consenti à ce qu'elle reçoive ce besoin."
    )
    assert sentences["ar"][0] == "الحاجة «تتبع الحمل والولادة»: السطر R11 من القواعد، درجة الاستعجال U2."
    assert len(sentences["fr"]) == len(sentences["ar"]) == len(sentences["en"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stopped": True}, "it was stopped"),
        ({"on_call": False}, "the urgency needs somebody on call"),
        ({"closures": ((date(2026, 11, 16), date(2026, 11, 17)),)}, "closed until the answer is due"),
        ({"jurisdiction": Jurisdiction.FOREIGN, "has_transfer_ref": False}, "there is no transfer reference"),
        ({"communes": frozenset({"CHT"})}, "Do not cover the commune"),
        ({"need_codes": frozenset({"HEA-PHC"})}, "Do not serve this need"),
        ({"active": (date(2026, 12, 1), date.max)}, "Not active on that date"),
    ],
)
def test_each_reason_has_its_sentence(changes: dict[str, Any], reason: str) -> None:
    directory = directory_with(partner("hos-mat-agd", **changes))

    sentences = told(a_case(a_need("HEA-MAT", danger_sign=True)), "HEA-MAT", directory)["en"]

    (about,) = [each for each in sentences if NAMES["hos-mat-agd"]["en"] in each]
    assert reason in about


def test_a_full_agency_is_passed_over_or_keeps_a_list() -> None:
    passed_over = told(a_case("HEA-MAT"), "HEA-MAT", places={("essp-agd-agadir", "HEA-MAT"): 0})["en"]
    waiting = told(a_case("EDU-ADL"), "EDU-ADL", places={("ngo-soc", "EDU-ADL"): 0})["en"]

    assert passed_over[1].endswith("passed over; it has no free place.")
    assert waiting[1].endswith("chosen, but without a free place; the person joins its waiting list.")


def test_what_nobody_can_take_and_what_nobody_may_take_are_told_apart() -> None:
    gap = told(a_case("HEA-DIS"), "HEA-DIS", directory_with(without=("reh", "ngo-hea")))["en"]
    hold = told(a_case("HEA-MAT", scope=()), "HEA-MAT")["en"]

    assert any("the coordination cell takes it, because no other agency can" in each for each in gap)
    assert hold[1].startswith("Nobody is asked")


def test_an_added_need_a_hold_a_redirect_and_a_missing_language_are_told() -> None:
    added = told(a_case(a_need("SOC-HOU", eviction_tonight=True)), "SOC-SHE")["en"]
    held = told(a_case("SOC-VOT"), "SOC-VOT")["en"]
    outside = told(a_case("EDU-ADL", commune="CHT-BIOUGRA", languages=("wo",)), "EDU-ADL")["en"]

    assert added[1] == "This need was not asked for: it follows from “Housing, eviction”."
    assert "A human confirms before it is sent." in held
    assert outside[1].startswith("The commune lies outside the territory")
    assert any(each.startswith("No language in common") for each in outside)


def test_an_agency_that_left_the_directory_reads_as_its_id() -> None:
    referral = explained_referral(routed(a_case("HEA-MAT"))["HEA-MAT"])

    sentences = with_sentences(referral, {}, load_sentences())["explanation"]["sentences"]["fr"]

    assert sentences[1].startswith("essp-agd-agadir : choisie")
    assert {"essp-agd-agadir", "ngo-wom", "coord"} <= names_told(referral)


def about(referral: Referral, agency: str, language: str = "en") -> list[str]:
    """What the desk reads of this agency."""
    seen = shown(referral, Viewer(Role.DESK), None, None)
    sentences = with_sentences(seen, NAMES, load_sentences())["explanation"]["sentences"][language]
    return [each.removeprefix(f"{NAMES[agency][language]}: ") for each in sentences if NAMES[agency][language] in each]


def test_an_agency_that_was_asked_and_left_it_says_so_after_a_reroute() -> None:
    declined, _ = a_referral()
    declined.decline(CENTRE, DeclineReason.CAPACITY, "p", a_scene(LATER))

    assert about(declined, CENTRE) == ["asked, and declined."]
    assert about(declined, WOMEN)[0].startswith("chosen; the first in the order of the rule")


def test_after_a_reroute_or_a_handover_to_a_named_agency_no_other_reads_as_chosen() -> None:
    rerouted, pending, handed_over = accepted(), handover_proposed(), handover_proposed()
    rerouted.reroute(DeclineReason.OTHER, WOMEN, "desk", a_scene(LATER))
    handed_over.accept_handover(WOMEN, "q", a_scene(LATER))

    now = ["responsible now; a human or the agency before named it."]
    assert (about(rerouted, CENTRE), about(rerouted, WOMEN)) == (["asked, then the request was taken back."], now)
    assert about(pending, WOMEN)[0].startswith("asked to take the person over; the agency before stays responsible")
    assert about(pending, CENTRE)[0].startswith("chosen")
    assert about(handed_over, CENTRE) == ["handed the person over to another agency, which accepted."]
    assert about(handed_over, WOMEN) == now


def test_the_agency_of_a_sibling_is_chosen_for_that_and_only_the_staff_reads_it() -> None:
    referral, _ = a_referral(a_case("HEA-MAT", agencies_of_others={"HEA-MAT": frozenset({WOMEN})}))

    assert about(referral, WOMEN) == [
        "chosen, because another member of the household is there for this need; it passes every test."
    ]
    assert "together" in str(shown(referral, Viewer(Role.PROTECTION), None, None)["explanation"])
    assert "together" not in str(shown(referral, Viewer(Role.OPERATOR), None, None)["explanation"])


@pytest.mark.parametrize("silent", [{"explanation": None}, {"explanation": {}}])
def test_a_masked_or_erased_referral_tells_nothing(silent: dict[str, Any]) -> None:
    assert with_sentences(silent, NAMES, load_sentences()) == silent
    assert names_told(silent) == set()


def test_a_referral_of_before_tells_what_it_kept() -> None:
    referral = explained_referral(routed(a_case("HEA-MAT"))["HEA-MAT"])
    referral["explanation"] = {"partner_chain": referral["partner_chain"], "added_by": None}

    sentences = with_sentences(json.loads(json.dumps(referral)), NAMES, load_sentences())["explanation"]["sentences"]

    assert len(sentences["en"]) == 4


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[why.full]", "[why.fully]", "why.full: has no 'fr'"),
        ("[why.full]", "[why.fully]", "why.fully: is no sentence"),
        ('en = "{agencies}: passed over; it has no', 'en = "{agency}: passed over; it has no', "why.full: the words"),
        ('en = "{agencies}: passed over; it has no', 'en = "{agencies: passed over; it has no', "why.full: the words"),
        ('ar = "تُسلَّم معلومات مطبوعة."\n', "", "flag.info: has no 'ar'"),
        ("({count}): {agencies}", "({count})", "passed_over."),
        ("[routed]", "[routed", "not TOML"),
    ],
)
def test_sentences_that_miss_a_reason_a_language_or_a_word_stop_the_start(old: str, new: str, problem: str) -> None:
    assert old in SHIPPED

    with pytest.raises(SentencesError) as refused:
        parse_sentences(SHIPPED.replace(old, new, 1))

    assert problem in str(refused.value)


def test_every_why_is_told_in_every_language() -> None:
    sentences = load_sentences()

    assert all(set(sentences[f"why.{why}"]) == {"fr", "ar", "en"} for why in Why)


def test_the_reasons_are_found_once_for_a_chain() -> None:
    directory = replace(directory_with())
    world = a_world(directory)

    first, second = (routed(a_case("HEA-MAT"), world)["HEA-MAT"] for _ in range(2))

    assert first.bypassed is second.bypassed
