"""The person responsible for data enters, changes or ends a data-sharing agreement.

Each party keeps it in its own record, so what is routed and disclosed by it is known wherever the record is.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Any

from ihala_events.directory import Agreement, PartnerRecord, Terms
from ihala_events.vocabulary import PartyId, needs_of
from pydantic import Field

from ihala_referral.domain.directory import unprintable

Problem = tuple[str, str, str]


class PutAgreement(Terms):
    """parties: every agency that signed it."""

    agreement_id: PartyId
    parties: Annotated[list[PartyId], Field(min_length=1, max_length=1000)]

    @property
    def agreement(self) -> Agreement:
        return Agreement.model_construct(**{name: getattr(self, name) for name in Agreement.model_fields})


def agreement_problems(terms: Terms, pointer: str = "") -> Iterator[Problem]:
    """(pointer, code, message) for what no agreement may say."""
    if terms.until is not None and terms.until < terms.since:
        yield f"{pointer}/until", "before-since", "must not be before since"
    if unprintable(terms.reference):
        yield f"{pointer}/reference", "control-character", "holds a control character"


def party_problems(wanted: PutAgreement, known: Container[str]) -> Iterator[Problem]:
    for index, party_id in enumerate(wanted.parties):
        if party_id not in known:
            yield f"/parties/{index}", "unknown-party", "is no agency of the directory"


def overlapping(standing: Iterable[Agreement], wanted: Agreement) -> Agreement | None:
    """Another agreement of the same agency about the same need on the same day: which fields would count?"""
    return next((each for each in standing if each.agreement_id != wanted.agreement_id and _meet(each, wanted)), None)


def _meet(one: Agreement, other: Agreement) -> bool:
    if needs_of(one.purposes).isdisjoint(needs_of(other.purposes)):
        return False
    return one.since <= (other.until or date.max) and other.since <= (one.until or date.max)


def agree(record: PartnerRecord, agreement: Agreement) -> PartnerRecord:
    """The record with the agreement, in place of the one of that id."""
    return _with([*_others(record, agreement.agreement_id), agreement], record)


def leave_agreement(record: PartnerRecord, agreement_id: str) -> PartnerRecord:
    return _with(_others(record, agreement_id), record)


def _others(record: PartnerRecord, agreement_id: str) -> list[Agreement]:
    return [each for each in record.agreements if each.agreement_id != agreement_id]


def _with(agreements: Sequence[Agreement], record: PartnerRecord) -> PartnerRecord:
    ordered = sorted(agreements, key=lambda each: each.agreement_id)
    return record.model_copy(update={"agreements": ordered})


def shown_agreements(records: Iterable[PartnerRecord]) -> list[dict[str, Any]]:
    """Every agreement with its parties, by id."""
    shown: dict[str, dict[str, Any]] = {}
    for record in records:
        for each in record.agreements:
            one = shown.setdefault(each.agreement_id, each.model_dump(mode="json") | {"parties": []})
            one["parties"].append(record.partner_id)
    return [shown[agreement_id] for agreement_id in sorted(shown)]
