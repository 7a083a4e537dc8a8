"""Who is told what, by whom and when; and that nobody is told where it could harm."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from ihala_events.referral import PersonNotice
from ihala_events.vocabulary import Channel, PersonMessage
from ihala_notification.adapters.shipped_wording import load_messages
from ihala_notification.domain.contact_hours import hours_in
from ihala_notification.domain.person_message import (
    SafeWay,
    State,
    Step,
    Way,
    Why,
    new_message,
    next_step,
    text_of,
    told_hours,
    without_contact,
)
from ihala_notification.domain.retry_schedule import RetrySchedule
from support.notification import a_referral_event

MONDAY = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)
BOTH = frozenset({Channel.SMS, Channel.WHATSAPP})
DAY_SECONDS = 24 * 3_600


def a_way(channel: Channel = Channel.SMS, **changes: Any) -> SafeWay:
    values: dict[str, Any] = {"phone": "+212600000042", "hours": None, "language": "fr", "voicemail_ok": False}
    return SafeWay(channel=channel, **(values | changes))


def test_an_event_with_a_notice_is_one_message_however_often_it_comes() -> None:
    notice = PersonNotice(message=PersonMessage.REFERRED, channel=Channel.SMS, desk_id="baom-agadir")
    event = a_referral_event(notify_person=notice)

    first, again = new_message(event, UUID(int=7)), new_message(event, UUID(int=7))

    assert first is not None
    assert first == again
    assert (first.case_ref, first.desk_id, first.message) == ("AG-7K3F-9QXY", "baom-agadir", "referred")


def test_an_event_without_a_notice_is_no_message() -> None:
    assert new_message(a_referral_event(), UUID(int=7)) is None


@pytest.mark.parametrize("way", [None, a_way(Channel.NONE, phone=None)])
def test_a_case_that_may_be_told_nothing_is_told_nothing(way: SafeWay | None) -> None:
    assert next_step(way, BOTH, MONDAY) == Step(State.SUPPRESSED, why=Why.NOT_TO_BE_TOLD)


@pytest.mark.parametrize("channel", [Channel.CALL, Channel.RELAY])
def test_calls_and_relays_are_the_desks(channel: Channel) -> None:
    assert next_step(a_way(channel), BOTH, MONDAY) == Step(task=Way(channel))


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_a_gateway_is_asked_at_once_when_no_hours_are_given(channel: Channel) -> None:
    assert next_step(a_way(channel), BOTH, MONDAY) == Step(not_before=MONDAY)


def test_without_its_gateway_the_desk_tells_and_does_not_call() -> None:
    assert next_step(a_way(), frozenset({Channel.WHATSAPP}), MONDAY) == Step(task=Way.DESK, why=Why.NO_GATEWAY)


def test_hours_that_only_a_human_can_read_are_left_to_one() -> None:
    step = next_step(a_way(hours="après la prière"), BOTH, MONDAY)

    assert step == Step(task=Way.DESK, why=Why.HOURS_UNCLEAR)


def test_a_message_waits_for_the_persons_hours() -> None:
    assert next_step(a_way(hours="18-20"), BOTH, MONDAY) == Step(not_before=datetime(2026, 11, 16, 18, tzinfo=UTC))


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        (Channel.CALL, Step(task=Way.CALL)),
        (Channel.RELAY, Step(task=Way.RELAY)),
        (Channel.SMS, Step(task=Way.DESK, why=Why.NO_GATEWAY)),
    ],
)
def test_without_a_key_for_intake_everything_is_the_desks(channel: Channel, expected: Step) -> None:
    assert without_contact(channel) == expected


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("18-20", "2026-11-16T18:00", "2026-11-16T18:00"),
        ("18-20", "2026-11-16T19:59", "2026-11-16T19:59"),
        ("18-20", "2026-11-16T20:00", "2026-11-17T18:00"),
        ("9h-12h30, 18:00–20:00", "2026-11-16T12:30", "2026-11-16T18:00"),
        ("18-20; 9-12", "2026-11-16T06:00", "2026-11-16T09:00"),
        ("9-12", "2026-07-01T06:00", "2026-07-01T08:00"),  # the clock of that summer stood an hour ahead
    ],
)
def test_hours_are_local_and_their_end_is_outside(text: str, now: str, expected: str) -> None:
    hours = hours_in(text)

    assert hours is not None
    assert hours.opening(datetime.fromisoformat(f"{now}Z")) == datetime.fromisoformat(f"{expected}Z")


@pytest.mark.parametrize("text", ["le soir", "18", "20-18", "18-25", "9-12, le soir", "9:75-10", "+212600000042", "-"])
def test_what_is_no_hours_is_not_guessed(text: str) -> None:
    assert hours_in(text) is None


def test_only_hours_reach_a_task() -> None:
    assert told_hours(a_way(Channel.CALL, hours="9h - 12h30")) == "09:00-12:30"
    assert told_hours(a_way(Channel.CALL, hours="demander Zenobia")) is None


@pytest.mark.parametrize(
    ("language", "expected"), [("fr", "fr"), ("ar", "ar"), ("ary", "ar"), ("ar-MA", "ar"), ("wo", "fr"), (None, "fr")]
)
def test_a_text_is_of_the_persons_language_and_holds_the_reference_alone(language: str | None, expected: str) -> None:
    texts = load_messages()

    text = text_of(texts, PersonMessage.REFERRED, language, "AG-7K3F-9QXY")

    assert text == texts[PersonMessage.REFERRED][expected].replace("{case_ref}", "AG-7K3F-9QXY")
    assert text.count("AG-7K3F-9QXY") == 1


def test_a_person_is_tried_for_a_day_by_the_webhooks_schedule() -> None:
    assert RetrySchedule().within(DAY_SECONDS).delays_seconds == (0, 5, 300, 1_800, 7_200, 18_000, 36_000)
    assert RetrySchedule((90_000.0,)).within(DAY_SECONDS).delays_seconds == (90_000,)
