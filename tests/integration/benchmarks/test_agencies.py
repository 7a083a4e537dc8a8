"""The load over agencies is the one that was drawn: each intake goes to the agency that it names."""

import json
from collections import Counter
from datetime import UTC, datetime

from ihala_events.directory import PartnerRecord
from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import COMMUNES, AgeBand, Channel, ConsentBasis, Sex
from ihala_referral.adapters.shipped_data import load_calendar, load_rules, load_sample_directory
from ihala_referral.domain.case import AskedNeed, Case, Consent, ScopeEntry
from ihala_referral.domain.directory import Directory, partner_of
from ihala_referral.domain.routing import World, route
from ihala_referral.domain.rules import in_force

from benchmarks.agencies import KINDS, Asked, asked_agencies, zipf_turns
from benchmarks.intakes import an_intake
from benchmarks.payload import intake_of

NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)


def case_of(asked: Asked) -> Case:
    return Case(
        received_at=NOON,
        commune=COMMUNES[asked.commune],
        age=AgeBand("25-59").first_year,
        sex=Sex("U"),
        languages=frozenset({"fr"}),
        vulnerabilities=frozenset(),
        needs=(AskedNeed(asked.need_code, None, None, {}, None),),
        consent=Consent(ConsentBasis.CONSENT, (ScopeEntry(asked.need_code, partner_ids=(asked.partner_id,)),)),
        contact_channel=Channel.NONE,
    )


def test_every_asked_agency_gets_the_intake_that_names_it() -> None:
    agencies = asked_agencies(1_000)
    generated = [PartnerRecord.model_validate_json(json.dumps(each.record)) for each in agencies]
    rules = in_force((each.rules for each in load_rules()), NOON.date())
    world = World(
        rules, Directory.of([partner_of(each) for each in [*load_sample_directory(), *generated]]), load_calendar(), {}
    )

    for asked in agencies:
        (routed,) = route(case_of(asked), NOON, world)
        assert routed.choice.chosen is not None, asked
        assert routed.choice.chosen.partner_id == asked.partner_id


def test_the_first_agencies_are_the_same_for_every_count() -> None:
    assert asked_agencies(10) == asked_agencies(100)[:10]
    assert {each.need_code for each in asked_agencies(200)} == {need for need, _ in KINDS}


def test_agencies_are_asked_by_zipfs_law_or_alike() -> None:
    uneven, even = (Counter(zipf_turns(10, exponent)) for exponent in (1.0, 0.0))

    # 20,000 over 1 + 1/2 + … + 1/10 = 2.929: the first 6,828, the second half of that; alike 2,000 each
    assert abs(uneven[0] - 6_828) < 280
    assert abs(uneven[1] - 3_414) < 210
    assert all(abs(count - 2_000) < 170 for count in even.values())


def test_the_payloads_have_their_sizes_and_may_come() -> None:
    for size in (1_000, 10_000):
        intake = an_intake() | intake_of(size)
        IntakeRequest.model_validate_json(json.dumps(intake))
        assert abs(len(json.dumps(intake)) - size) < 100
