"""``directory.partner.v1``: the agencies, whole record each time, compacted by ``partner_id``."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ihala_events.vocabulary import (
    COMMUNES,
    PREFECTURES,
    Jurisdiction,
    LanguageTag,
    NeedCode,
    PartnerType,
    PartyId,
)
from ihala_events.wire import Instant, Request


class PartnerChannel(StrEnum):
    WEBHOOK = "webhook"
    KAFKA = "kafka"
    EMAIL = "email"
    INBOX = "inbox"


Covered = Annotated[str, Field(json_schema_extra={"enum": ["*", *PREFECTURES, *sorted(COMMUNES)]})]
"""A commune code, a prefecture, or ``*`` for everywhere."""

ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")]


class OpeningHours(Request):
    """Local hours of one week day (``mon`` … ``sun``); an agency's own hours move no deadline."""

    day: Annotated[str, Field(pattern="^(mon|tue|wed|thu|fri|sat|sun)$")]
    opens: ClockTime
    closes: ClockTime


class PartnerNames(Request):
    fr: Annotated[str, Field(min_length=1, max_length=160)]
    ar: Annotated[str, Field(min_length=1, max_length=160)]
    en: Annotated[str, Field(min_length=1, max_length=160)]


class Closure(Request):
    """First and last closed day, both local and included."""

    first_day: date
    last_day: date
    reason: Annotated[str, Field(max_length=80)] = ""


class Agreement(Request):
    """The data-sharing agreement; ``until`` null: open-ended. None: nothing is sent (``no_agreement``)."""

    since: date
    until: date | None = None


class StopReason(StrEnum):
    """Why an admin stopped an agency."""

    KEY_LEAKED = "KEY_LEAKED"
    SYSTEM_COMPROMISED = "SYSTEM_COMPROMISED"
    DATA_MISUSED = "DATA_MISUSED"
    RISK_TO_PERSONS = "RISK_TO_PERSONS"
    AGREEMENT_ENDED = "AGREEMENT_ENDED"
    OTHER = "OTHER"


class Stop(Request):
    """Since when an agency is asked and told nothing more (P23)."""

    reason_code: StopReason
    since: Instant


class PartnerRecord(Request):
    """One agency. ``capacity``: free places by need, null = unknown. ``transfer_ref``: needed outside MA (P17).

    ``stopped``: set and taken away by the admin's calls alone; a record that is put keeps what stands.
    """

    partner_id: PartyId
    type: PartnerType
    names: PartnerNames
    parent: PartyId | None = None
    communes: Annotated[list[Covered], Field(min_length=1)]
    need_codes: Annotated[list[NeedCode], Field(min_length=1)]
    languages: Annotated[list[LanguageTag], Field(min_length=1)]
    hours: list[OpeningHours] = []
    ramadan_hours: list[OpeningHours] = []
    on_call: bool = False
    capacity: dict[NeedCode, Annotated[int, Field(ge=0)] | None] = {}
    jurisdiction: Jurisdiction = Jurisdiction.MOROCCO
    transfer_ref: str | None = None
    agreement: Agreement | None = None
    active_from: date
    active_until: date | None = None
    closures: list[Closure] = []
    channels: list[PartnerChannel] = [PartnerChannel.WEBHOOK]
    stopped: Stop | None = None
