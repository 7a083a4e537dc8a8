"""A warm handover: both sides confirm, and at no moment is nobody responsible."""

from datetime import date
from typing import Any

import pytest
from ihala_events.access import Role
from ihala_events.vocabulary import AttemptState, DeclineReason, Outcome, PartnerType, ReferralState
from ihala_referral.domain.attempt import Clock, Scene
from ihala_referral.domain.calendar import Correction, DayKind
from ihala_referral.domain.capacity import PlaceBook, Published
from ihala_referral.domain.errors import (
    AttemptEnded,
    HandoverPending,
    NoHandover,
    PartnerNotPossible,
    TransitionRefused,
)
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.visibility import Viewer, may_see, shown
from support.referral_lives import (
    CENTRE,
    LATER,
    WOMEN,
    a_referral,
    a_scene,
    accepted,
    handover_proposed,
    in_service,
    names,
)
from support.referral_world import a_case, at, calendar, consent_to, directory_with, partner, sample_directory

NOON = "2026-11-16 12:00"


def responsible(referral: Referral) -> str | None:
    return referral.holder.partner_id if referral.holder else None


def test_the_giver_stays_responsible_until_the_receiver_has_taken_over() -> None:
    referral = in_service()

    (proposed,) = referral.propose_handover(CENTRE, WOMEN, "p", a_scene(LATER))
    before = responsible(referral)
    handed_over, taken = referral.accept_handover(WOMEN, "q", a_scene(NOON))

    assert (before, responsible(referral)) == (CENTRE, WOMEN)
    assert (proposed.payload.partner_id, proposed.payload.attempt_no) == (WOMEN, 2)
    assert (handed_over.payload.partner_id, taken.payload.partner_id) == (CENTRE, WOMEN)
    assert [each.state for each in referral.attempts] == [AttemptState.HANDED_OVER, AttemptState.ACCEPTED]
    assert referral.state is ReferralState.ACCEPTED
    with pytest.raises(AttemptEnded):
        referral.close(CENTRE, Outcome.RECEIVED, "p", a_scene(NOON))
    assert names(referral.start(WOMEN, "q", a_scene(NOON))) == ["started"]


def test_the_receiver_is_told_its_own_window_and_the_contact_clock_goes_on() -> None:
    referral = accepted()

    (proposed,) = referral.propose_handover(CENTRE, WOMEN, "p", a_scene(LATER))

    # eight working hours from Mon 11:00: 5 h 30 on Monday, 2 h 30 on Tuesday
    assert proposed.payload.ack_due == at("2026-11-17 11:00")
    assert proposed.payload.contact_due == referral.contact_due == at("2026-11-19 10:15")
    assert referral.timers(calendar())[Clock.HANDOVER] == at("2026-11-17 11:00")


def test_silence_leaves_the_giver_responsible_and_a_human_looks() -> None:
    referral = handover_proposed()

    happened = referral.time_passed(Clock.HANDOVER, a_scene("2026-11-17 11:00"))

    assert names(happened) == ["handover-recalled", "handover-failed", "escalated"]
    assert [each.payload.partner_id for each in happened] == [WOMEN, CENTRE, CENTRE]
    assert happened[-1].payload.model_dump()["reason_code"] == "HANDOVER_UNANSWERED"
    assert (responsible(referral), referral.attempts[1].state) == (CENTRE, AttemptState.SILENT)
    assert Clock.HANDOVER not in referral.timers(calendar())
    with pytest.raises(AttemptEnded):
        referral.accept_handover(WOMEN, "q", a_scene("2026-11-17 11:01"))


def test_a_refusal_is_told_to_the_giver_with_its_reason() -> None:
    referral = handover_proposed()

    failed, escalated = referral.refuse_handover(WOMEN, DeclineReason.CAPACITY, "q", a_scene(NOON))

    assert failed.payload.partner_id == responsible(referral) == CENTRE
    assert failed.payload.model_dump()["to_partner_id"] == WOMEN
    assert failed.payload.model_dump()["reason_code"] == "CAPACITY"
    assert escalated.payload.model_dump()["reason_code"] == "HANDOVER_REFUSED"


def test_one_handover_at_a_time_and_another_once_it_was_taken_back() -> None:
    referral = handover_proposed()
    with pytest.raises(HandoverPending):
        referral.propose_handover(CENTRE, "ngo-hea", "p", a_scene(NOON))

    referral.take_back_handover(CENTRE, "p", a_scene(NOON))
    (again,) = referral.propose_handover(CENTRE, WOMEN, "p", a_scene(NOON))

    assert again.payload.attempt_no == 3


def test_an_agency_that_fails_a_test_of_the_choice_is_refused_when_asked_and_when_it_answers() -> None:
    narrow, _ = a_referral(a_case("HEA-MAT", scope=consent_to("HEA-MAT", types=(PartnerType.ESSP,))))
    narrow.accept(CENTRE, "p", a_scene(LATER))
    without = directory_with(partner(WOMEN, agreements=()))
    pending = handover_proposed()

    with pytest.raises(PartnerNotPossible):
        narrow.propose_handover(CENTRE, WOMEN, "p", a_scene(NOON))
    with pytest.raises(PartnerNotPossible):
        accepted().propose_handover(CENTRE, "cape", "p", a_scene(NOON))
    with pytest.raises(PartnerNotPossible):
        accepted().propose_handover(CENTRE, CENTRE, "p", a_scene(NOON))
    with pytest.raises(PartnerNotPossible):
        pending.accept_handover(WOMEN, "q", a_scene(NOON, directory=without))
    assert (responsible(pending), pending.handover is not None) == (CENTRE, True)


