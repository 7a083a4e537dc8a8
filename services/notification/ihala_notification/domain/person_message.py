"""One message to a person: by a gateway, by their desk, or not at all.

Rules: a case that may be told nothing is told nothing, whatever was planned (P19).  What no gateway can say in the
person's hours becomes a task of the desk, so that nobody is silently not told.  A message holds no number and no name.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from ihala_events import catalogue
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import Channel, LanguageTag, PersonMessage
from ihala_events.wire import Payload

from ihala_notification.domain.contact_hours import hours_in
from ihala_notification.domain.wording import CASE_REF, Messages

NOTIFYING_TYPES = frozenset(
    kind.type
    for kind in (
        catalogue.SENT,
        catalogue.WAITLISTED,
        catalogue.PLACE_OFFERED,
        catalogue.OUT_OF_AREA,
        catalogue.WITHDRAWN,
    )
)
OVERTAKING_TYPES = frozenset({catalogue.CLOSED.type, catalogue.WITHDRAWN.type})
"""What was to be told of the referral before is no longer true."""
BY_GATEWAY = frozenset({Channel.SMS, Channel.WHATSAPP})
FALLBACK_LANGUAGE = "fr"
WRITTEN_AS = {"ary": "ar"}


class State(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    DONE = "done"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


class Way(StrEnum):
    """How it is told; DESK: when the person comes."""

    CALL = "CALL"
    SMS = "SMS"
    WHATSAPP = "WHATSAPP"
    RELAY = "RELAY"
    DESK = "DESK"


class Why(StrEnum):
    """Of tasks and of messages that were not told; stored, so values are never renamed."""

    NOT_TO_BE_TOLD = "not-to-be-told"
    OVERTAKEN = "overtaken"
    ERASED = "erased"
    NO_GATEWAY = "no-gateway"
    HOURS_UNCLEAR = "hours-unclear"
    GIVEN_UP = "given-up"
    WRONG_NUMBER = "wrong-number"


class Result(StrEnum):
    """What a desk answers."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    WRONG_NUMBER = "wrong_number"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """As an event asks for it."""

    message_id: UUID
    referral_id: UUID
    case_id: UUID
    case_ref: str
    desk_id: str
    message: PersonMessage
    channel: Channel


@dataclass(frozen=True, slots=True)
class DueMessage:
    """tries: made before."""

    message_id: UUID
    case_ref: str
    message: PersonMessage
    channel: Channel
    tries: int


class SafeWay(Payload):
    """How the person may be reached, as intake tells it; never stored."""

    channel: Channel
    phone: str | None
    hours: str | None
    language: LanguageTag | None
    voicemail_ok: bool
    to_guardian: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a message now.  not_before: it waits, or a gateway is asked when that is now.
    task: how the desk tells it."""

    state: State = State.PENDING
    task: Way | None = None
    why: Why | None = None
    not_before: datetime | None = None


def new_message(event: ReferralEvent, event_id: UUID) -> NewMessage | None:
    """None: this event tells the person nothing."""
    notice = event.notify_person
    if notice is None:
        return None
    return NewMessage(
        message_id=uuid5(event_id, "person"),
        referral_id=event.referral_id,
        case_id=event.case_id,
        case_ref=event.case_ref,
        desk_id=notice.desk_id,
        message=notice.message,
        channel=notice.channel,
    )


def without_contact(channel: Channel, why: Why | None = None) -> Step:
    """Intake could not be asked: the desk has the case."""
    if channel in BY_GATEWAY:
        return Step(task=Way.DESK, why=why or Why.NO_GATEWAY)
    return Step(task=Way(channel), why=why)


def next_step(way: SafeWay | None, gateways: frozenset[Channel], now: datetime) -> Step:
    """way: as it is at this moment.  None: nothing may be told."""
    if way is None or way.channel is Channel.NONE:
        return Step(State.SUPPRESSED, why=Why.NOT_TO_BE_TOLD)
    if way.channel not in BY_GATEWAY:
        return Step(task=Way(way.channel))
    if way.channel not in gateways:
        return Step(task=Way.DESK, why=Why.NO_GATEWAY)
    hours = hours_in(way.hours)
    if hours is None:
        return Step(task=Way.DESK, why=Why.HOURS_UNCLEAR)
    return Step(not_before=hours.opening(now))


def told_hours(way: SafeWay) -> str | None:
    """As a program reads them: whatever else stands there stays in the case."""
    return str(hours_in(way.hours) or "") or None


def text_of(messages: Messages, message: PersonMessage, language: str | None, case_ref: str) -> str:
    """In the person's language if there is one of it, else French."""
    base = (language or FALLBACK_LANGUAGE).split("-")[0]
    texts = messages[message]
    return texts.get(WRITTEN_AS.get(base, base), texts[FALLBACK_LANGUAGE]).replace(CASE_REF, case_ref)


def answered(result: Result) -> Step:
    """A person who was not reached is called again."""
    match result:
        case Result.REACHED:
            return Step(State.DONE)
        case Result.WRONG_NUMBER:
            return Step(State.FAILED, why=Why.WRONG_NUMBER)
        case Result.NOT_REACHED:
            return Step()
