"""The catalogue of events: type, topic and payload. What is not listed here is not published."""

from dataclasses import dataclass

from ihala_events import access, directory, intake, notification, ops, partner, referral, topics
from ihala_events.topics import Topic
from ihala_events.wire import Payload, Request

PayloadModel = type[Payload] | type[Request]

PARTY_IN = topics.party_in("<id>")
PARTY_OUT = topics.party_out("<id>")


@dataclass(frozen=True, slots=True)
class EventType:
    """``type`` as in ``ce_type``; ``topic`` where it is published; ``means`` in one sentence.

    ``is_copy``: an agency's copy has the type of the event it tells of, and a shape of its own.
    """

    type: str
    topic: Topic
    payload: PayloadModel
    means: str
    is_copy: bool = False

    @property
    def schema_name(self) -> str:
        return f"{self.type}.copy" if self.is_copy else self.type

    @property
    def dataschema(self) -> str:
        return f"urn:ihala:schema:{self.schema_name}"


def _intake(name: str, payload: type[Payload], means: str) -> EventType:
    return EventType(f"ihala.intake.{name}.v1", topics.INTAKE_CASE, payload, means)


def _referral(name: str, means: str, payload: type[Payload] = referral.ReferralEvent) -> EventType:
    return EventType(f"ihala.referral.{name}.v1", topics.REFERRAL_LIFECYCLE, payload, means)


def _delivery(name: str, means: str, payload: type[Payload] = notification.DeliveryEvent) -> EventType:
    return EventType(f"ihala.notification.{name}.v1", topics.NOTIFICATION_DELIVERY, payload, means)


CASE_SUBMITTED = _intake("case-submitted", intake.RoutingProfile, "A case is to be routed.")
CASE_HELD = _intake("case-held", intake.RoutingProfile, "A case that may be a duplicate waits for a human.")
CASE_RELEASED = _intake("case-released", intake.CaseReleased, "A human decided on a suspected duplicate.")
CASE_CORRECTED = _intake("case-corrected", intake.CaseCorrected, "The person's data were corrected.")
CONSENT_RECORDED = _intake("consent-recorded", intake.ConsentRecorded, "A consent replaced the one before.")
CONSENT_WITHDRAWN = _intake("consent-withdrawn", intake.ConsentWithdrawn, "The person took the consent back.")
SUBJECT_ERASED = _intake("subject-erased", intake.SubjectErased, "The person's data key is destroyed.")
INFORMATION_GIVEN = _intake("information-given", intake.InformationGiven, "Someone was informed; nothing is kept.")

PROPOSED = _referral("proposed", "An agency was found.")
CONFIRMED = _referral("confirmed", "A human agreed to the proposal.")
SENT = _referral("sent", "The agency is asked.")
ACKNOWLEDGED = _referral("acknowledged", "The agency has seen it.")
ACCEPTED = _referral("accepted", "The agency takes the case.")
DECLINED = _referral("declined", "The agency does not take the case.", referral.ReferralAnswered)
WAITLISTED = _referral("waitlisted", "The agency put the person on its waiting list.")
PLACE_OFFERED = _referral("place-offered", "A place became free for the person.")
CONTACTED = _referral("contacted", "The agency spoke with the person for the first time.")
STARTED = _referral("started", "The service began.")
CLOSED = _referral("closed", "It ended, with an outcome.")
REMINDER = _referral("reminder", "The agency has not acknowledged yet.")
DEADLINE_MISSED = _referral("deadline-missed", "A deadline passed in silence.", referral.ReferralAnswered)
DEADLINES_CHANGED = _referral("deadlines-changed", "The calendar moved open deadlines.", referral.DeadlinesChanged)
ESCALATED = _referral("escalated", "A human must look.", referral.ReferralAnswered)
REROUTED = _referral("rerouted", "The next agency is asked instead.", referral.ReferralRerouted)
RECALLED = _referral("recalled", "The agency is asked no longer.", referral.ReferralAnswered)
CONSENT_NEEDED = _referral("consent-needed", "Only agencies outside the consent are left.", referral.ReferralAnswered)
WITHDRAWN = _referral("withdrawn", "The person or the desk took it back.", referral.ReferralAnswered)
DELETION_REQUESTED = _referral("deletion-requested", "The agency must delete what it read.")
DELETION_CONFIRMED = _referral("deletion-confirmed", "The agency deleted what it read.")
CORRECTION_REQUESTED = _referral("correction-requested", "The agency must read the data again.")
CORRECTION_CONFIRMED = _referral("correction-confirmed", "The agency took the correction over.")
OUT_OF_AREA = _referral("out-of-area", "A redirect to a commune outside the territory.")
GAP_RECORDED = _referral("gap-recorded", "No agency could take it.", referral.ReferralAnswered)
HANDOVER_PROPOSED = _referral(
    "handover-proposed", "The agency is asked to take the person over from another.", referral.ReferralHandover
)
HANDOVER_RECALLED = _referral(
    "handover-recalled", "The agency is not asked to take the person over any more.", referral.ReferralHandover
)
HANDOVER_FAILED = _referral(
    "handover-failed",
    "Refused or not answered: the agency that proposed it stays responsible.",
    referral.ReferralHandover,
)
HANDED_OVER = _referral("handed-over", "Another agency took the person over from this one.", referral.ReferralHandover)
HANDOVER_ACCEPTED = _referral(
    "handover-accepted", "The agency took the person over and is responsible now.", referral.ReferralHandover
)

