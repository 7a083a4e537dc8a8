"""The events of ``referral.lifecycle.v1``: what happened to one referral.

Every event is the referral as it stands after it, flat, with what happened beside it. ``partner_id`` and
``attempt_no`` name the attempt the event is about (in ``declined``: the agency that declined).
Internal topic: the need code is unmasked, the case pseudonymous.
"""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from ihala_events.intake import CaseRef
from ihala_events.vocabulary import (
    Channel,
    DeclineReason,
    DeskId,
    HoldReason,
    LanguageTag,
    NeedCode,
    Outcome,
    PartnerType,
    PartyId,
    PersonMessage,
    ReferralState,
    Urgency,
)
from ihala_events.wire import Instant, Payload, Request


class PersonNotice(Payload):
    """What the person is to be told of an event, by which safe channel, and the desk that knows them."""

    message: PersonMessage
    channel: Channel
    desk_id: DeskId


class ReferralEvent(Payload):
    """``actor``: ``system``, ``partner:<id>`` or ``<role>:<credential_id>``. ``hard_deadline`` is a date.

    ``notify_person``: None where this event tells the person nothing. It never leaves for an agency.
    """

    referral_id: UUID
    case_id: UUID
    case_ref: CaseRef
    need_id: UUID
    need_code: NeedCode
    urgency: Urgency
    state: ReferralState
    hold_reason: HoldReason | None = None
    partner_id: PartyId | None = None
    partner_type: PartnerType | None = None
    attempt_no: int = 0
    rule_id: str
    row: str
    rule_set_version: str
    flags: list[str] = []
    language_tags: list[LanguageTag] = []
    interpreter_needed: bool = False
    received_at: Instant
    sent_at: Instant | None = None
    ack_due: Instant
    contact_due: Instant
    hard_deadline: date | None = None
    contacted_at: Instant | None = None
    outcome_code: Outcome | None = None
    notify_person: PersonNotice | None = None
    actor: str
    at: Instant


class ReferralAnswered(ReferralEvent):
    """A move with a reason: declined, rerouted, recalled, withdrawn, escalated, gap-recorded."""

    reason_code: str | None = None


class ReferralRerouted(ReferralAnswered):
    from_partner_id: PartyId | None = None


class ReferralHandover(ReferralAnswered):
    """A warm handover: the agency that proposed it, and the one it is to go to."""

    from_partner_id: PartyId | None = None
    to_partner_id: PartyId | None = None


class DeadlinesChanged(ReferralAnswered):
    old_ack_due: Instant
    old_contact_due: Instant


class DeclineBody(Request):
    reason_code: DeclineReason


class CloseBody(Request):
    outcome_code: Outcome


class ConfirmBody(Request):
    """``staff``: who confirms; in some cases not one of those who recorded the intake."""

    staff: Annotated[str, Field(min_length=1, max_length=64)]


class RerouteBody(Request):
    reason_code: DeclineReason
    partner_id: PartyId | None = None


class HandoverBody(Request):
    """``partner_id``: the agency that is asked to take the person over."""

    partner_id: PartyId


class EmptyBody(Request):
    """A move that needs no words."""
