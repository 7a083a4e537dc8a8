"""What an event says the person is to be told: each kind once, and nothing where it could harm (P18, P19)."""

from typing import Any

import pytest
from ihala_events.referral import PersonNotice
from ihala_events.vocabulary import Channel, ConsentBasis, DeclineReason, PersonMessage
from ihala_referral.domain.attempt import Happening
from ihala_referral.domain.case import Case
from support.referral_lives import CENTRE, LATER, a_referral, a_scene, names, sent, waitlisted
from support.referral_world import a_case

REFERRED, NEWS = PersonMessage.REFERRED, PersonMessage.NEWS


def told(happened: list[Happening]) -> list[tuple[str, PersonMessage]]:
    """By which event, and what."""
    notices = zip(names(happened), (each.payload.notify_person for each in happened), strict=True)
    return [(name, notice.message) for name, notice in notices if notice is not None]


def test_the_first_agency_that_is_asked_tells_the_person_by_the_safe_channel() -> None:
    _, happened = a_referral(a_case("HEA-MAT", channel=Channel.WHATSAPP))

    (notice,) = [each.payload.notify_person for each in happened if each.payload.notify_person]
    assert notice == PersonNotice(message=REFERRED, channel=Channel.WHATSAPP, desk_id="baom-agadir")
    assert told(happened) == [("sent", REFERRED)]


def test_the_next_agency_does_not_tell_again() -> None:
    referral = sent()

    happened = referral.decline(CENTRE, DeclineReason.CAPACITY, "a", a_scene(LATER))

    assert "sent" in names(happened)
    assert told(happened) == []


def test_the_list_and_each_offered_place_are_news() -> None:
    referral = sent()

    listed = referral.waitlist(CENTRE, "a", a_scene(LATER))
    offered = referral.offer(CENTRE, "a", a_scene("2026-11-16 12:00"))

    assert told(listed) == [("waitlisted", NEWS)]
    assert told(offered) == [("place-offered", NEWS)]


def test_whoever_is_sent_elsewhere_is_told_that_alone() -> None:
    _, happened = a_referral(a_case("EDU-ADL", commune="CHT-BIOUGRA"), "EDU-ADL")

    assert {"out-of-area", "sent"} <= set(names(happened))
    assert told(happened) == [("out-of-area", PersonMessage.REDIRECTED)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CONSENT_WITHDRAWN", [("withdrawn", PersonMessage.WITHDRAWN)]),
        ("DUPLICATE", []),  # the person's other case goes on
        ("ERASED", []),
    ],
)
def test_a_withdrawal_is_told_where_somebody_is_there_to_be_told(
    reason: str, expected: list[tuple[str, PersonMessage]]
) -> None:
    assert told(waitlisted().withdraw(reason, a_scene(LATER))) == expected


def test_what_no_agency_was_asked_for_is_withdrawn_in_silence() -> None:
    referral, _ = a_referral(a_case("HEA-MAT", scope=()))

    happened = referral.withdraw("CONSENT_WITHDRAWN", a_scene(LATER))

    assert names(happened) == ["withdrawn"]
    assert told(happened) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"channel": Channel.NONE},
        {"phone_shared": True},
        {"vulnerabilities": ("V-GBV",)},
        {"vulnerabilities": ("V-VOT",)},
        {"basis": ConsentBasis.BEST_INTEREST, "age": 15},
        {"basis": ConsentBasis.VITAL_INTEREST},
    ],
    ids=str,
)
def test_where_it_could_harm_no_event_tells_anything(changes: dict[str, Any]) -> None:
    assert told(whole_life(a_case("HEA-MAT", **changes))) == []


def test_beside_a_restricted_need_no_other_need_tells_anything() -> None:
    assert told(whole_life(a_case("HEA-MAT", "SOC-VOT"))) == []


def test_a_contact_that_became_unsafe_ends_the_telling() -> None:
    referral = sent()
    referral.request_correction(Channel.SMS, True, a_scene(LATER))

    assert told(referral.waitlist(CENTRE, "a", a_scene(LATER))) == []


def whole_life(case: Case) -> list[Happening]:
    """Sent, put on a list, a place offered, withdrawn; a referral that waits for a human is only withdrawn."""
    referral, happened = a_referral(case)
    if referral.holder is not None:
        agency = referral.holder.partner_id
        happened = happened + referral.waitlist(agency, "a", a_scene(LATER))
        happened = happened + referral.offer(agency, "a", a_scene(LATER))
    return happened + referral.withdraw("CONSENT_WITHDRAWN", a_scene(LATER))