DELIVERED = _delivery("delivered", "The agency's system took the message.")
ATTEMPT_FAILED = _delivery("attempt-failed", "A try failed; another follows.")
EXHAUSTED = _delivery("exhausted", "The last try failed.")
SUPPRESSED = _delivery("suppressed", "Not sent: its attempt had ended.")
ENDPOINT_DISABLED = _delivery("endpoint-disabled", "An agency's endpoint is given up.", notification.EndpointEvent)
ENDPOINT_RECOVERED = _delivery("endpoint-recovered", "An agency's endpoint is back.", notification.EndpointEvent)

PARTNER_CHANGED = EventType(
    "ihala.directory.partner-changed.v1",
    topics.DIRECTORY_PARTNER,
    directory.PartnerRecord,
    "An agency's record.",
)
PROGRAMME_CHANGED = EventType(
    "ihala.directory.programme-changed.v1",
    topics.DIRECTORY_PARTNER,
    directory.ProgrammeChanged,
    "A pilot initiative's record.",
)
CREDENTIAL_CHANGED = EventType(
    "ihala.access.credential-changed.v1",
    topics.ACCESS_CREDENTIAL,
    access.CredentialChanged,
    "A key was made or revoked.",
)
CASE_ERASED = EventType(
    "ihala.intake.case-erased.v1", topics.INTAKE_ERASURE, intake.SubjectErased, "An erasure, for restores."
)

PARTNER_RESPONDED = EventType("ihala.partner.responded.v1", PARTY_IN, partner.PartnerResponded, "An agency answers.")
CAPACITY_CHANGED = EventType(
    "ihala.partner.capacity-changed.v1", PARTY_IN, partner.CapacityChanged, "An agency's free places."
)
CLOSURES_CHANGED = EventType(
    "ihala.partner.closures-changed.v1", PARTY_IN, partner.ClosuresChanged, "When an agency is closed."
)
INTAKE_REQUESTED = EventType(
    "ihala.integration.intake-requested.v1", PARTY_IN, intake.IntakeRequest, "An integrator's intake."
)
INTAKE_ACCEPTED = EventType(
    "ihala.integration.intake-accepted.v1", PARTY_OUT, partner.IntakeAccepted, "The intake is durable."
)
INTAKE_REFUSED = EventType(
    "ihala.integration.intake-refused.v1", PARTY_OUT, partner.IntakeRefused, "The intake was refused."
)
RESPONSE_REFUSED = EventType(
    "ihala.partner.response-refused.v1", PARTY_OUT, partner.ResponseRefused, "The answer changed nothing."
)
RECORD_PARKED = EventType(
    "ihala.ops.record-parked.v1", topics.OPS_PARKED, ops.RecordParked, "A consumer set a record aside."
)

EVENT_TYPES: dict[str, EventType] = {
    event_type.type: event_type for event_type in list(globals().values()) if isinstance(event_type, EventType)
}

COPIED_TO_AGENCY = (
    SENT,
    REMINDER,
    RECALLED,
    PLACE_OFFERED,
    DELETION_REQUESTED,
    CORRECTION_REQUESTED,
    HANDOVER_PROPOSED,
    HANDOVER_RECALLED,
    HANDOVER_FAILED,
    HANDED_OVER,
)
"""Referral events of which the addressed agency gets a copy, by webhook and on ``party.<id>.out.v1``."""
COPIES = tuple(
    EventType(kind.type, PARTY_OUT, partner.ReferralCopy, f"The addressed agency's copy. {kind.means}", is_copy=True)
    for kind in COPIED_TO_AGENCY
)


def versionless(event_type: str) -> str:
    """``ihala.partner.responded`` and ``ihala.partner.responded.v1`` are the same claim."""
    return event_type if event_type in EVENT_TYPES else f"{event_type}.v1"
