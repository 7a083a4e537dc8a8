"""The life of a referral: every legal and illegal move, and what time does."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from ihala_events.vocabulary import (
    AttemptState,
    ConsentBasis,
    Outcome,
    PartnerType,
    ReferralState,
    Urgency,
)
from ihala_referral.domain.attempt import CaseFile, Clock, Happening, Scene
from ihala_referral.domain.calendar import Calendar, Correction, DayKind
from ihala_referral.domain.capacity import PlaceBook, Published
from ihala_referral.domain.case import Consent
from ihala_referral.domain.errors import (
    AttemptEnded,
    LastInChain,
    MoveRefused,
    PartnerNotPossible,
    SameStaff,
    TooUrgentToWait,
    TransitionRefused,
)
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.transitions import OPEN, TRANSITIONS, Move, diagram
from support.referral_lives import (
    CELL,
    CENTRE,
    IN_STATE,
    LATER,
    REASON,
    WOMEN,
    a_referral,
    a_scene,
    accepted,
    acknowledged,
    closed,
    handover_proposed,
    in_service,
    names,
    proposed,
    sent,
    waitlisted,
)
from support.referral_world import (
    a_case,
    a_need,
    at,
    calendar,
    consent_to,
    directory_with,
    partner,
    sample_directory,
)


def _holder(referral: Referral) -> str:
    return referral.current.partner_id if referral.current else CENTRE


def _stopping(partner_id: str, now: str) -> Scene:
    return a_scene(now, directory=directory_with(partner(partner_id, stopped=True)))


def _play(move: Move, referral: Referral, now: str = "2026-11-16 12:00") -> list[Happening]:
    scene, by = a_scene(now), _holder(referral)
    plays: dict[Move, Callable[[], list[Happening]]] = {
        Move.CONFIRM: lambda: referral.confirm("another", "desk:1", scene),
        Move.ACKNOWLEDGE: lambda: referral.acknowledge(by, "p", scene),
        Move.ACCEPT: lambda: referral.accept(by, "p", scene),
        Move.DECLINE: lambda: referral.decline(by, REASON, "p", scene),
        Move.HAND_BACK: lambda: referral.hand_back(by, REASON, "p", scene),
        Move.WAITLIST: lambda: referral.waitlist(by, "p", scene),
        Move.OFFER: lambda: referral.offer(by, "p", scene),
        Move.CONTACTED: lambda: referral.contacted(by, "p", scene),
        Move.START: lambda: referral.start(by, "p", scene),
        Move.CLOSE: lambda: referral.close(by, Outcome.PARTIAL, "p", scene),
        Move.CLOSE_BY_DESK: lambda: referral.close_by_desk(Outcome.MOVED, "desk:1", scene),
        Move.REROUTE: lambda: referral.reroute(REASON, None, "desk:1", scene),
        Move.AGENCY_STOPPED: lambda: referral.leave_agency(_stopping(by, now)),
        Move.HANDOVER: lambda: referral.propose_handover(by, WOMEN, "p", scene),
        Move.HANDOVER_WITHDRAWAL: lambda: referral.take_back_handover(by, "p", scene),
        Move.HANDOVER_ACCEPTANCE: lambda: referral.accept_handover(WOMEN, "q", scene),
        Move.HANDOVER_REFUSAL: lambda: referral.refuse_handover(WOMEN, REASON, "q", scene),
    }
    return plays[move]()


NOBODYS_MOVES = (Move.RELEASE, Move.SILENCE, Move.WITHDRAW, Move.AGENCY_STOPPED, Move.AGENCY_LEFT)
PEOPLES_MOVES = [move for move in Move if move not in NOBODYS_MOVES and "confirmation" not in move]
# What the contract's table says of the states a move may start from; an unanswered redirect or waiting list may be
# acknowledged once, and a redirect may be declined and contacted.
LEGAL = {
    "confirm": "proposed",
    "acknowledge": "sent out_of_area",
    "accept": "sent acknowledged waitlisted",
    "decline": "sent acknowledged waitlisted out_of_area",
    "hand-back": "accepted in_service",
    "waitlist": "sent acknowledged",
    "offer": "waitlisted",
    "contacted": "sent acknowledged waitlisted accepted in_service out_of_area",
    "start": "accepted",
    "close": "accepted in_service",
    "close (desk)": "proposed sent acknowledged accepted waitlisted in_service out_of_area",
    "reroute": "sent acknowledged accepted waitlisted in_service out_of_area",
    "handover": "accepted in_service",
    "handover-withdrawal": "accepted in_service",
    "handover-acceptance": "accepted in_service",
    "handover-refusal": "accepted in_service",
}
ANSWERS_A_HANDOVER = (Move.HANDOVER_WITHDRAWAL, Move.HANDOVER_ACCEPTANCE, Move.HANDOVER_REFUSAL)


@pytest.mark.parametrize("state", list(ReferralState))
@pytest.mark.parametrize("move", PEOPLES_MOVES)
def test_each_move_is_possible_in_the_states_of_the_table_and_refused_in_all_others(
    move: Move, state: ReferralState
) -> None:
    referral = IN_STATE[state]()
    assert referral.state is state
    if move in ANSWERS_A_HANDOVER and state in LEGAL[move].split():
        _play(Move.HANDOVER, referral)
    before = referral.sequence
    referral.last_move = None

    if state in LEGAL[move].split():
        happened = _play(move, referral)
        assert [each.sequence for each in happened] == list(range(before + 1, referral.sequence + 1))
        if not (move is Move.CONTACTED and state is ReferralState.IN_SERVICE):  # starting was the first contact
            assert happened
    else:
        with pytest.raises(MoveRefused) as refusal:
            _play(move, referral)
        assert refusal.value.state == state
        assert referral.sequence == before


def test_the_diagram_shows_every_state() -> None:
    assert all(state in diagram() for state in ReferralState)
    assert set(OPEN) | {ReferralState.CLOSED, ReferralState.WITHDRAWN} == set(ReferralState)
    assert set(TRANSITIONS) == set(Move)


EVENTS = [
    (sent, Move.ACKNOWLEDGE, "acknowledged", ReferralState.ACKNOWLEDGED),
    (sent, Move.ACCEPT, "acknowledged accepted", ReferralState.ACCEPTED),
    (acknowledged, Move.ACCEPT, "accepted", ReferralState.ACCEPTED),
    (sent, Move.DECLINE, "declined rerouted sent", ReferralState.SENT),
    (accepted, Move.HAND_BACK, "declined rerouted sent", ReferralState.SENT),
    (sent, Move.WAITLIST, "waitlisted", ReferralState.WAITLISTED),
    (waitlisted, Move.OFFER, "place-offered", ReferralState.WAITLISTED),
    (waitlisted, Move.ACCEPT, "accepted", ReferralState.ACCEPTED),
    (sent, Move.CONTACTED, "contacted", ReferralState.SENT),
    (accepted, Move.START, "started", ReferralState.IN_SERVICE),
    (in_service, Move.CLOSE, "closed", ReferralState.CLOSED),
    (sent, Move.CLOSE_BY_DESK, "recalled closed", ReferralState.CLOSED),
    (accepted, Move.CLOSE_BY_DESK, "closed", ReferralState.CLOSED),
    (sent, Move.REROUTE, "recalled rerouted sent", ReferralState.SENT),
    (proposed, Move.CONFIRM, "confirmed sent", ReferralState.SENT),
    (sent, Move.AGENCY_STOPPED, "recalled rerouted sent", ReferralState.SENT),
    (waitlisted, Move.AGENCY_STOPPED, "recalled rerouted sent", ReferralState.SENT),
    (in_service, Move.AGENCY_STOPPED, "recalled rerouted sent", ReferralState.SENT),
    (accepted, Move.HANDOVER, "handover-proposed", ReferralState.ACCEPTED),
    (in_service, Move.HANDOVER, "handover-proposed", ReferralState.IN_SERVICE),
    (handover_proposed, Move.HANDOVER_WITHDRAWAL, "handover-recalled", ReferralState.ACCEPTED),
    (handover_proposed, Move.HANDOVER_ACCEPTANCE, "handed-over handover-accepted", ReferralState.ACCEPTED),
    (handover_proposed, Move.HANDOVER_REFUSAL, "handover-failed escalated", ReferralState.ACCEPTED),
    (handover_proposed, Move.CLOSE, "handover-recalled closed", ReferralState.CLOSED),
    (handover_proposed, Move.CLOSE_BY_DESK, "handover-recalled closed", ReferralState.CLOSED),
    (handover_proposed, Move.HAND_BACK, "handover-recalled declined rerouted sent", ReferralState.SENT),
    (handover_proposed, Move.REROUTE, "handover-recalled recalled rerouted sent", ReferralState.SENT),
    (handover_proposed, Move.AGENCY_STOPPED, "handover-recalled recalled rerouted sent", ReferralState.SENT),
]


@pytest.mark.parametrize(("begin", "move", "events", "state"), EVENTS)
def test_a_move_tells_what_happened_and_leads_to_its_state(
    begin: Callable[[], Referral], move: Move, events: str, state: ReferralState
) -> None:
    referral = begin()

    happened = _play(move, referral)

    assert (names(happened), referral.state) == (events.split(), state)
    assert happened[-1].payload.state == state


@pytest.mark.parametrize(
    ("begin", "move"), [(each[0], each[1]) for each in EVENTS if each[1] not in (Move.REROUTE, Move.AGENCY_STOPPED)]
)
def test_repeating_the_last_move_changes_nothing(begin: Callable[[], Referral], move: Move) -> None:
    referral = begin()
    by = _holder(referral)
    _play(move, referral)

    again = {
        Move.DECLINE: lambda: referral.decline(by, REASON, "p", a_scene("2026-11-16 12:05")),
        Move.HAND_BACK: lambda: referral.hand_back(by, REASON, "p", a_scene("2026-11-16 12:05")),
    }.get(move, lambda: _play(move, referral, "2026-11-16 12:05"))()

    assert again == []


def test_a_referral_without_a_hold_is_sent_at_once() -> None:
    referral, happened = a_referral()

    assert names(happened) == ["proposed", "sent"]
    assert [each.payload.state for each in happened] == ["proposed", "sent"]
    assert (referral.attempts[0].partner_id, referral.attempts[0].state) == (CENTRE, AttemptState.OFFERED)
    assert referral.attempts[0].sent_sequence == 2
    assert happened[1].payload.partner_id == CENTRE


def test_a_full_class_is_sent_and_waits() -> None:
    places = PlaceBook({("ngo-soc", "EDU-ADL"): Published(0, at("2026-11-01 08:00"))})

    referral, happened = a_referral(a_case("EDU-ADL"), "EDU-ADL", places)

    assert names(happened) == ["proposed", "sent", "waitlisted"]
    assert referral.state == "waitlisted"
    assert Clock.ACK_DUE in referral.timers(calendar())
    assert names(referral.acknowledge("ngo-soc", "p", a_scene("2026-11-16 11:00"))) == ["acknowledged"]
    assert referral.state == "waitlisted"


def test_a_redirect_is_out_of_area_and_told_to_the_communes_desk() -> None:
    _, happened = a_referral(a_case("EDU-ADL", commune="CHT-BIOUGRA"), "EDU-ADL")

    assert names(happened) == ["proposed", "gap-recorded", "out-of-area", "sent"]
    assert {each.payload.state for each in happened} == {"proposed", "out_of_area"}


def test_the_agency_that_declined_is_named_in_the_event_and_the_next_is_asked() -> None:
    referral = sent()

    declined, rerouted, asked = referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00"))

    assert (declined.payload.partner_id, declined.payload.attempt_no) == (CENTRE, 1)
    assert rerouted.payload.model_dump()["from_partner_id"] == CENTRE
    assert (asked.payload.partner_id, asked.payload.attempt_no) == (WOMEN, 2)
    assert referral.attempts[0].state is AttemptState.DECLINED
    assert referral.ack_due == at("2026-11-17 12:00")
    assert referral.contact_due == at("2026-11-19 10:15")


def test_an_answer_of_an_agency_that_is_no_longer_asked_is_refused() -> None:
    referral = sent()
    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00"))
    referral.acknowledge(WOMEN, "p", a_scene("2026-11-16 12:10"))

    with pytest.raises(AttemptEnded):
        referral.accept(CENTRE, "p", a_scene("2026-11-16 12:20"))


def test_the_coordination_cell_is_last_and_cannot_decline() -> None:
    referral = sent()
    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00"))

    happened = referral.decline(WOMEN, REASON, "p", a_scene("2026-11-16 12:10"))

    assert names(happened) == ["declined", "gap-recorded", "rerouted", "sent"]
    assert referral.current is not None
    assert referral.current.partner_id == CELL
    with pytest.raises(LastInChain):
        referral.decline(CELL, REASON, "p", a_scene("2026-11-16 12:20"))
    with pytest.raises(LastInChain):
        referral.reroute(REASON, None, "desk:1", a_scene("2026-11-16 12:20"))


def test_after_the_last_agency_within_the_consent_the_person_is_asked_again() -> None:
    referral, _ = a_referral(a_case("HEA-MAT", scope=consent_to("HEA-MAT", types=(PartnerType.ESSP,))))

    happened = referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00"))

    assert names(happened) == ["declined", "consent-needed"]
    assert (referral.state, referral.hold_reason) == ("proposed", "consent")
    referral.case = CaseFile(
        UUID(int=1),
        "AG-0000-0001",
        "baom-agadir",
        ("fr",),
        False,
        Consent(ConsentBasis.CONSENT, consent_to("HEA-MAT")),
        frozenset(),
    )
    assert names(referral.consent_recorded(a_scene("2026-11-16 13:00"))) == ["sent"]
    assert referral.current is not None
    assert referral.current.partner_id == WOMEN


def test_whoever_recorded_the_intake_of_a_child_alone_may_not_confirm_it() -> None:
    case = a_case("SOC-CPU", age=12, vulnerabilities=("V-UAC",), basis=ConsentBasis.BEST_INTEREST, scope=())
    referral, happened = a_referral(case, "SOC-CPU")

    assert names(happened) == ["proposed"]
    with pytest.raises(SameStaff):
        referral.confirm("recorder", "desk:1", a_scene(LATER))
    assert names(referral.confirm("another", "desk:1", a_scene(LATER))) == ["confirmed", "sent"]


def test_with_an_adults_consent_the_recorder_may_confirm() -> None:
    assert names(proposed().confirm("recorder", "desk:1", a_scene(LATER))) == ["confirmed", "sent"]


def test_an_urgent_referral_is_never_put_on_a_waiting_list() -> None:
    referral, _ = a_referral(a_case(a_need("HEA-MAT", danger_sign=True)))

    with pytest.raises(TooUrgentToWait):
        referral.waitlist("hos-mat-agd", "p", a_scene("2026-11-16 10:30"))


def test_starting_and_a_received_outcome_count_as_the_first_contact() -> None:
    referral = accepted()
    referral.close(CENTRE, Outcome.RECEIVED, "p", a_scene("2026-11-16 15:00"))

    assert in_service().contacted_at == at(LATER)
    assert referral.contacted_at == at("2026-11-16 15:00")


def test_the_desk_names_an_agency_that_consent_and_agreement_allow() -> None:
    referral = sent()

    referral.reroute(REASON, WOMEN, "desk:1", a_scene(LATER))

    assert referral.current is not None
    assert referral.current.partner_id == WOMEN


@pytest.mark.parametrize("named", ["cape", "nobody", CENTRE])
def test_the_desk_cannot_name_an_agency_that_may_not_have_it(named: str) -> None:
    with pytest.raises(PartnerNotPossible):
        sent().reroute(REASON, named, "desk:1", a_scene(LATER))


# --- time


def _timers(referral: Referral) -> dict[Clock, datetime]:
    return referral.timers(calendar())


def test_the_timers_of_a_sent_referral_are_its_reminder_and_its_two_clocks() -> None:
    assert _timers(sent()) == {
        Clock.REMINDER: at("2026-11-17 08:30"),
        Clock.ACK_DUE: at("2026-11-17 10:15"),
        Clock.CONTACT_DUE: at("2026-11-19 10:15"),
    }


def test_silence_is_escalated_and_the_next_agency_asked() -> None:
    referral = sent()
    _current(referral).tried = True

    happened = referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-17 10:15"))

    assert names(happened) == ["deadline-missed", "escalated", "rerouted", "sent"]
    assert [each.state for each in referral.attempts] == [AttemptState.SILENT, AttemptState.OFFERED]
    assert referral.contact_due == at("2026-11-19 10:15")


def test_our_own_outage_is_not_the_agencys_silence() -> None:
    referral = sent()

    happened = referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-17 10:15"))

    assert names(happened) == ["escalated"]
    assert _current(referral).partner_id == CENTRE
    assert _timers(referral)[Clock.ACK_DUE] == at("2026-11-19 10:15")  # Wed 18 is a holiday


def test_the_cells_silence_is_escalated_again_each_window() -> None:
    referral = sent()
    for by in (CENTRE, WOMEN):
        referral.decline(by, REASON, "p", a_scene("2026-11-16 10:20"))
    _current(referral).tried = True

    first = referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-17 10:20"))
    second = referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-19 10:20"))

    assert names(first) == names(second) == ["deadline-missed", "escalated"]
    assert len(referral.attempts) == 3


def test_a_missed_contact_is_escalated_once_and_never_rerouted() -> None:
    referral = accepted()

    happened = referral.time_passed(Clock.CONTACT_DUE, a_scene("2026-11-19 10:15"))

    assert names(happened) == ["deadline-missed", "escalated"]
    assert (referral.state, len(referral.attempts)) == ("accepted", 1)
    assert Clock.CONTACT_DUE not in _timers(referral)


def test_a_timer_of_a_state_that_moved_on_does_nothing() -> None:
    referral = accepted()

    assert referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-18 10:15")) == []
    assert sent().time_passed(Clock.ACK_DUE, a_scene("2026-11-17 10:14")) == []
    assert _timers(closed()) == {}


def test_a_reminder_is_given_once() -> None:
    referral = sent()

    assert names(referral.time_passed(Clock.REMINDER, a_scene("2026-11-17 08:30"))) == ["reminder"]
    assert referral.time_passed(Clock.REMINDER, a_scene("2026-11-17 08:31")) == []


def test_no_reminder_is_given_once_the_answer_is_overdue() -> None:
    assert sent().time_passed(Clock.REMINDER, a_scene("2026-11-17 10:15")) == []


def test_an_unanswered_proposal_alerts_a_human_when_the_answer_is_due() -> None:
    referral = proposed()

    happened = referral.time_passed(Clock.ACK_DUE, a_scene("2026-11-16 14:15"))

    assert names(happened) == ["deadline-missed", "escalated"]
    assert referral.state == "proposed"


def test_a_suspected_duplicate_is_escalated_after_four_hours_and_sent_when_released() -> None:
    referral, happened = a_referral(a_case("EDU-ADL", duplicate_suspected=True), "EDU-ADL")

    assert names(happened) == ["proposed"]
    assert referral.ack_due == _timers(referral)[Clock.HOLD] == at("2026-11-16 14:15")
    assert Clock.ACK_DUE not in _timers(referral)
    assert names(referral.time_passed(Clock.HOLD, a_scene("2026-11-16 14:15"))) == ["escalated"]
    assert _timers(referral).keys() == {Clock.CONTACT_DUE}
    assert names(referral.release(a_scene("2026-11-16 15:00"))) == ["sent"]
    assert referral.ack_due == at("2026-11-20 16:30")  # counts from its own sending; Wed 18 is a holiday


def test_a_released_case_that_a_human_must_confirm_has_the_time_of_its_need_again() -> None:
    referral, _ = a_referral(a_case("HEA-INF", duplicate_suspected=True), "HEA-INF")
    assert referral.hold_reason == "duplicate"

    referral.release(a_scene("2026-11-16 12:00"))

    # U2: eight working hours from noon, 4 h 30 on Monday, 3 h 30 on Tuesday
    assert (referral.hold_reason, referral.urgency, referral.ack_due) == (
        "confirmation",
        Urgency.U2,
        at("2026-11-17 12:00"),
    )


def test_an_offered_place_that_nobody_takes_lapses() -> None:
    referral = waitlisted()
    referral.offer(CENTRE, "p", a_scene("2026-11-16 12:00"))

    assert _timers(referral)[Clock.OFFER] == at("2026-11-20 16:30")
    assert names(referral.time_passed(Clock.OFFER, a_scene("2026-11-20 16:30"))) == ["escalated"]
    assert Clock.OFFER not in _timers(referral)


def test_a_withdrawn_consent_recalls_the_agency_and_asks_every_agency_to_delete() -> None:
    referral = sent()
    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00"))

    happened = referral.withdraw("CONSENT_WITHDRAWN", a_scene("2026-11-16 13:00"))

    assert names(happened) == ["recalled", "withdrawn", "deletion-requested", "deletion-requested"]
    assert [each.payload.partner_id for each in happened[2:]] == [CENTRE, WOMEN]
    assert names(referral.confirm_deletion(CENTRE, "p", a_scene("2026-11-16 14:00"))) == ["deletion-confirmed"]
    assert referral.confirm_deletion(CENTRE, "p", a_scene("2026-11-16 14:01")) == []
    assert referral.withdraw("CONSENT_WITHDRAWN", a_scene("2026-11-16 15:00")) == []


def test_a_place_is_taken_when_sent_and_given_back_when_declined() -> None:
    key = (CENTRE, "HEA-MAT")
    places = PlaceBook({key: Published(1, at("2026-11-01 08:00"))})

    referral, _ = a_referral(places=places)
    taken = places[key]
    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00", places))

    assert (taken, places[key], places.changed[key]) == (0, 1, 0)


def test_a_number_published_since_is_not_touched_by_a_place_given_back() -> None:
    key = (CENTRE, "HEA-MAT")
    places = PlaceBook({key: Published(1, at("2026-11-01 08:00"))})
    referral, _ = a_referral(places=places)
    places.published[key] = Published(5, at("2026-11-16 11:00"))

    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00", places))

    assert places[key] == 5


def test_the_next_agency_is_tested_anew() -> None:
    directory = directory_with(partner(WOMEN, agreements=()))

    referral = sent()
    referral.decline(CENTRE, REASON, "p", a_scene("2026-11-16 12:00", directory=directory))

    assert _current(referral).partner_id == CELL


def test_a_move_of_a_stranger_is_refused() -> None:
    with pytest.raises(AttemptEnded):
        sent().acknowledge("cape", "p", a_scene(LATER))


def test_events_carry_the_codes_of_the_referral_and_nothing_of_the_person() -> None:
    _, happened = a_referral()

    fields: dict[str, Any] = happened[-1].payload.model_dump(mode="json")

    assert (fields["rule_id"], fields["row"], fields["urgency"]) == ("R11", "R11", Urgency.U2)
    assert not {"names", "phone", "note", "birth_year", "staff", "commune_code"} & fields.keys()


def _current(referral: Referral) -> Any:
    assert referral.current is not None
    return referral.current


def test_refusals_name_the_move_and_the_state() -> None:
    with pytest.raises(TransitionRefused) as refusal:
        _play(Move.START, sent())

    assert (refusal.value.move, refusal.value.state) == ("start", "sent")


def _corrected(kind: DayKind, day: date) -> Calendar:
    return calendar().corrected({day: Correction(kind, "announced")})


def test_a_feast_announced_late_moves_the_answer_and_never_the_contact_of_an_urgent_need() -> None:
    referral = sent()
    feast = Scene(
        at("2026-11-16 12:00"), sample_directory(), _corrected(DayKind.HOLIDAY, date(2026, 11, 17)), PlaceBook()
    )

    (moved,) = referral.count_again(feast)

    # Mon 6 h 15; Tue is a feast, Wed a holiday, Thu 1 h 45 → 10:15, which is also the end of the 72 hours
    assert (referral.ack_due, referral.contact_due) == (at("2026-11-19 10:15"), at("2026-11-19 10:15"))
    assert names([moved]) == ["deadlines-changed"]
    assert moved.payload.model_dump()["old_ack_due"] == at("2026-11-17 10:15")
    assert referral.count_again(feast) == []


def test_a_holiday_that_is_none_after_all_brings_both_clocks_of_a_routine_need_forward() -> None:
    referral, _ = a_referral(a_case("EDU-ADL"), "EDU-ADL")
    working = Scene(
        at("2026-11-16 12:00"), sample_directory(), _corrected(DayKind.WORKING, date(2026, 11, 18)), PlaceBook()
    )

    referral.count_again(working)

    assert (referral.ack_due, referral.contact_due) == (at("2026-11-19 16:30"), at("2026-11-30 16:30"))


def test_a_deadline_that_nobody_waits_for_stays_as_it_was() -> None:
    feast = Scene(
        at("2026-11-16 12:00"), sample_directory(), _corrected(DayKind.HOLIDAY, date(2026, 11, 17)), PlaceBook()
    )

    assert acknowledged().count_again(feast) == []
    assert closed().count_again(feast) == []


def test_a_freed_place_is_offered_to_whoever_waits_and_goes_back_when_the_offer_lapses() -> None:
    key = (CENTRE, "HEA-MAT")
    places = PlaceBook({key: Published(1, at("2026-11-01 08:00"))})
    referral = waitlisted()

    offered = referral.offer_freed_place(a_scene("2026-11-16 12:00", places))
    taken = places[key]
    again = referral.offer_freed_place(a_scene("2026-11-16 12:01", places))
    referral.time_passed(Clock.OFFER, a_scene("2026-11-20 16:30", places))

    assert (names(offered), taken, again) == (["place-offered"], 0, [])
    assert places[key] == 1
    assert referral.waitlisted_at == at("2026-11-20 16:30")


def test_without_a_free_place_nothing_is_offered() -> None:
    places = PlaceBook({(CENTRE, "HEA-MAT"): Published(0, at("2026-11-01 08:00"))})

    assert waitlisted().offer_freed_place(a_scene("2026-11-16 12:00", places)) == []
    assert sent().offer_freed_place(a_scene("2026-11-16 12:00", places)) == []


# --- an agency that was stopped


@pytest.mark.parametrize("state", [state for state in OPEN if state is not ReferralState.PROPOSED])
def test_whatever_a_stopped_agency_holds_goes_to_the_next_and_the_contact_clock_goes_on(state: ReferralState) -> None:
    referral = IN_STATE[state]()
    holder, contact_due = referral.holder, referral.contact_due
    assert holder is not None

    happened = referral.leave_agency(_stopping(holder.partner_id, "2026-11-16 12:00"))

    assert (names(happened)[0], names(happened)[-1]) == ("recalled", "sent")
    assert (holder.state, holder.reason_code) == (AttemptState.RECALLED, "AGENCY_STOPPED")
    assert referral.holder is not None
    assert referral.holder.partner_id != holder.partner_id
    assert referral.contact_due == contact_due


@pytest.mark.parametrize("state", [ReferralState.PROPOSED, ReferralState.CLOSED, ReferralState.WITHDRAWN])
def test_a_referral_that_nobody_holds_is_not_touched_by_a_stop(state: ReferralState) -> None:
    referral = IN_STATE[state]()

    assert referral.leave_agency(_stopping(CENTRE, "2026-11-16 12:00")) == []


def test_a_stopped_agency_cannot_be_named_by_the_desk() -> None:
    with pytest.raises(PartnerNotPossible, match="stopped"):
        sent().reroute(REASON, WOMEN, "desk:1", _stopping(WOMEN, "2026-11-16 12:00"))


GONE = {"active": (date(2025, 1, 1), date(2026, 11, 15))}


@pytest.mark.parametrize("begin", [sent, acknowledged, waitlisted])
def test_whoever_waits_for_an_agency_whose_time_is_over_goes_to_the_next(begin: Callable[[], Referral]) -> None:
    referral = begin()

    happened = referral.leave_agency(a_scene("2026-11-16 12:00", directory=directory_with(partner(CENTRE, **GONE))))

    assert names(happened) == ["recalled", "rerouted", "sent"]
    assert referral.attempts[0].reason_code == "AGENCY_LEFT"


def test_what_an_agency_has_taken_it_may_end_after_its_time() -> None:
    scene = a_scene("2026-11-16 12:00", directory=directory_with(partner(CENTRE, **GONE)))

    assert [begin().leave_agency(scene) for begin in (accepted, in_service)] == [[], []]


def test_a_closure_keeps_the_waiting_list_and_offers_no_place_until_it_ends() -> None:
    places = PlaceBook({(CENTRE, "HEA-MAT"): Published(1, at("2026-11-16 11:00"))})
    closed = directory_with(partner(CENTRE, closures=((date(2026, 11, 10), date(2026, 11, 16)),)))
    referral = waitlisted()

    assert referral.leave_agency(a_scene("2026-11-16 12:00", places, closed)) == []
    assert referral.offer_freed_place(a_scene("2026-11-16 12:00", places, closed)) == []
    assert names(referral.offer_freed_place(a_scene("2026-11-17 08:30", places, closed))) == ["place-offered"]
