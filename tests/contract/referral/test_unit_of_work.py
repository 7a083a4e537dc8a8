"""What use cases rely on, the same over the fake and over PostgreSQL."""

from dataclasses import replace

import pytest
from ihala_events.intake import (
    CaseCorrected,
    CaseReleased,
    ConsentRecorded,
    ConsentWithdrawn,
    ProfileMember,
    RoutingProfile,
    SubjectErased,
)
from ihala_events.vocabulary import AttemptState, Channel, DeclineReason, PartnerType, Relation, Vulnerability
from ihala_referral.domain.attempt import Clock
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.answer_clock import answer_clock
from ihala_referral.handlers.apply_consent import apply_consent
from ihala_referral.handlers.correct_case import correct_case
from ihala_referral.handlers.erase_case import erase_case
from ihala_referral.handlers.release_case import release_case
from ihala_referral.handlers.route_case import route_case
from ihala_referral.handlers.withdraw_consent import withdraw_consent
from ihala_runtime.identifiers import uuid7
from support.referral_units import Store, a_consent, a_profile
from support.referral_world import at


async def routed(store: Store, profile: RoutingProfile, *, held: bool = False) -> list[Referral]:
    async with store.unit(case_ids=[profile.case_id]) as unit:
        return route_case(profile, unit, held=held)


async def routed_then_failed(store: Store, profile: RoutingProfile) -> None:
    async with store.unit(case_ids=[profile.case_id]) as unit:
        route_case(profile, unit, held=False)
        raise ZeroDivisionError


async def stored(store: Store, profile: RoutingProfile) -> list[Referral]:
    async with store.unit(case_ids=[profile.case_id]) as unit:
        return sorted(unit.referrals_of(profile.case_id), key=lambda each: each.need_code)


async def names(store: Store, referral: Referral) -> list[str]:
    kinds = await store.events(referral.referral_id)
    return [kind.removeprefix("ihala.referral.").removesuffix(".v1") for kind in kinds]


async def test_what_was_routed_is_read_back_as_it_was(store: Store) -> None:
    profile = a_profile("HEA-MAT", "SOC-VOT", "EDU-ADL")

    made = await routed(store, profile)

    assert await stored(store, profile) == sorted(
        (replace(each, journey=None) for each in made), key=lambda each: each.need_code
    )
    assert {each.state for each in made} == {"sent", "proposed"}


async def test_a_case_is_routed_once(store: Store) -> None:
    profile = a_profile("HEA-MAT")
    await routed(store, profile)

    again = await routed(store, profile)

    assert again == []
    assert len(await stored(store, profile)) == 1


async def test_a_block_that_fails_stores_nothing(store: Store) -> None:
    profile = a_profile("HEA-MAT")

    with pytest.raises(ZeroDivisionError):
        await routed_then_failed(store, profile)

    assert await stored(store, profile) == []


async def test_a_move_is_kept_with_its_events(store: Store) -> None:
    (made,) = await routed(store, a_profile("HEA-MAT"))
    store.clock.set(at("2026-11-16 11:00"))

    async with store.unit([made.referral_id]) as unit:
        referral = unit.referral(made.referral_id)
        assert referral is not None
        unit.record(referral, referral.decline("essp-agd-agadir", DeclineReason.CAPACITY, "partner:x", unit.scene))

    async with store.unit([made.referral_id]) as unit:
        kept = unit.referral(made.referral_id)
        assert kept is not None
        assert [each.state for each in kept.attempts] == [AttemptState.DECLINED, AttemptState.OFFERED]
        assert kept.last_move == ("decline", "essp-agd-agadir", "CAPACITY")
    assert await names(store, made) == ["proposed", "sent", "declined", "rerouted", "sent"]


async def test_an_unknown_referral_and_case_are_nobody(store: Store) -> None:
    async with store.unit([uuid7()], [uuid7()]) as unit:
        assert unit.referral(uuid7()) is None
        assert unit.case(uuid7()) is None


