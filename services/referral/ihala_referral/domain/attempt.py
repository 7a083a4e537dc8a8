"""The parts a referral is made of: its case, the agencies asked, what happened, what its clocks ask.

Only `Referral` changes an attempt; the rest never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ihala_events.catalogue import EventType
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import AttemptState, PartnerType

from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.capacity import PlaceBook
from ihala_referral.domain.case import Consent
from ihala_referral.domain.directory import Directory, Link
from ihala_referral.domain.household import Households


@dataclass(frozen=True, slots=True)
class CaseFile:
    """What every later choice needs of the case.  recorded_by: digests of the staff who recorded it.
    in_household: the desk linked it with other cases."""

    case_id: UUID
    case_ref: str
    desk_id: str
    languages: tuple[str, ...]
    interpreter_needed: bool
    consent: Consent
    recorded_by: frozenset[str]
    in_household: bool = False

    def speaking(self, languages: Sequence[str] | None, interpreter_needed: bool | None) -> "CaseFile":
        """The same case with these; None: as before."""
        return replace(
            self,
            languages=self.languages if languages is None else tuple(languages),
            interpreter_needed=self.interpreter_needed if interpreter_needed is None else interpreter_needed,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """The world at the moment of a move."""

    now: datetime
    directory: Directory
    calendar: Calendar
    places: PlaceBook
    households: Households = field(default_factory=Households)


LIVE = (AttemptState.OFFERED, AttemptState.ACKNOWLEDGED, AttemptState.ACCEPTED)


@dataclass(slots=True)
class Attempt:
    """One agency asked.  serves: the need it is asked for.  place_taken_at: when one of its published places was.
    tried: its delivery was at least tried.  sent_sequence: of the event that told it.
    programme_id: of the pilot initiative whose place it is asked for.
    responsible: False of an agency that was asked to take the person over from another and has not done it."""

    attempt_no: int
    partner_id: str
    partner_type: PartnerType
    serves: str
    sent_at: datetime
    ack_due: datetime
    sent_sequence: int = 0
    state: AttemptState = AttemptState.OFFERED
    reason_code: str | None = None
    answered_at: datetime | None = None
    place_taken_at: datetime | None = None
    reminded: bool = False
    deletion: str | None = None
    correction: str | None = None
    tried: bool = False
    responsible: bool = True
    programme_id: str | None = None

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def is_unanswered(self) -> bool:
        return self.state is AttemptState.OFFERED

    @property
    def was_tried(self) -> bool:
        """It had its chance to answer: the chain does not ask it again."""
        return self.responsible or self.state in (AttemptState.DECLINED, AttemptState.SILENT)

    @property
    def link(self) -> Link:
        return Link(self.partner_id, self.serves, self.programme_id)


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of this referral, in order of `sequence`."""

    kind: EventType
    payload: ReferralEvent
    sequence: int


Happenings = list[Happening]


class Clock(StrEnum):
    """What a timer of a referral asks about."""

    ACK_DUE = "ack_due"
    CONTACT_DUE = "contact_due"
    REMINDER = "reminder"
    HOLD = "hold"
    OFFER = "offer"
    HANDOVER = "handover"


class Alert(StrEnum):
    """Why a human must look: the reason codes of `escalated` and `deadline-missed`."""

    ACK_DUE = "ACK_DUE"
    CONTACT_DUE = "CONTACT_DUE"
    NOT_DELIVERED = "NOT_DELIVERED"
    DUPLICATE_UNDECIDED = "DUPLICATE_UNDECIDED"
    OFFER_LAPSED = "OFFER_LAPSED"
    HANDOVER_REFUSED = "HANDOVER_REFUSED"
    HANDOVER_UNANSWERED = "HANDOVER_UNANSWERED"
