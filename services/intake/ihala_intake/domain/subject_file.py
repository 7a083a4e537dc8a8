"""All that is held of one person: the data, what for, on which basis, who could receive them, who read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ihala_events.intake import ConsentScope, IntakeRequest
from ihala_events.vocabulary import ConsentBasis, ConsentMode
from ihala_events.wire import rfc3339

LANGUAGES = ("fr", "ar", "en")


@dataclass(frozen=True, slots=True)
class HeldConsent:
    basis: ConsentBasis
    mode: ConsentMode
    text_version: str
    scope: Sequence[ConsentScope]
    recorded_at: datetime
    withdrawn_at: datetime | None
    withdrawn_needs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A referral. ``partner_id`` None: it is addressed to nobody at present."""

    referral_id: UUID
    need_code: str
    partner_id: str | None
    partner_type: str | None


@dataclass(frozen=True, slots=True)
class PastReading:
    at: datetime
    actor: str
    action: str


@dataclass(frozen=True, slots=True)
class SubjectFile:
    """``intake`` None: the person was erased. The last of ``readings`` is the making of this file."""

    case_ref: str
    desk_id: str
    received_at: datetime
    erased_at: datetime | None
    intake: IntakeRequest | None
    consents: Sequence[HeldConsent]
    receivers: Sequence[Receiver]
    readings: Sequence[PastReading]
    pseudonymise_after: timedelta
    delete_after: timedelta
    made_at: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "case_ref": self.case_ref,
            "desk_id": self.desk_id,
            "received_at": rfc3339(self.received_at),
            "erased_at": self.erased_at and rfc3339(self.erased_at),
            "made_at": rfc3339(self.made_at),
            "held": self.intake and self.intake.model_dump(mode="json", exclude_none=True, exclude={"consent"}),
            "purpose": "referral",
            "retention_days": {"pseudonymise": self.pseudonymise_after.days, "delete": self.delete_after.days},
            "consents": [_consent(each) for each in self.consents],
            "receivers": [_receiver(each) for each in self.receivers],
            "readings": [
                {"at": rfc3339(each.at), "actor": each.actor, "action": each.action} for each in self.readings
            ],
        }


def _consent(held: HeldConsent) -> dict[str, Any]:
    return {
        "basis": held.basis,
        "mode": held.mode,
        "text_version": held.text_version,
        "scope": [entry.model_dump(mode="json") for entry in held.scope],
        "recorded_at": rfc3339(held.recorded_at),
        "withdrawn_at": held.withdrawn_at and rfc3339(held.withdrawn_at),
        "withdrawn_needs": list(held.withdrawn_needs),
    }


def _receiver(receiver: Receiver) -> dict[str, Any]:
    return {
        "referral_id": str(receiver.referral_id),
        "need_code": receiver.need_code,
        "partner_id": receiver.partner_id,
        "partner_type": receiver.partner_type,
    }


def _reading(reading: PastReading) -> dict[str, Any]:
    return {"at": rfc3339(reading.at), "actor": reading.actor, "action": reading.action}
