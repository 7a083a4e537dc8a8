"""``directory.partner.v1``: the agencies, whole record each time, compacted by ``partner_id``."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ihala_events.vocabulary import (
    COMMUNES,
    PREFECTURES,
    SECTORS,
    AgeBand,
    Jurisdiction,
    LanguageTag,
    NeedCode,
    PartnerType,
    PartyId,
    Purpose,
    Sex,
    needs_of,
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


class DisclosureField(StrEnum):
    """What of a person an agency may read beside the code, the reference and the need."""

    NAMES = "names"
    PHONE = "phone"
    SAFE_CONTACT = "safe_contact"
    LANGUAGES = "languages"
    INTERPRETER_NEEDED = "interpreter_needed"
    AGE_BAND = "age_band"
    BIRTH_YEAR = "birth_year"
    SEX = "sex"
    FACTS = "facts"
    NOTE = "note"


class Term(Request):
    """From when to when, both local and included; ``until`` null: open-ended."""

    since: date
    until: date | None = None

    def in_force(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day <= self.until)


class Terms(Term):
    """What a data-sharing agreement says: what for, which fields, from when to when, under which reference.

    ``fields``: what a disclosure to its parties may hold, every field if not given.
    """

    purposes: Annotated[list[Purpose], Field(min_length=1)]
    fields: list[DisclosureField] = list(DisclosureField)
    reference: Annotated[str, Field(max_length=200)] = ""

    def covers(self, need_code: str) -> bool:
        return need_code in needs_of(self.purposes)


class Agreement(Terms):
    """An agreement as each of its parties keeps it. Without one in force nothing is sent (``no_agreement``)."""

    agreement_id: PartyId


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

    ``stopped`` and ``agreements`` have calls of their own; a record that is put again keeps those that stand.
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
    agreements: list[Agreement] = []
    active_from: date
    active_until: date | None = None
    closures: list[Closure] = []
    channels: list[PartnerChannel] = [PartnerChannel.WEBHOOK]
    stopped: Stop | None = None
    agreement: Annotated[Term | None, Field(exclude=True)] = None

    @model_validator(mode="after")
    def _general_agreement(self) -> "PartnerRecord":
        """``agreement`` alone, as in a directory that is entered by hand: one about everything the agency serves."""
        if self.agreement is not None and self.agreements:
            raise PydanticCustomError("two-forms", "agreement stands for agreements: give one of them")
        if self.agreement is not None:
            general = Agreement(
                agreement_id=f"{self.partner_id[:55]}-general",
                purposes=list(SECTORS),
                since=self.agreement.since,
                until=self.agreement.until,
            )
            self.__dict__.update(agreements=[general], agreement=None)  # frozen for everybody else
        return self


class ProgrammeRecord(Request):
    """A pilot initiative: an agency's offer for some needs, in some places, for a group, from when to when.

    ``age_bands``, ``sexes``: empty = all. ``until`` null: open-ended. ``places``: for as long as it runs, null =
    unlimited.
    """

    programme_id: PartyId
    names: PartnerNames
    partner_id: PartyId
    need_codes: Annotated[list[NeedCode], Field(min_length=1)]
    communes: Annotated[list[Covered], Field(min_length=1)]
    age_bands: list[AgeBand] = []
    sexes: list[Sex] = []
    since: date
    until: date | None = None
    places: Annotated[int, Field(ge=0, le=100_000)] | None = None


class ProgrammeChanged(ProgrammeRecord):
    """``deleted``: it is offered no more."""

    deleted: bool = False