async def test_a_new_consent_sends_what_waited_for_it(store: Store) -> None:
    profile = a_profile("HEA-MAT", consent=a_consent())
    (made,) = await routed(store, profile)
    assert made.hold_reason == "consent"

    recorded = ConsentRecorded(
        case_id=profile.case_id,
        case_ref=profile.case_ref,
        consent=a_consent("HEA-MAT", types=[PartnerType.NGO_WOM]),
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        apply_consent(recorded, unit)

    (kept,) = await stored(store, profile)
    assert (kept.state, kept.attempts[0].partner_id) == ("sent", "ngo-wom")
    assert await names(store, made) == ["proposed", "consent-needed", "sent"]


async def test_a_withdrawn_consent_takes_back_what_rests_on_it(store: Store) -> None:
    profile = a_profile("HEA-MAT", "EDU-ADL")
    await routed(store, profile)

    withdrawn = ConsentWithdrawn(
        case_id=profile.case_id,
        case_ref=profile.case_ref,
        consent_id=uuid7(),
        need_codes=["EDU-ADL"],
        withdrawn_at=at("2026-11-16 11:00"),
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        withdraw_consent(withdrawn, unit)

    language, maternity = await stored(store, profile)
    assert (language.state, maternity.state) == ("withdrawn", "sent")
    assert await names(store, language) == ["proposed", "sent", "recalled", "withdrawn", "deletion-requested"]


async def test_what_routing_read_is_kept_until_a_consent_is_taken_back(store: Store) -> None:
    profile = a_profile("HEA-MAT", "EDU-ADL")
    await routed(store, profile)
    kept = await store.kept_profile(profile.case_id)
    assert kept is not None
    assert (kept.needs, kept.consent, kept.commune_code) == (profile.needs, profile.consent, profile.commune_code)

    withdrawn = ConsentWithdrawn(
        case_id=profile.case_id,
        case_ref=profile.case_ref,
        consent_id=uuid7(),
        need_codes=["EDU-ADL"],
        withdrawn_at=at("2026-11-16 11:00"),
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        withdraw_consent(withdrawn, unit)

    assert await store.kept_profile(profile.case_id) is None


@pytest.mark.parametrize(("decision", "state"), [("distinct", "sent"), ("same_person", "withdrawn")])
async def test_a_human_decides_on_a_suspected_duplicate(store: Store, decision: str, state: str) -> None:
    profile = a_profile("EDU-ADL")
    await routed(store, profile, held=True)

    released = CaseReleased.model_validate(
        {"case_id": profile.case_id, "case_ref": profile.case_ref, "decision": decision}
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        release_case(released, unit)

    (kept,) = await stored(store, profile)
    assert (kept.state, kept.hold_reason) == (state, None)


async def a_household(store: Store) -> tuple[Referral, Referral]:
    """Two children with one need, the second linked to the first, which its first agency had declined."""
    first = a_profile("HEA-MAT")
    (one,) = await routed(store, first)
    async with store.unit([one.referral_id]) as unit:
        moved = unit.referral(one.referral_id)
        assert moved is not None
        unit.record(moved, moved.decline("essp-agd-agadir", DeclineReason.CAPACITY, "partner:x", unit.scene))
    sibling = ProfileMember(case_id=first.case_id, relation=Relation.SIBLING)
    second = a_profile("HEA-MAT", household=[sibling])
    async with store.unit(case_ids=[second.case_id]) as unit:
        await unit.join_household(second)
        (two,) = route_case(second, unit, held=False)
    return one, two


async def test_a_linked_case_goes_where_the_household_is(store: Store) -> None:
    _, two = await a_household(store)

    assert (two.attempts[0].partner_id, two.flags) == ("ngo-wom", ())


async def test_one_members_refusal_moves_and_closes_no_other_leg(store: Store) -> None:
    one, two = await a_household(store)

    async with store.unit([one.referral_id]) as unit:
        moved = unit.referral(one.referral_id)
        assert moved is not None
        unit.record(moved, moved.withdraw("CONSENT_WITHDRAWN", unit.scene))

    async with store.unit([two.referral_id]) as unit:
        kept = unit.referral(two.referral_id)
        assert kept is not None
        assert (kept.state, [each.partner_id for each in kept.attempts]) == ("sent", ["ngo-wom"])
    assert await names(store, two) == ["proposed", "sent"]


async def test_members_that_move_together_are_not_taken_for_parted(store: Store) -> None:
    one, two = await a_household(store)

    async with store.unit([one.referral_id, two.referral_id]) as unit:
        for each in (one, two):
            moved = unit.referral(each.referral_id)
            assert moved is not None
            unit.record(moved, moved.decline("ngo-wom", DeclineReason.CAPACITY, "partner:x", unit.scene))

    async with store.unit([one.referral_id, two.referral_id]) as unit:
        agencies = [each.holder.partner_id for each in unit.loaded() if each.holder]
        flags = {each.referral_id: each.flags for each in unit.loaded()}
    # the first has nobody left but the cell; the second, back at the health centre, is parted from it, and says so
    assert sorted(agencies) == ["coord", "essp-agd-agadir"]
    assert flags[two.referral_id] == ("siblings_split",)


async def test_a_correction_is_asked_of_whoever_works_with_the_person(store: Store) -> None:
    profile = a_profile("HEA-MAT")
    (made,) = await routed(store, profile)

    async with store.unit(case_ids=[profile.case_id]) as unit:
        correct_case(CaseCorrected(case_id=profile.case_id, case_ref=profile.case_ref, fields=["phone"]), unit)

    assert (await names(store, made))[-1] == "correction-requested"


async def test_a_correction_changes_what_the_person_and_later_agencies_are_told(store: Store) -> None:
    profile = a_profile("HEA-MAT")
    (made,) = await routed(store, profile)
    assert made.explanation["notify"] == {"person": "sms", "partner": "notice"}

    corrected = CaseCorrected(
        case_id=profile.case_id,
        case_ref=profile.case_ref,
        fields=["languages", "safe_contact"],
        language_tags=["wo"],
        contact_channel=Channel.CALL,
        phone_shared=True,
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        correct_case(corrected, unit)

    (kept,) = await stored(store, profile)
    assert kept.explanation["notify"] == {"person": "none", "partner": "sign_in"}
    assert (kept.case.languages, kept.case.interpreter_needed) == (("wo",), False)
    assert kept.flags == ("language_gap",)


async def test_a_corrected_channel_opens_no_message_that_the_need_forbids(store: Store) -> None:
    profile = a_profile("HEA-MAT", vulnerabilities=[Vulnerability.GENDER_VIOLENCE])
    await routed(store, profile)

    corrected = CaseCorrected(
        case_id=profile.case_id, case_ref=profile.case_ref, fields=["safe_contact"], contact_channel=Channel.SMS
    )
    async with store.unit(case_ids=[profile.case_id]) as unit:
        correct_case(corrected, unit)

    assert {each.explanation["notify"]["person"] for each in await stored(store, profile)} == {"none"}


async def test_after_an_erasure_nothing_tells_of_the_person(store: Store) -> None:
    profile = a_profile("HEA-MAT")
    (made,) = await routed(store, profile)

    erased = SubjectErased(case_id=profile.case_id, case_ref=profile.case_ref, erased_at=at("2026-11-17 09:00"))
    async with store.unit(case_ids=[profile.case_id]) as unit:
        erase_case(erased, unit)

    assert await store.kept_profile(profile.case_id) is None
    (kept,) = await stored(store, profile)
    assert (kept.state, kept.explanation, kept.flags) == ("withdrawn", {}, ())
    assert (kept.case.languages, kept.case.recorded_by, kept.case.consent.scope) == ((), frozenset(), ())
    assert kept.rule_id == made.rule_id


async def test_a_clock_that_came_due_is_answered_once(store: Store) -> None:
    (made,) = await routed(store, a_profile("HEA-MAT"))
    store.clock.set(at("2026-11-17 08:30"))

    for expected in (1, 0):
        async with store.unit([made.referral_id]) as unit:
            referral = unit.referral(made.referral_id)
            assert referral is not None
            assert len(answer_clock(referral, Clock.REMINDER, unit)) == expected
