"""Whether the judge can fail: a small sound run has no finding; each kind of loss or repetition makes one.

One case whose first agency declines, whose second serves; no system runs.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from ihala_events.topics import REFERRAL_LIFECYCLE
from ihala_local.ports import new_port
from support.fault_checker import GROUPS, behind, not_ready
from support.fault_history import HandedIn, History, TextMessage, Webhook
from support.fault_rules import RULES
from support.fault_stored import Copy, Event, Stored
from support.system import System

CASE, REFERRAL = "AG-0000-0001", str(UUID(int=1))
FIRST, SECOND = "first", "second"
ROUTER_CAUSE = str(UUID(int=99))
DIED_AT = 1_000.0
LIFE = (  # kind, state after it, attempt, agency, by whom
    ("proposed", "proposed", 0, None, "system"),
    ("sent", "sent", 1, FIRST, "system"),
    ("declined", "sent", 1, FIRST, f"partner:{FIRST}"),
    ("rerouted", "sent", 2, SECOND, f"partner:{FIRST}"),
    ("sent", "sent", 2, SECOND, f"partner:{FIRST}"),
    ("acknowledged", "acknowledged", 2, SECOND, f"partner:{SECOND}"),
    ("accepted", "accepted", 2, SECOND, f"partner:{SECOND}"),
    ("started", "in_service", 2, SECOND, f"partner:{SECOND}"),
    ("closed", "closed", 2, SECOND, f"partner:{SECOND}"),
)
MOVES = {(1, "decline"): 200, **{(2, move): 200 for move in ("acknowledge", "accept", "start", "close")}}
SENT = {FIRST: 2, SECOND: 5}  # the number of the event that told each


def event_id(number: int) -> str:
    return str(UUID(int=100 + number))


def told_id(partner_id: str) -> str:
    return str(uuid5(UUID(event_id(SENT[partner_id])), partner_id))


def life() -> dict[str, Event]:
    events = [
        Event(
            event_id(number),
            REFERRAL,
            number,
            f"ihala.referral.{kind}.v1",
            REFERRAL_LIFECYCLE.name,
            {"ce_time": "t", "traceparent": "00"} | ({"ce_causationid": ROUTER_CAUSE} if actor == "system" else {}),
            {"state": state, "attempt_no": attempt_no, "partner_id": partner_id, "actor": actor, "at": "t"},
        )
        for number, (kind, state, attempt_no, partner_id, actor) in enumerate(LIFE, start=1)
    ]
    cause = Event(ROUTER_CAUSE, str(UUID(int=2)), 1, "ihala.intake.case-submitted.v1", "intake.case.v1", {}, {})
    return {each.event_id: each for each in (*events, cause)}


def delivery(partner_id: str, attempt_no: int, channel: str) -> dict[str, Any]:
    ids = {"delivery_id": told_id(partner_id), "event_id": event_id(SENT[partner_id]), "referral_id": REFERRAL}
    what = {"event_type": "ihala.referral.sent.v1", "attempt_no": attempt_no, "partner_id": partner_id}
    return {**ids, **what, "channel": channel, "state": "delivered", "tries": 1}


def a_sound_run() -> tuple[History, Stored]:
    history = History(
        handed_in=[HandedIn("key", {}, [201], {"case_ref": CASE})],
        webhooks=[hook(FIRST, 1, 10.0), hook(SECOND, 2, 20.0)],
        texts=[TextMessage("text", f"Ihala {CASE}", 11.0)],
        moves={(REFERRAL, attempt_no, move): status for (attempt_no, move), status in MOVES.items()},
    )
    events = life()
    stored = Stored(
        cases=frozenset({CASE}),
        requests=frozenset({"key"}),
        referrals={REFERRAL: {"case_ref": CASE, "state": "closed", "partner_id": SECOND, "attempt_no": 2}},
        attempts=[{"referral_id": REFERRAL, "attempt_no": each, "tried": True, "has_receipt": True} for each in (1, 2)],
        addressees={REFERRAL: {"partner_id": SECOND}},
        events=events,
        deliveries=[
            delivery(partner_id, attempt_no, channel)
            for partner_id, attempt_no in ((FIRST, 1), (SECOND, 2))
            for channel in ("webhook", "kafka")
        ],
        channels=dict.fromkeys((FIRST, SECOND), frozenset({"webhook", "kafka"})),
        texts={"text": {"case_ref": CASE, "message": "referred", "state": "sent"}},
        dead=[],
        published={topic: list(ids) for topic, ids in by_topic(events).items()},
        copies=[a_copy(FIRST), a_copy(SECOND)],
    )
    return history, stored


def by_topic(events: dict[str, Event]) -> dict[str, list[str]]:
    return {topic: [each.event_id for each in events.values() if each.topic == topic] for topic in TOPICS}


TOPICS = (REFERRAL_LIFECYCLE.name, "intake.case.v1")


def hook(partner_id: str, attempt_no: int, came: float) -> Webhook:
    sent = "ihala.referral.sent.v1"
    return Webhook(told_id(partner_id), partner_id, sent, REFERRAL, attempt_no, "bytes", came, came + 0.1)


def a_copy(partner_id: str) -> Copy:
    return Copy(told_id(partner_id), partner_id, "ihala.referral.sent.v1", told_id(partner_id), "bytes")


def findings(history: History, stored: Stored) -> list[str]:
    return [finding for rule in RULES for finding in rule(history, stored)]


@pytest.fixture
def away(tmp_path: Path) -> System:
    """A system of which nothing answers."""
    ports = dict.fromkeys(("intake-1", "referral-1", "notification-1"), new_port(set()))
    (tmp_path / "endpoints.json").write_text(json.dumps({"kafka": f"127.0.0.1:{new_port(set())}"}))
    (tmp_path / "ports.json").write_text(json.dumps(ports))
    return System(tmp_path)


async def test_a_broker_that_does_not_answer_knows_no_lag_and_nothing_is_healed(away: System) -> None:
    assert len(await behind(away)) == len(GROUPS)


async def test_who_does_not_answer_is_not_ready(away: System) -> None:
    assert len(await not_ready(away)) == 3


def test_a_sound_run_passes() -> None:
    assert findings(*a_sound_run()) == []


Break = Callable[[History, Stored], Stored]


def repeat(history: History, stored: Stored) -> Stored:
    history.webhooks.append(hook(SECOND, 2, DIED_AT + 3))
    return stored


def repeat_a_text(history: History, stored: Stored) -> Stored:
    history.texts.append(TextMessage("text", f"Ihala {CASE}", 12.0))
    return stored


def tell_under_two_ids(history: History, stored: Stored) -> Stored:
    history.texts.append(TextMessage("other", f"Ihala {CASE}", 12.0))
    return replace(stored, texts={**stored.texts, "other": stored.texts["text"]})


def lose_a_webhook(history: History, stored: Stored) -> Stored:
    del history.webhooks[1]
    return stored


def in_the_wrong_order(history: History, stored: Stored) -> Stored:
    """The recall, and then what it recalls."""
    sent, recalled = stored.events[event_id(2)], event_id(3)
    event = replace(stored.events[recalled], type="ihala.referral.recalled.v1")
    told = str(uuid5(UUID(recalled), FIRST))
    recall = replace(hook(FIRST, 1, 5.0), webhook_id=told, type=event.type)
    history.webhooks.insert(0, recall)
    copy = Copy(told, FIRST, event.type, told, "recalled")
    assert sent.sequence < event.sequence
    return replace(stored, events={**stored.events, recalled: event}, copies=[*stored.copies, copy])


def dead(key: bytes, event: str | None) -> Break:
    def broken(_history: History, stored: Stored) -> Stored:
        row = {"consumer": "referral.router", "key": key, "event_id": event, "error_class": "unknown-case"}
        return replace(stored, dead=[row])

    return broken


def change(number: int, **says: Any) -> Break:
    def broken(_history: History, stored: Stored) -> Stored:
        event = stored.events[event_id(number)]
        changed = replace(event, says={**event.says, **says})
        return replace(stored, events={**stored.events, event_id(number): changed})

    return broken


def set_to(**changes: Any) -> Break:
    return lambda _history, stored: replace(stored, **changes)


def told(**changes: Any) -> Break:
    def broken(history: History, stored: Stored) -> Stored:
        for name, value in changes.items():
            getattr(history, name).update(value) if isinstance(value, dict) else getattr(history, name).append(value)
        return stored

    return broken


BREAKS: dict[str, tuple[Break, str]] = {
    "a webhook again without a reason": (repeat, "G4: webhook"),
    "a text again without a reason": (repeat_a_text, "G4: message text"),
    "the same text under two ids": (tell_under_two_ids, "G4: a person was told the same"),
    "a webhook lost": (lose_a_webhook, "G1: second was never told sent"),
    "a copy on the topic lost": (set_to(copies=[a_copy(FIRST)]), "G1: second finds no copy of sent"),
    "a copy of nothing": (set_to(copies=[a_copy(FIRST), a_copy(SECOND), replace(a_copy(FIRST), copy_id="x")]), "G2"),
    "other bytes": (
        set_to(copies=[a_copy(FIRST), a_copy(SECOND), replace(a_copy(SECOND), body_hash="other")]),
        "came with different bytes",
    ),
    "the recall first": (in_the_wrong_order, "G5: first was told"),
    "an addressee of yesterday": (set_to(addressees={REFERRAL: {"partner_id": FIRST}}), "G10: intake takes first"),
    "an attempt without its receipt": (
        set_to(attempts=[{"referral_id": REFERRAL, "attempt_no": 2, "tried": False, "has_receipt": False}]),
        "a receipt and a try are known (False, False)",
    ),
    "a dead record of ours": (dead(b"poison", event_id(3)), "G10: referral.router set"),
    "a dead record of nobody's": (dead(b"case", None), "G10: referral.router set None"),
    "no legal step": (change(6, state="in_service"), "from sent to in_service by acknowledged"),
    "the same agency twice": (change(5, partner_id=FIRST), "was sent to first twice"),
    "an event without an actor": (change(7, actor=""), "has no actor"),
    "an answer to an agency that is not stored": (told(moves={(REFERRAL, 1, "accept"): 200}), "is not stored"),
    "a move that nobody made": (change(9, actor=f"partner:{FIRST}"), "who never said so"),
    "a desk's wish forgotten": (told(rerouted={CASE: 200}), "another agency was to be asked"),
    "no advice when to come again": (told(unadvised="POST /v1/intakes"), "without Retry-After"),
    "an event that never left": (set_to(published={topic: [] for topic in TOPICS}), "was never published"),
}


@pytest.mark.parametrize(("broken", "finding"), BREAKS.values(), ids=BREAKS)
def test_what_is_wrong_is_found(broken: Break, finding: str) -> None:
    history, stored = a_sound_run()

    stored = broken(history, stored)

    assert any(finding in each for each in findings(history, stored)), findings(history, stored)


@pytest.mark.parametrize(
    ("came", "answered", "repeats"),
    [
        (DIED_AT - 2, None, 1),
        (DIED_AT - 2, DIED_AT - 0.2, 1),
        (DIED_AT + 0.2, DIED_AT + 0.3, 1),
        (DIED_AT - 9, DIED_AT - 8, 0),
        (DIED_AT + 5, DIED_AT + 6, 0),
    ],
    ids=["not answered", "answered just now", "still on its way", "written down long ago", "of the next life"],
)
def test_a_death_explains_the_repetition_of_what_was_in_its_hands(
    came: float, answered: float | None, repeats: int
) -> None:
    history, _ = a_sound_run()
    history.died("notification-1", DIED_AT)

    found = history.unrecorded.webhook_may_repeat(replace(hook(FIRST, 1, came), answered=answered))

    assert found == repeats


def test_who_sends_everything_again_at_each_start_is_found() -> None:
    history, stored = a_sound_run()
    history.died("notification-1", DIED_AT)
    history.webhooks += [hook(FIRST, 1, DIED_AT + 3), hook(SECOND, 2, DIED_AT + 3)]

    assert len([each for each in findings(history, stored) if each.startswith("G4: webhook")]) == 2


def test_the_death_of_another_service_explains_nothing() -> None:
    history, stored = a_sound_run()
    history.died("referral-1", 20.05)

    assert findings(history, repeat(history, stored)) != []


def test_what_could_not_be_written_down_while_the_database_was_away_may_come_again_after_a_death() -> None:
    history, _ = a_sound_run()
    history.died("postgres", DIED_AT - 10)
    history.died("notification-1", DIED_AT)

    assert history.unrecorded.webhook_may_repeat(hook(FIRST, 1, DIED_AT - 9)) == 1
    assert history.unrecorded.text_may_repeat(TextMessage("text", "", DIED_AT + 1.5)) == 1
