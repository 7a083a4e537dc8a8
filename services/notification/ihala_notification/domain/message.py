"""What an agency is told without asking, and under which id.

Whitelist (P07): a field that is not copied here by name never leaves. No name, phone, note or place, and a
restricted need reads RESTRICTED; its agency reads the code from the API with its own key. The bytes are made
once: retries and replays repeat them, and the id with them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from ihala_events import catalogue
from ihala_events.partner import ReferralCopy, ReferralCopyData
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import masked

MAX_BODY_BYTES = 4_095
EVERY_ATTEMPT = 2**31 - 1
"""More than there are: the whole referral is over."""

TOLD_TYPES = frozenset(event_type.type for event_type in catalogue.COPIED_TO_AGENCY)
RECALLED = catalogue.RECALLED.type
# They ask the agency to act on an attempt: pointless, and a disclosure too many, once the attempt ended.
ASKING_TYPES = frozenset(
    event_type.type
    for event_type in (catalogue.SENT, catalogue.REMINDER, catalogue.PLACE_OFFERED, catalogue.HANDOVER_PROPOSED)
)
ATTEMPT_ENDING_TYPES = frozenset(
    event_type.type
    for event_type in (
        catalogue.DECLINED,
        catalogue.RECALLED,
        catalogue.CLOSED,
        catalogue.WITHDRAWN,
        catalogue.HANDOVER_RECALLED,
        catalogue.HANDED_OVER,
    )
)


class MessageTooLong(ValueError):
    """A body of 4 kB or more; nothing that is copied can be that long."""


@dataclass(frozen=True, slots=True)
class Links:
    """Public addresses of the services an agency calls."""

    intake_url: str
    referral_url: str

    def of(self, event: ReferralEvent) -> dict[str, str]:
        case = f"{self.intake_url.rstrip('/')}/v1/cases/{event.case_ref}"
        return {
            "disclosure": f"{case}/disclosure?referral_id={event.referral_id}",
            "referral": f"{self.referral_url.rstrip('/')}/v1/referrals/{event.referral_id}",
        }


def delivery_id(event_id: UUID, partner_id: str) -> UUID:
    """The same event told to the same agency is the same delivery, whoever works it out and when."""
    return uuid5(event_id, partner_id)


def body(event: ReferralEvent, event_type: str, event_time: datetime, message_id: UUID, links: Links) -> bytes:
    """The JSON an agency receives. Raises MessageTooLong."""
    data = ReferralCopyData(
        referral_id=event.referral_id,
        case_ref=event.case_ref,
        attempt_no=event.attempt_no,
        need_code=masked(event.need_code),
        urgency=event.urgency,
        ack_due=event.ack_due,
        contact_due=event.contact_due,
        hard_deadline=event.hard_deadline.isoformat() if event.hard_deadline else None,
        language_tags=event.language_tags,
        interpreter_needed=event.interpreter_needed,
        links=links.of(event),
    )
    written = ReferralCopy(type=event_type, id=message_id, time=event_time, data=data).model_dump_json().encode()
    if len(written) > MAX_BODY_BYTES:
        raise MessageTooLong(f"a message has {len(written)} bytes")
    return written


def attempts_over(event: ReferralEvent, event_type: str) -> int | None:
    """The attempts up to this number ask nothing of their agency any more; None: this event ends none.

    Who is to delete what it read hears nothing else of the attempt afterwards, whatever comes late.
    """
    if event_type == catalogue.SENT.type:
        return event.attempt_no - 1
    if event_type == catalogue.DELETION_REQUESTED.type:
        return EVERY_ATTEMPT
    return event.attempt_no if event_type in ATTEMPT_ENDING_TYPES else None
