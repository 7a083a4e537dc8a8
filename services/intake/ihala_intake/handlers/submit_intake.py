"""A desk or an integrator hands in an intake; it is durable when they are told so, and stored once.

The same key with the same body gets the same answer again; with another body it is refused. Doors differ only
in how they call this: HTTP requests share a group commit, a Kafka batch is one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from ihala_events.intake import IntakeRequest
from ihala_events.partner import FieldRefusal

from ihala_intake.domain.acceptance import Accepted, Policy, Submitter, accept, answer, check
from ihala_intake.domain.duplicates import person_keys
from ihala_intake.domain.errors import IntakeRefused, KeyReused
from ihala_intake.domain.phone import normalised_phone


@dataclass(frozen=True, slots=True)
class Submission:
    """An intake ready to be stored. ``fingerprint``: keyed, of the body. ``journey``: where its trace began."""

    submitter: Submitter
    key: str
    fingerprint: bytes
    accepted: Accepted
    answer: dict[str, Any]
    journey: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """``replayed``: the answer was given before."""

    answer: dict[str, Any]
    replayed: bool


class KnownCases(Protocol):
    async def case_ids(self, case_refs: Sequence[str], desk_ids: Sequence[str]) -> Mapping[str, UUID]: ...


class Fingerprints(Protocol):
    def fingerprint(self, body: bytes) -> bytes: ...

    def person_key(self, sound: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An intake that may be taken. ``phone``: in E.164.  ``household``: case ids by reference."""

    intake: IntakeRequest
    submitter: Submitter
    key: str
    phone: str | None
    household: Mapping[str, UUID]
    journey: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class PrepareIntake:
    """Checks an intake and draws up what is to be stored of it."""

    policy: Policy
    cases: KnownCases
    fingerprints: Fingerprints

    async def admit(
        self,
        intake: IntakeRequest,
        submitter: Submitter,
        key: str,
        now: datetime,
        *,
        journey: str | None,
        traceparent: str | None,
    ) -> Arrival:
        """Raises NotTheirDesk or IntakeRefused."""
        check(intake, submitter, self.policy, now)
        phone = normalised_phone(intake.phone)
        household = await self._household(intake, submitter)
        return Arrival(intake, submitter, key, phone, household, journey, traceparent)

    def draw_up(self, arrival: Arrival) -> Submission:
        """Most of the work with an intake: for a group, one after the other, it costs half."""
        intake, submitter, phone = arrival.intake, arrival.submitter, arrival.phone
        person = person_keys(intake, phone, self.fingerprints.person_key)
        accepted = accept(intake, submitter, self.policy, phone=phone, household=arrival.household, person=person)
        fingerprint = self.fingerprints.fingerprint(intake.model_dump_json(exclude_none=True).encode())
        told = answer(accepted, self.policy)
        return Submission(submitter, arrival.key, fingerprint, accepted, told, arrival.journey, arrival.traceparent)

    async def _household(self, intake: IntakeRequest, submitter: Submitter) -> Mapping[str, UUID]:
        refs = [member.case_ref for member in intake.household or []]
        if not refs:
            return {}
        known = await self.cases.case_ids(refs, sorted(submitter.desk_ids))
        unknown = [
            FieldRefusal(pointer=f"/household/{index}/case_ref", code="unknown-case", message="is no case of this desk")
            for index, ref in enumerate(refs)
            if ref not in known
        ]
        if unknown:
            raise IntakeRefused(unknown)
        return known


def same_request(given_fingerprint: bytes, given_answer: dict[str, Any], submission: Submission) -> Outcome | KeyReused:
    """What a key that was used before means: the same answer, or a refusal."""
    if given_fingerprint != submission.fingerprint:
        return KeyReused()
    return Outcome(given_answer, replayed=True)
