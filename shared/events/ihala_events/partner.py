"""What parties send and get on their own topics: claims, checked before they become facts.

The topic is the sender: the broker's ACLs let one party write it, and ``ce_source`` must name that party.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from ihala_events.directory import Closure
from ihala_events.intake import CaseRef
from ihala_events.vocabulary import DeclineReason, DeskId, IntakeState, MaskedNeedCode, NeedCode, Outcome, PartyId
from ihala_events.wire import Instant, Payload, Request


class Response(StrEnum):
    """The moves an agency may answer with; the same words as the HTTP calls."""

    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"
    DECLINE = "decline"
    HAND_BACK = "hand-back"
    WAITLIST = "waitlist"
    OFFER = "offer"
    CONTACTED = "contacted"
    START = "start"
    CLOSE = "close"
    DELETION_CONFIRMATION = "deletion-confirmation"
    CORRECTION_CONFIRMATION = "correction-confirmation"
    HANDOVER = "handover"
    HANDOVER_WITHDRAWAL = "handover-withdrawal"
    HANDOVER_ACCEPTANCE = "handover-acceptance"
    HANDOVER_REFUSAL = "handover-refusal"


class PartnerResponded(Request):
    """``ihala.partner.responded``: an agency answers for a referral addressed to it. Its move says which fields."""

    referral_id: UUID
    response: Response
    reason_code: DeclineReason | None = None
    outcome_code: Outcome | None = None
    partner_id: PartyId | None = None


class CapacityChanged(Request):
    """``ihala.partner.capacity-changed``: free places by need; null = unknown, not counted."""

    places: Annotated[dict[NeedCode, Annotated[int, Field(ge=0, le=100_000)] | None], Field(min_length=1)]


class ClosuresChanged(Request):
    """``ihala.partner.closures-changed``: all the closures of an agency, past and coming."""

    closures: Annotated[list[Closure], Field(max_length=100)]


class ResponseRefused(Payload):
    """``ihala.partner.response-refused``: the answer ``request_id`` changed nothing, and why."""

    request_id: str
    referral_id: UUID | None = None
    reason: str
    detail: str
    state: str | None = None


class AcceptedNeed(Payload):
    need_id: UUID
    need_code: NeedCode


class IntakeAccepted(Payload):
    """``ihala.integration.intake-accepted``: the same answer as the HTTP door gives."""

    request_id: str
    intake_id: UUID | None = None
    case_id: UUID | None = None
    case_ref: CaseRef | None = None
    desk_id: DeskId
    state: IntakeState
    needs: list[AcceptedNeed] = []


class FieldRefusal(Payload):
    pointer: str
    code: str
    message: str


class IntakeRefused(Payload):
    """``ihala.integration.intake-refused``: nothing was stored; each wrong field is named, never its value."""

    request_id: str
    reason: str
    detail: str
    errors: list[FieldRefusal] = []


class ReferralCopyData(Payload):
    """What an agency is told without asking (P07): no name, phone, note or place."""

    referral_id: UUID
    case_ref: CaseRef
    attempt_no: int
    need_code: MaskedNeedCode
    urgency: str
    ack_due: Instant
    contact_due: Instant
    hard_deadline: str | None = None
    language_tags: list[str] = []
    interpreter_needed: bool = False
    links: dict[str, str] = {}


class ReferralCopy(Payload):
    """The body of a webhook and of its copy on ``party.<id>.out.v1``. ``id`` is the delivery's id."""

    type: str
    id: UUID
    time: Instant
    data: ReferralCopyData