def test_only_the_agency_that_was_asked_answers_and_only_the_responsible_one_proposes() -> None:
    referral = handover_proposed()

    with pytest.raises(AttemptEnded):
        referral.accept_handover("ngo-hea", "x", a_scene(NOON))
    with pytest.raises(NoHandover):
        referral.accept_handover(CENTRE, "p", a_scene(NOON))
    with pytest.raises(NoHandover):
        accepted().take_back_handover(CENTRE, "p", a_scene(NOON))
    with pytest.raises(TransitionRefused):
        referral.start(WOMEN, "q", a_scene(NOON))
    with pytest.raises(TransitionRefused):
        referral.propose_handover(WOMEN, "ngo-hea", "q", a_scene(NOON))


def test_a_withdrawn_consent_recalls_both_sides_and_asks_both_to_delete() -> None:
    referral = handover_proposed()

    happened = referral.withdraw("CONSENT_WITHDRAWN", a_scene(NOON))

    assert [(name, each.payload.partner_id) for name, each in zip(names(happened), happened, strict=True)] == [
        ("handover-recalled", WOMEN),
        ("recalled", CENTRE),
        ("withdrawn", CENTRE),
        ("deletion-requested", CENTRE),
        ("deletion-requested", WOMEN),
    ]
    assert referral.timers(calendar()) == {}


@pytest.mark.parametrize(
    ("gone", "reason"),
    [({"stopped": True}, "AGENCY_STOPPED"), ({"active": (date.min, date(2026, 11, 15))}, "AGENCY_LEFT")],
)
def test_a_handover_to_an_agency_that_is_gone_has_failed_and_the_giver_stays(gone: dict[str, Any], reason: str) -> None:
    referral = handover_proposed()

    happened = referral.leave_agency(a_scene(NOON, directory=directory_with(partner(WOMEN, **gone))))

    assert [(name, each.payload.partner_id) for name, each in zip(names(happened), happened, strict=True)] == [
        ("handover-recalled", WOMEN),
        ("handover-failed", CENTRE),
        ("escalated", CENTRE),
    ]
    assert happened[1].payload.model_dump()["reason_code"] == reason
    assert (responsible(referral), referral.handover, referral.state) == (CENTRE, None, ReferralState.ACCEPTED)


def test_a_place_of_the_receiver_is_taken_when_it_is_asked_and_the_givers_given_back_when_it_took_over() -> None:
    places = PlaceBook({(CENTRE, "HEA-MAT"): Published(1, at("2026-11-01 08:00"))})
    places.published[(WOMEN, "HEA-MAT")] = Published(1, at("2026-11-01 08:00"))
    referral, _ = a_referral(places=places)
    referral.accept(CENTRE, "p", a_scene(LATER, places))

    referral.propose_handover(CENTRE, WOMEN, "p", a_scene(LATER, places))
    asked = places[(CENTRE, "HEA-MAT")], places[(WOMEN, "HEA-MAT")]
    referral.accept_handover(WOMEN, "q", a_scene(NOON, places))

    assert asked == (0, 0)
    assert (places[(CENTRE, "HEA-MAT")], places[(WOMEN, "HEA-MAT")]) == (1, 0)


def test_an_agency_whose_handover_was_taken_back_is_still_the_next_of_the_chain() -> None:
    referral = handover_proposed()
    referral.take_back_handover(CENTRE, "p", a_scene(NOON))

    referral.hand_back(CENTRE, DeclineReason.CAPACITY, "p", a_scene(NOON))

    assert responsible(referral) == WOMEN


def test_a_feast_announced_late_moves_the_answer_to_a_handover() -> None:
    referral = handover_proposed()
    feast = calendar().corrected({date(2026, 11, 17): Correction(DayKind.HOLIDAY, "announced")})

    happened = referral.count_again(Scene(at(NOON), sample_directory(), feast, PlaceBook()))

    # Mon 5 h 30; Tue is a feast, Wed a holiday; 2 h 30 on Thursday
    moved = happened[-1].payload.model_dump()
    assert (moved["partner_id"], moved["ack_due"], moved["old_ack_due"]) == (
        WOMEN,
        at("2026-11-19 11:00"),
        at("2026-11-17 11:00"),
    )


def test_transferred_ends_the_networks_responsibility_while_a_handover_keeps_it() -> None:
    transferred, handed_over = handover_proposed(), handover_proposed()

    transferred.close(CENTRE, Outcome.TRANSFERRED, "p", a_scene(NOON))
    handed_over.accept_handover(WOMEN, "q", a_scene(NOON))

    assert (transferred.state, transferred.outcome_code) == (ReferralState.CLOSED, Outcome.TRANSFERRED)
    assert (handed_over.is_open, handed_over.outcome_code) == (True, None)


def test_both_sides_and_staff_see_the_handover_and_others_do_not() -> None:
    referral = handover_proposed()
    giver, receiver, stranger = (Viewer(Role.AGENCY, each) for each in (CENTRE, WOMEN, "ngo-hea"))

    seen = shown(referral, receiver, None, None)

    assert (may_see(receiver, referral), may_see(stranger, referral)) == (True, False)
    assert (seen["partner_id"], seen["attempt_no"]) == (WOMEN, 2)
    assert seen["handover"] == {
        "from_partner_id": CENTRE,
        "to_partner_id": WOMEN,
        "proposed_at": "2026-11-16T11:00:00Z",
        "ack_due": "2026-11-17T11:00:00Z",
    }
    assert shown(referral, giver, None, None)["partner_id"] == CENTRE
    assert shown(referral, Viewer(Role.DESK), None, None)["handover"] == seen["handover"]
    assert [each["partner_id"] for each in seen["attempts"]] == [WOMEN]
